"""The serialization of examples is protobuf's."""

import pytest
import tensorflow as tf

from restem.example_gen.wire import serialized_example


@pytest.mark.parametrize("size", [0, 1, 100, 127, 128, 16_383, 16_384, 2_100_000])
def test_examples_are_read_by_protobuf_and_tensorflow(size):
    value = bytes(range(256)) * (size // 256) + bytes(size % 256)
    label = tf.train.Feature(int64_list=tf.train.Int64List(value=[7]))
    stored = serialized_example(tf.train.Features(feature={"label": label}), {"image_bytes": value})
    whole = tf.train.Example.FromString(stored)
    assert whole.features.feature["image_bytes"].bytes_list.value == [value]
    assert set(whole.features.feature) == {"label", "image_bytes"}
    assert whole.ByteSize() == len(stored)
    spec = {"image_bytes": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
    parsed = tf.io.parse_single_example(stored, spec)
    assert parsed["label"] == 7
    assert parsed["image_bytes"] == value

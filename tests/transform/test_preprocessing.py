import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from restem.images.config import ImageConfig
from restem.images.container import to_decodable
from restem.images.graph.preprocess import preprocess
from restem.images.graph.stored import decode_pixels
from restem.transform.preprocessing import preprocessing_fn

RAW = {
    "image_bytes": tf.io.FixedLenFeature([], tf.string),
    "label_index": tf.io.FixedLenFeature([], tf.int64),
    "path": tf.io.FixedLenFeature([], tf.string),
    "weight": tf.io.FixedLenFeature([], tf.float32),
}


MODES = [
    {"channels": 1},
    {"channels": 3, "fit": "pad", "background": "white", "bits": 16},
    {"bands": ["nir", "red", "green", "blue"], "fit": "crop"},
    {"bands": [f"b{i}" for i in range(6)], "select": ["b5", "b0", "b1", "b2", "b3"], "bits": 16},
]


@pytest.fixture(scope="module", params=MODES, ids=lambda mode: "-".join(map(str, mode)))
def transformed(request, tmp_path_factory):
    """Five training images and a test image, transformed with tf.Transform on Beam."""
    config = ImageConfig(size=(6, 4), **request.param)
    rng = np.random.default_rng(0)
    channels = 3 if config.bands is None else len(config.bands)

    def rows(count):
        return [
            {
                "image_bytes": to_decodable(rng.integers(0, 65536, (9 + i, 7, channels)).astype(np.uint16)),
                "label_index": i % 2,
                "path": f"{i}.png".encode(),
                "weight": i / 2,
            }
            for i in range(count)
        ]

    train, test = rows(5), rows(1)
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(RAW))
    function = functools.partial(preprocessing_fn, custom_config={"image": config.model_dump(mode="json")})
    with tft_beam.Context(temp_dir=str(tmp_path_factory.mktemp("tft"))):
        (train_out, _), graph = (train, metadata) | tft_beam.AnalyzeAndTransformDataset(function)
        test_out, _ = ((test, metadata), graph) | tft_beam.TransformDataset()
    return config, train, test, train_out, test_out


def test_pixels_equal_those_of_preprocess(transformed):
    config, train, test, train_out, test_out = transformed
    for before, after in zip(train + test, train_out + test_out, strict=True):
        expected = preprocess(tf.constant([before["image_bytes"]]), config)[0]
        np.testing.assert_array_equal(decode_pixels(tf.constant(after["pixels"]), config), expected)
        assert after["label_index"] == before["label_index"]
        assert (after["path"], after["weight"]) == (before["path"], before["weight"])


def test_stored_rows_are_small(transformed):
    config, _, _, train_out, _ = transformed
    raw = config.height * config.width * config.count * config.bits // 8
    # Random pixels cannot be compressed; PNG may add only its overhead of about 70 bytes.
    assert all(len(row["pixels"]) <= raw * 1.1 + 100 for row in train_out)

import numpy as np
import pytest
import tensorflow as tf

from restem.images.config import ImageConfig
from restem.images.container import SIGNATURE, pack, to_decodable, unpack
from restem.images.graph.decode import Depth, decode, decode_raw


def values(kind: str, channels: int) -> np.ndarray:
    rng = np.random.default_rng(channels)
    return (rng.integers(0, 65536, (7, 5, channels)) / (256.0 if kind == "uint8" else 1.0)).astype(kind)


@pytest.mark.parametrize(("kind", "channels"), [("uint8", 1), ("uint8", 2), ("uint16", 3), ("uint16", 4)])
def test_pixels_that_fit_into_a_png_become_one(kind, channels):
    pixels = values(kind, channels)
    data = to_decodable(pixels)
    assert data.startswith(b"\x89PNG")
    got = tf.io.decode_png(data, dtype=kind).numpy()
    assert got.dtype == pixels.dtype
    np.testing.assert_array_equal(got, pixels)


@pytest.mark.parametrize(("kind", "channels"), [("uint8", 5), ("uint16", 13), ("float32", 1), ("float32", 13)])
def test_the_graph_reads_the_raw_container(kind, channels):
    pixels = values(kind, channels)
    data = to_decodable(pixels)
    assert data.startswith(SIGNATURE)
    got = decode_raw(tf.constant(data), Depth(16, (0.0, 65535.0) if kind == "float32" else None)).numpy()
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(got, pixels.astype(int) * (257 if kind == "uint8" else 1))


@pytest.mark.parametrize(("kind", "channels"), [("uint8", 5), ("uint16", 13), ("float32", 2)])
def test_unpack_reverses_pack(kind, channels):
    pixels = values(kind, channels)
    got = unpack(pack(pixels))
    assert got.dtype == pixels.dtype
    np.testing.assert_array_equal(got, pixels)
    with pytest.raises(ValueError, match=r"buffer|reshape"):
        unpack(pack(pixels)[:-30])
    with pytest.raises(ValueError, match="not a raw container"):
        unpack(bytes(30))


def test_strides_and_byte_order_do_not_change_the_packed_data():
    pixels = values("uint16", 5)
    assert pack(pixels.astype(">u2")) == pack(np.asfortranarray(pixels)) == pack(pixels)


def test_floats_without_a_range_are_refused_with_the_remedy():
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"image\.value_range: \[black, white\]"):
        decode(tf.constant(pack(values("float32", 1))), ImageConfig(size=4, channels=1))


def test_more_than_four_channels_without_names_are_refused():
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"name them in image\.bands"):
        decode(tf.constant(pack(values("uint8", 5))), ImageConfig(size=4, channels=3))


@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_truncated_container_is_refused(tenth):
    data = pack(values("uint16", 13))
    run = tf.function(decode_raw, input_signature=[tf.TensorSpec([], tf.string)])
    with pytest.raises((tf.errors.InvalidArgumentError, tf.errors.DataLossError)):
        run(data[: len(data) * tenth // 10])

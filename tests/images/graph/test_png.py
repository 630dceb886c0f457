"""A PNG's transparent colour."""

import struct

import numpy as np
import pytest
import tensorflow as tf

from restem.images.config import ImageConfig
from restem.images.graph.decode import decode, decode_raw
from restem.images.graph.png import with_transparent_colour

from ..conftest import png, png_chunk


def keyed(pixels: np.ndarray, bits: int, key: tuple[int, ...], before: bytes = b"") -> bytes:
    """A PNG with a transparent colour."""
    return png(pixels, bits, before + png_chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)))


def values(bits: int, channels: int) -> np.ndarray:
    return np.random.default_rng(bits).integers(0, 2**bits, (7, 9, channels))


@pytest.mark.parametrize(("bits", "channels"), [(1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (8, 3), (16, 3)])
@pytest.mark.parametrize("depth", [8, 16])
def test_it_shows_the_background(bits, channels, depth):
    stored = values(bits, channels)
    key = tuple(stored[3, 4])
    config = ImageConfig(size=8, channels=channels, bits=depth, background="white")
    got = decode(tf.constant(keyed(stored, bits, key)), config).numpy()
    plain = decode(tf.constant(png(stored, bits)), config).numpy()
    hidden = (stored == key).all(-1, keepdims=True)
    np.testing.assert_array_equal(got, np.where(hidden, config.white, plain))


def test_16_bits_are_compared_at_16_bits():
    stored = np.array([[[1000], [1001]]])
    got = decode(tf.constant(keyed(stored, 16, (1000,))), ImageConfig(size=8, channels=1, background="white"))
    np.testing.assert_array_equal(got[0, :, 0], [255, 4])


@pytest.mark.parametrize("config", [ImageConfig(size=8, channels=3), ImageConfig(size=8, bands=("a", "b", "c"))])
def test_without_a_background_the_stored_colour_is_used(config):
    stored = values(8, 3)
    np.testing.assert_array_equal(decode(tf.constant(keyed(stored, 8, tuple(stored[0, 0]))), config), stored)


def test_it_is_found_after_other_chunks():
    stored = values(8, 1)
    more = png_chunk(b"tEXt", b"word\0" + b"x" * 70_000) + png_chunk(b"pHYs", struct.pack(">IIB", 1, 1, 0))
    data = keyed(stored, 8, (int(stored[0, 0, 0]),), before=more)
    assert decode_raw(tf.constant(data), transparent_colour=True).shape[-1] == 2
    assert decode_raw(tf.constant(data)).shape[-1] == 1


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 10_000])
def test_a_chunk_that_is_longer_than_the_file_ends_the_search(length):
    """It tests only the search, because TensorFlow refuses the file."""
    data = keyed(values(8, 1), 8, (0,))
    at = data.index(b"tRNS") - 4
    broken = data[:at] + struct.pack(">I4s", length, b"junk") + data[at:]
    pixels = tf.zeros([2, 2, 1], tf.uint8)
    assert with_transparent_colour(pixels, tf.constant(broken)).shape[-1] == 1

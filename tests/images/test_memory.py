"""Reading an image takes at most 2.5 times the memory of its pixels.

tracemalloc sees the memory of Python and NumPy, not that inside C libraries. Of those, OpenJPEG and TensorFlow need the
most; `Header.memory_bytes` counts it, and the refusal says it.
"""

import io
import tracemalloc

import imagecodecs
import numpy as np
import pytest
import tifffile

from restem.images.arrays import read_array
from restem.images.container import to_decodable
from restem.images.formats.rows import by_rows
from restem.images.header import MEMORY_FACTOR, Header, UnreadableImage
from restem.images.probe import probe

from .test_arrays import npy

SIDE = 1200
LIMITS = {"max_pixels": 10_000_000, "max_bytes": 1 << 28}
RGB = {"photometric": "rgb"}
STRIPS = {"rowsperstrip": 32}


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    """uint16 [SIDE, SIDE, 4] that no codec makes smaller: the worst case."""
    return np.random.default_rng(0).integers(0, 65536, (SIDE, SIDE, 4), np.uint16)


def tiff(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


CASES = {
    "npy": lambda deep: npy(deep[..., :3]),
    "npy, floats": lambda deep: npy(deep[..., 0].astype(np.float32)),
    "npy, 64-bit floats": lambda deep: npy(deep[..., 0].astype(np.float64)),
    "npy, 32-bit integers": lambda deep: npy(deep[..., 0].astype(np.uint32) * 65537),
    "npy, columns first": lambda deep: npy(np.asfortranarray(deep[..., :3])),
    "tiff": lambda deep: tiff(deep[..., :3], **STRIPS, **RGB),
    "tiff, tiles": lambda deep: tiff(deep[..., :3], tile=(256, 256), compression="zlib", predictor=2, **RGB),
    "tiff, one strip": lambda deep: tiff(deep[..., :3], compression="zlib", rowsperstrip=SIDE, **RGB),
    "tiff, planes": lambda deep: tiff(np.moveaxis(deep[..., :3], -1, 0).copy(), planarconfig="separate", **RGB),
    "tiff, turned": lambda deep: tiff(deep[..., :3], extratags=[(274, 3, 1, 6, True)], **STRIPS, **RGB),
    "tiff, white is 0": lambda deep: tiff(deep[..., 0], photometric="miniswhite", **STRIPS),
    "tiff, premultiplied": lambda deep: tiff(deep, extrasamples=["assocalpha"], **STRIPS, **RGB),
    "tiff, floats": lambda deep: tiff(deep[..., 0].astype(np.float32), **STRIPS),
    "jpeg, 12 bits": lambda deep: imagecodecs.jpeg8_encode(deep[..., 0] >> 4, level=95, bitspersample=12),
}


@pytest.mark.parametrize("name", CASES)
def test_the_peak_is_at_most_twice_and_a_half_of_the_pixels(noise, name):
    data = bytearray(CASES[name](noise))
    header = probe(bytes(data), **LIMITS)
    read_array(bytes(data), header)  # imports the codecs
    tracemalloc.start()
    held = [bytes(data)]
    stored = to_decodable(read_array(held.pop(), header))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(stored) > header.decoded_bytes / 4, "the case is not the worst one"
    assert header.decoded_bytes < peak <= MEMORY_FACTOR * header.decoded_bytes


def test_the_measurement_sees_a_copy():
    pixels = np.zeros((1000, 1000), np.uint16)
    tracemalloc.start()
    by_rows(lambda rows: rows + np.uint16(1), pixels, np.uint16)
    in_place = tracemalloc.get_traced_memory()[1]
    copied = pixels + np.uint16(1)
    assert tracemalloc.get_traced_memory()[1] >= copied.nbytes > in_place
    tracemalloc.stop()


def test_what_a_library_needs_more_counts():
    """OpenJPEG has 4 bytes for every value, so a JPEG 2000 file reaches the limit earlier than an array."""
    pixels = np.zeros((40, 50, 3), np.uint8)
    limit = {**LIMITS, "max_decoded_bytes": pixels.nbytes}
    assert probe(npy(pixels), **limit).memory_bytes(0) <= MEMORY_FACTOR * pixels.nbytes
    data = imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True)
    needed = 2 * len(data) + 5 * pixels.nbytes
    with pytest.raises(UnreadableImage, match=rf"takes up to {needed:,} bytes; the limit is 2\.5 times.*\(15,000\)"):
        probe(data, **limit)
    assert probe(data, **LIMITS, max_decoded_bytes=2 * needed // 5 + 1).format == "JPEG2000"


@pytest.mark.parametrize(
    ("depth", "whole", "size"), [(32, False, 4), (64, False, 8), (32, True, 8), (16, True, 4), (16, False, 4)]
)
def test_the_size_of_values(depth, whole, size):
    assert Header("NPY", 1, 1, 1, depth, needs_range=True, whole=whole).value_bytes == size

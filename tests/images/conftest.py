"""Images made in the test process, and Pillow's reading of them."""

import io
import os
import struct
import zlib

# Decoding needs no GPU, and searching for one costs seconds and a page of warnings.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A smooth, colourful uint8 [61, 83, 3]; JPEG and resizing treat it like a photograph."""
    y, x = np.mgrid[0:61, 0:83]
    waves = [np.sin(x / 9 + y / 17), np.cos(x / 5 - y / 11), np.sin((x + y) / 7)]
    noise = np.random.default_rng(0).normal(0, 4, (61, 83, 3))
    return np.clip(127 + 110 * np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def encoded(photo):
    """encoded(mode, format, **save_options): the photo in a Pillow mode, encoded."""

    def encode(mode: str, kind: str, **options) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(photo).convert(mode).save(buffer, kind, **options)
        return buffer.getvalue()

    return encode


def pillow(data: bytes, mode: str = "RGB") -> np.ndarray:
    """The file's pixels as read by Pillow, int64 [h, w, C]."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert(mode), np.int64)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def png(pixels: np.ndarray, bits: int, before: bytes = b"") -> bytes:
    """A PNG of [h, w, 1..4] numbers of 1 to 16 bits, written byte by byte, with chunks `before` the image data."""
    height, width, channels = pixels.shape
    if bits == 16:
        rows = [row.astype(">u2").tobytes() for row in pixels]
    else:
        shifts = np.arange(bits)[::-1]
        rows = [np.packbits((row.reshape(-1, 1) >> shifts) & 1).tobytes() for row in pixels]
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    data = png_chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return PNG_SIGNATURE + header + before + data + png_chunk(b"IEND", b"")


def png_chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG: length, name, content, checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

"""Images made in the tests' own process, and Pillow's reading of them."""

import io
import os

# Decoding needs no GPU, and asking for one costs seconds and a page of warnings.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A smooth, colourful uint8 [61, 83, 3]: JPEG and resizing behave on it as on a photograph."""
    y, x = np.mgrid[0:61, 0:83]
    waves = [np.sin(x / 9 + y / 17), np.cos(x / 5 - y / 11), np.sin((x + y) / 7)]
    noise = np.random.default_rng(0).normal(0, 4, (61, 83, 3))
    return np.clip(127 + 110 * np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def encoded(photo):
    """encoded(mode, format, **save_options): the photo in a Pillow mode, as a file's bytes."""

    def encode(mode: str, kind: str, **options) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(photo).convert(mode).save(buffer, kind, **options)
        return buffer.getvalue()

    return encode


def pillow(data: bytes, mode: str = "RGB") -> np.ndarray:
    """Pillow's pixels of the file, int64 [h, w, C]."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert(mode), np.int64)
    return pixels if pixels.ndim == 3 else pixels[..., None]

"""Small pictures for the page, as data URIs: nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from restem.images.container import SIGNATURE, unpack
from restem.images.panels import panels

BOX_PIXELS = 192  # the contact sheet shows 144 CSS pixels; a third more keeps phones and print sharp
MAX_PICTURES = 4  # of one image: its colours and three further bands
MAX_PIXELS = 100_000_000  # an image larger than this is not decoded for a thumbnail


@dataclass(frozen=True)
class Thumbnail:
    """An image as it can be shown, and the size of the original in pixels.

    pictures: (caption, data URI) each: an ordinary image is one picture without a caption; of an image with further
      bands each is a picture of its own.
    """

    pictures: tuple[tuple[str, str], ...]
    height: int
    width: int


def data_uri(content: bytes, media_type: str) -> str:
    """The content as a `data:` address."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def thumbnail(encoded: bytes, names: Sequence[str] = ()) -> Thumbnail | None:
    """Pictures of an encoded image (PNG, JPEG, BMP, GIF's first frame, raw container); None if it cannot be decoded.

    Images up to `BOX_PIXELS` keep every pixel (PNG; the page enlarges them without smoothing), larger ones are reduced
    (JPEG). `names` are the channels' names in the file's order, see `restem.images.panels`; of the pictures at most
    `MAX_PICTURES` are made. Depths other than 8 bits are stretched from a picture's darkest to its brightest value.
    """
    from PIL import Image

    try:
        if encoded.startswith(SIGNATURE):
            pixels = unpack(encoded)
        else:
            with Image.open(io.BytesIO(encoded)) as file:
                image: Image.Image = file
                if image.width * image.height > MAX_PIXELS:
                    return None
                if image.mode in ("P", "1", "CMYK", "YCbCr", "LAB", "HSV"):
                    image, names = image.convert("RGB"), ()
                pixels = np.asarray(image)
        shown = panels(pixels, names)
        pictures = [(caption if len(shown) > 1 else "", _small(panel)) for caption, panel in shown[:MAX_PICTURES]]
    except Exception:  # Pillow raises nearly anything on damaged files; a report must not die of one picture
        return None
    return Thumbnail(tuple(pictures), pixels.shape[0], pixels.shape[1])


def _small(pixels: np.ndarray) -> str:
    """[height, width] or [height, width, 3] of any type, as a data URI."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(_to_8_bits(pixels)))
    output = io.BytesIO()
    if max(picture.size) <= BOX_PIXELS:
        picture.save(output, "PNG", optimize=True)
        return data_uri(output.getvalue(), "image/png")
    picture.thumbnail((BOX_PIXELS, BOX_PIXELS), Image.Resampling.LANCZOS)
    picture.save(output, "JPEG", quality=85)
    return data_uri(output.getvalue(), "image/jpeg")


def _to_8_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    values = pixels.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    return np.round((values - low) * (255.0 / (high - low) if high > low else 0.0)).astype(np.uint8)


def picture_uri(encoded: bytes, max_width: int = 1600, max_bytes: int = 1_000_000) -> str:
    """A finished PNG as a data URI, reduced only where it is too heavy for the page."""
    if len(encoded) <= max_bytes:
        return data_uri(encoded, "image/png")
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as image:
        picture = image.convert("RGB")
    picture.thumbnail((max_width, max_width * 4), Image.Resampling.LANCZOS)
    output = io.BytesIO()
    picture.save(output, "JPEG", quality=85)
    return data_uri(output.getvalue(), "image/jpeg")

"""Small pictures for the page, as data URIs: nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.images.container import SIGNATURE, unpack

BOX_PIXELS = 192  # the contact sheet shows 144 CSS pixels; a third more keeps phones and print sharp
MAX_PIXELS = 100_000_000  # an image larger than this is not decoded for a thumbnail


@dataclass(frozen=True)
class Thumbnail:
    """A picture of an image and the size of the original in pixels."""

    uri: str
    height: int
    width: int


def data_uri(content: bytes, media_type: str) -> str:
    """The content as a `data:` address."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def thumbnail(encoded: bytes, names: Sequence[str] = ()) -> Thumbnail | None:
    """A picture of an encoded image (PNG, JPEG, BMP, GIF's first frame, raw container); None if it cannot be decoded.

    Images up to `BOX_PIXELS` keep every pixel (PNG; the page enlarges them without smoothing), larger
    ones are reduced (JPEG). `names` are the channel names in file order: where red, green and blue
    are among them they make the colours, otherwise the first three channels do, or the first alone.
    Depths other than 8 bits are stretched from their darkest to their brightest value.
    """
    from PIL import Image

    try:
        if encoded.startswith(SIGNATURE):
            pixels = unpack(encoded)
            height, width = pixels.shape[:2]
            picture = _visible_pixels(pixels, names)
            return _small(picture, height, width)
        with Image.open(io.BytesIO(encoded)) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            height, width = image.height, image.width
            picture = _visible(image, names)
    except Exception:  # Pillow raises nearly anything on damaged files; a report must not die of one picture
        return None
    return _small(picture, height, width)


def _small(picture, height: int, width: int) -> Thumbnail:  # noqa: ANN001 - Pillow is imported where it is used
    from PIL import Image

    output = io.BytesIO()
    if max(height, width) <= BOX_PIXELS:
        picture.save(output, "PNG", optimize=True)
        return Thumbnail(data_uri(output.getvalue(), "image/png"), height, width)
    picture.thumbnail((BOX_PIXELS, BOX_PIXELS), Image.Resampling.LANCZOS)
    picture.save(output, "JPEG", quality=85)
    return Thumbnail(data_uri(output.getvalue(), "image/jpeg"), height, width)


def _visible(image, names: Sequence[str]):  # noqa: ANN001, ANN202 - Pillow is imported where it is used
    """The image as 8-bit grey or RGB, whatever its depth and number of channels."""
    if image.mode in ("P", "1", "CMYK", "YCbCr", "LAB", "HSV"):
        return image.convert("RGB")
    return _visible_pixels(np.asarray(image), names)


def _visible_pixels(pixels: np.ndarray, names: Sequence[str]):  # noqa: ANN202 - Pillow is imported where it is used
    """[height, width] or [height, width, channels] of any type as an 8-bit grey or RGB image."""
    from PIL import Image

    if pixels.dtype != np.uint8:
        values = pixels.astype(np.float64)
        low, high = float(values.min()), float(values.max())
        pixels = np.round((values - low) * (255.0 / (high - low) if high > low else 0.0)).astype(np.uint8)
    if pixels.ndim == 2:
        return Image.fromarray(pixels)
    colours = [list(names).index(c) for c in ("red", "green", "blue") if c in names]
    if len(colours) != 3 or max(colours) >= pixels.shape[2]:
        colours = [0, 1, 2] if pixels.shape[2] >= 3 else [0]
    return Image.fromarray(np.ascontiguousarray(np.squeeze(pixels[:, :, colours])))


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

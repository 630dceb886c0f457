"""Small pictures for the page as data URIs, so that the page loads nothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from restem.images.container import SIGNATURE, unpack
from restem.images.nodata import Nodata
from restem.images.panels import panels
from restem.images.small import encode_small
from restem.images.values import filled

MAX_PICTURES = 4  # per image: its colours and three more bands
MAX_PIXELS = 100_000_000  # larger images are not decoded for a thumbnail


@dataclass(frozen=True)
class Thumbnail:
    """An image for display, and the size of the original in pixels.

    pictures: (caption, data URI) each. An ordinary image is one picture without a caption; each additional band is a
      separate picture.
    """

    pictures: tuple[tuple[str, str], ...]
    height: int
    width: int


def data_uri(content: bytes, media_type: str) -> str:
    """The content as a `data:` URI."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def thumbnail(encoded: bytes, names: Sequence[str] = (), rule: Nodata | None = None) -> Thumbnail | None:
    """Pictures of an encoded image (PNG, JPEG, BMP, GIF's first frame, raw container); None if it cannot be decoded.

    Small images keep every pixel (PNG; the page enlarges them without smoothing), large ones are reduced (JPEG), see
    restem.images.small. `names` are the channels' names in the file's order, see `restem.images.panels`; at most
    `MAX_PICTURES` pictures are created. Depths other than 8 bits are stretched from a picture's darkest to its
    brightest value; pixels without data (`rule`) are as dark as the darkest.
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
        if rule is not None:
            pixels = filled(np.atleast_3d(pixels), rule, "min")
        shown = panels(pixels, names)
        pictures = [
            (caption if len(shown) > 1 else "", data_uri(*encode_small(panel)))
            for caption, panel in shown[:MAX_PICTURES]
        ]
    except Exception:  # Pillow raises many types for damaged files; one picture must not stop the report
        return None
    return Thumbnail(tuple(pictures), pixels.shape[0], pixels.shape[1])


def picture_uri(encoded: bytes, max_width: int = 1600, max_bytes: int = 1_000_000) -> str:
    """A PNG as a data URI, reduced only if it is too large for the page."""
    if len(encoded) <= max_bytes:
        return data_uri(encoded, "image/png")
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as image:
        picture = image.convert("RGB")
    picture.thumbnail((max_width, max_width * 4), Image.Resampling.LANCZOS)
    output = io.BytesIO()
    picture.save(output, "JPEG", quality=85)
    return data_uri(output.getvalue(), "image/jpeg")

"""Small pictures of an image's channels, for people."""

import io

import numpy as np

MOST_BYTES = 30_000  # as PNG: the report holds up to 200 pictures and stays below 10 MB
BOX_PIXELS = 192  # the report shows 144 CSS pixels; a third more keeps phones and print sharp


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """The same shape as uint8; other depths are stretched from the darkest to the brightest value."""
    if pixels.dtype == np.uint8:
        return pixels
    values = pixels.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    return np.round((values - low) * (255.0 / (high - low) if high > low else 0.0)).astype(np.uint8)


def encode_small(pixels: np.ndarray) -> tuple[bytes, str]:
    """A file and its media type: PNG up to `BOX_PIXELS` and `MOST_BYTES`, which keeps every pixel; else JPEG, reduced.

    Args:
      pixels: [height, width] or [height, width, 3] of any type.
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(to_8_bits(pixels)))
    if max(picture.size) <= BOX_PIXELS:
        exact = io.BytesIO()
        picture.save(exact, "PNG", optimize=True)
        if exact.tell() <= MOST_BYTES:
            return exact.getvalue(), "image/png"
    picture.thumbnail((BOX_PIXELS, BOX_PIXELS), Image.Resampling.LANCZOS)
    reduced = io.BytesIO()
    picture.save(reduced, "JPEG", quality=85)
    return reduced.getvalue(), "image/jpeg"

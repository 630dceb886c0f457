"""Small pictures of an image's channels, for people."""

import io

import numpy as np

BOX_PIXELS = 192  # the report shows 144 CSS pixels; a third more keeps phones and print sharp


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """The same shape as uint8; other depths are stretched from the darkest to the brightest value."""
    if pixels.dtype == np.uint8:
        return pixels
    values = pixels.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    return np.round((values - low) * (255.0 / (high - low) if high > low else 0.0)).astype(np.uint8)


def encode_small(pixels: np.ndarray) -> tuple[bytes, str]:
    """A file and its media type: PNG up to `BOX_PIXELS`, which keeps every pixel; larger pictures are reduced (JPEG).

    Args:
      pixels: [height, width] or [height, width, 3] of any type.
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(to_8_bits(pixels)))
    output = io.BytesIO()
    if max(picture.size) <= BOX_PIXELS:
        picture.save(output, "PNG", optimize=True)
        return output.getvalue(), "image/png"
    picture.thumbnail((BOX_PIXELS, BOX_PIXELS), Image.Resampling.LANCZOS)
    picture.save(output, "JPEG", quality=85)
    return output.getvalue(), "image/jpeg"

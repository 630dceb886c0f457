"""Turns pixels as the tag Orientation says, which has the same numbers in TIFF (6.0) and EXIF."""

import numpy as np


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """A view of [height, width, channels] as it is meant to be seen; the orientation is 1 to 8."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels

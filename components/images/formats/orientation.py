"""Turns pixels as the tag Orientation says, which has the same numbers in TIFF (6.0) and EXIF."""

import numpy as np


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """A view of [height, width, channels] as it is meant to be seen; the orientation is 1 to 8."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def upside_back(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The inverse of `upright`: a view of upright pixels in the order in which they are stored."""
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels.swapaxes(0, 1) if orientation >= 5 else pixels

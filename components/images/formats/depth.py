"""Scales few bits to the full range of 8 or 16 bits, as everywhere in the product: white is 255 or 65535."""

import numpy as np

from restem.images.formats.rows import by_rows


def to_full_range(pixels: np.ndarray, most: int) -> np.ndarray:
    """Values 0..most of any unsigned type -> uint8 0..255 (most up to 255) or uint16 0..65535, rounded.

    Larger values, which only a damaged file has, become white.

    Args:
      pixels: [height, width, ...]; its memory is used for the result if it is writeable and has the result's type.
      most: the value of white.
    """
    kind = np.uint8 if most <= np.iinfo(np.uint8).max else np.uint16
    white = int(np.iinfo(kind).max)
    if most == white:
        return pixels if pixels.dtype == kind else by_rows(lambda rows: np.minimum(rows, white), pixels, kind)
    if not 0 < most < white:
        raise ValueError(f"a largest value of {most}")
    # One entry per possible value: 65,536 at most, so that no pixel needs more than its own bytes.
    scaled = ((np.arange(most + 1, dtype=np.uint64) * white + most // 2) // most).astype(kind)
    return by_rows(lambda rows: scaled[np.minimum(rows, most)], pixels, kind)

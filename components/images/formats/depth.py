"""Scales few bits to the full range of 8 or 16 bits, as everywhere in the product: white is 255 or 65535."""

import numpy as np


def to_full_range(pixels: np.ndarray, most: int) -> np.ndarray:
    """Values 0..most of any unsigned type -> uint8 0..255 (most up to 255) or uint16 0..65535, rounded.

    Larger values, which only a damaged file has, become white.
    """
    kind = np.uint8 if most <= np.iinfo(np.uint8).max else np.uint16
    white = int(np.iinfo(kind).max)
    if most == white:
        return np.minimum(pixels, white).astype(kind, copy=False)
    if not 0 < most < white:
        raise ValueError(f"a largest value of {most}")
    # One entry per possible value: 65,536 at most, so that no pixel needs more than its own bytes.
    scaled = (np.arange(most + 1, dtype=np.uint64) * white + most // 2) // most
    return scaled.astype(kind)[np.minimum(pixels, most)]

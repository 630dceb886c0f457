"""Converts large arrays a few rows at a time, so that the intermediate results need little memory."""

from collections.abc import Callable

import numpy as np

_BLOCK_VALUES = 2**20


def by_rows(
    convert: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, channels: int, dtype: np.dtype | type
) -> np.ndarray:
    """`convert` of all pixels. The result is in the memory of `pixels` if it has the same shape and type.

    Args:
      convert: maps [rows, width, C] to [rows, width, channels].
      pixels: [height, width, C]; its values may be replaced.
      channels: of the result.
      dtype: of the result.
    """
    shape = (*pixels.shape[:2], channels)
    reused = pixels.flags.writeable and pixels.shape == shape and pixels.dtype == dtype
    result = pixels if reused else np.empty(shape, dtype)
    rows = max(1, _BLOCK_VALUES // max(1, pixels.shape[1] * pixels.shape[2]))
    for start in range(0, pixels.shape[0], rows):
        result[start : start + rows] = convert(pixels[start : start + rows])
    return result

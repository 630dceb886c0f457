"""Converts large arrays a few rows at a time, so that the intermediate results need little memory."""

from collections.abc import Callable, Iterator

import numpy as np

_BLOCK_VALUES = 2**18


def by_rows(
    convert: Callable[[np.ndarray], np.ndarray],
    pixels: np.ndarray,
    dtype: np.dtype | type,
    channels: int | None = None,
) -> np.ndarray:
    """`convert` of all pixels. The result is in the memory of `pixels` if it has the same shape and type.

    Args:
      convert: maps [rows, width, ...] to [rows, width, ...].
      pixels: [height, width, ...]; its values may be replaced.
      dtype: of the result.
      channels: the length of the result's last axis; None leaves it.
    """
    shape = pixels.shape if channels is None else (*pixels.shape[:-1], channels)
    reused = pixels.flags.writeable and pixels.shape == shape and pixels.dtype == dtype
    result = pixels if reused else np.empty(shape, dtype)
    for start, rows in blocks(pixels):
        result[start : start + len(rows)] = convert(rows)
    return result


def blocks(pixels: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The first row, and a view of some rows, until all rows were there."""
    rows = max(1, _BLOCK_VALUES * pixels.shape[0] // max(1, pixels.size))
    for start in range(0, pixels.shape[0], rows):
        yield start, pixels[start : start + rows]

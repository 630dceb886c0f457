"""Values without data in NumPy arrays: for looking at images, and for measuring what `restem init` proposes.

What the model sees is decided by `graph.missing`; a test keeps both the same.
"""

from typing import Any, Literal

import numpy as np

from restem.images.nodata import Nodata


def as_type(value: float, dtype: Any) -> Any:
    """A number in the type of stored values; None if the type cannot hold it, so that no value is equal to it."""
    kind = np.dtype(dtype)
    if np.issubdtype(kind, np.integer):
        limits = np.iinfo(kind)
        return kind.type(int(value)) if value.is_integer() and limits.min <= value <= limits.max else None
    with np.errstate(over="ignore"):
        stored = kind.type(value)
    return stored if np.isfinite(stored) else None


def missing(values: np.ndarray, rule: Nodata) -> np.ndarray:
    """Which values are no data: bool, in the shape of `values`, [h, w, C]. NaN and infinity always are."""
    marked = np.zeros(values.shape, bool) if values.dtype.kind != "f" else ~np.isfinite(values)
    if rule.mask is not None and rule.mask < values.shape[-1]:
        return marked | (values[..., rule.mask, None] == 0)
    stored = None if rule.value is None else as_type(rule.value, values.dtype)
    return marked if stored is None else marked | (values == stored)


def filled(values: np.ndarray, rule: Nodata | None, how: Literal["min", "mean"]) -> np.ndarray:
    """A copy in which each channel has its smallest or mean value where it has no data; 0 if it has only such pixels.

    `min` is for looking at an image, `mean` for comparing images: no data is then like no other value.
    """
    if rule is None or not (marked := missing(values, rule)).any():
        return values
    result = values.copy()
    for place in range(values.shape[-1]):
        known = values[..., place][~marked[..., place]]
        result[..., place][marked[..., place]] = getattr(known, how)() if known.size else 0
    return result

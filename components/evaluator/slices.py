"""Both models on parts of the test images: by class, file format, image size or a kept column, or by two of these."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from restem.evaluator.paired import paired
from restem.evaluator.terms import CLASS, ENOUGH_IMAGES, IMAGE_SIZE


@dataclass(frozen=True)
class SliceResult:
    """Both models on the test images with the same value of a column, or of two.

    Attributes:
      column, value: of a pair, both names, joined by ×, and both values, joined by a comma.
      columns, values: the same, one by one.
      images: how many they are.
      candidate, baseline: accuracies, 0..1.
      judged: whether there are enough images.
      difference: the limits of candidate minus baseline, each with one-sided 95% confidence; None if not judged.
    """

    column: str
    value: str
    columns: tuple[str, ...]
    values: tuple[str, ...]
    images: int
    candidate: float
    baseline: float
    judged: bool
    difference: tuple[float, float] | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def column_text(column: str, features: Mapping[str, Any]) -> bytes:
    """An image's value of a column.

    Args:
      column: a column of data.metadata, which comes first if it has the name of a built-in one, or one of
        `BUILT_IN_COLUMNS`.
      features: of its raw example, each with one value.
    """
    if column == CLASS and CLASS not in features:
        column = "label"
    if column == IMAGE_SIZE and IMAGE_SIZE not in features:
        return size_text(min(int(only_value(features["height"])), int(only_value(features["width"])))).encode()
    return only_value(features[column])


def size_text(side: int) -> str:
    """A range of image sizes: the shorter side in pixels, from a power of two to the next."""
    low = 2 ** (side.bit_length() - 1) if side else 0
    return f"{low} to {max(0, 2 * low - 1)} pixels"


def results(
    asked: Sequence[tuple[str, ...]],
    columns: Mapping[str, np.ndarray],
    candidate_right: np.ndarray,
    baseline_right: np.ndarray,
) -> tuple[SliceResult, ...]:
    """Every slice that has images, in the order asked, and by value.

    Args:
      asked: one or two columns each.
      columns: each image's text by column, str [N].
      candidate_right, baseline_right: bool [N].
    """
    found = []
    for names in asked:
        keys = np.stack([columns[name] for name in names], axis=1)
        values, which = np.unique(keys, axis=0, return_inverse=True)
        order = np.argsort(which.ravel(), kind="stable")
        ends = np.cumsum(np.bincount(which.ravel(), minlength=len(values)))
        for value, chosen in zip(values.tolist(), np.split(order, ends[:-1]), strict=True):
            found.append(_result(names, tuple(value), candidate_right[chosen], baseline_right[chosen]))
    return tuple(found)


def _result(
    names: tuple[str, ...], values: tuple[str, ...], candidate: np.ndarray, baseline: np.ndarray
) -> SliceResult:
    judged = len(candidate) >= ENOUGH_IMAGES
    limits = paired(candidate, baseline).difference if judged else None
    return SliceResult(
        column=" × ".join(names),
        value=values[0] if len(values) == 1 else ", ".join(value or "(empty)" for value in values),
        columns=names,
        values=values,
        images=len(candidate),
        candidate=math.fsum(candidate) / len(candidate),
        baseline=math.fsum(baseline) / len(baseline),
        judged=judged,
        difference=None if limits is None else (limits.low, limits.high),
    )


def only_value(value: Any) -> Any:
    """The value of an array with one element."""
    (one,) = np.asarray(value).ravel().tolist()
    return one

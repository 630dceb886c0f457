"""The report's metrics and statistics, as pure functions of labels, predictions and confidences."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from restem.evaluator.paired import Interval


def wilson_interval(successes: int, trials: int) -> Interval:
    """Wilson's score interval for a proportion, 95% (Wilson 1927, JASA 22, 209-212).

    Unlike the normal approximation, it stays within [0, 1] and keeps its coverage near 0 and 1, where accuracies are.
    Zero trials give (nan, 0, 1).

    Raises:
      ValueError: more successes than trials, or a negative number.
    """
    from scipy.stats import binomtest

    if not trials:
        return Interval(math.nan, 0.0, 1.0)
    limits = binomtest(successes, trials).proportion_ci(method="wilson")
    return Interval(successes / trials, float(limits.low), float(limits.high))


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """int64 [classes, classes]: row = true class, column = predicted class."""
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(labels, predicted, labels=np.arange(classes))


@dataclass(frozen=True)
class ClassScore:
    """Metrics of one class; None if there are no images to measure a metric on."""

    index: int
    images: int
    precision: float | None
    recall: float | None
    f1: float | None  # 0 for a class with images but no hit, None for one that is neither present nor predicted


def class_scores(labels: np.ndarray, predicted: np.ndarray, classes: int) -> tuple[ClassScore, ...]:
    """Precision, recall and F1 of every class."""
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, f1, images = precision_recall_fscore_support(
        labels, predicted, labels=np.arange(classes), zero_division=np.nan
    )

    def known(value: float) -> float | None:
        return None if math.isnan(value) else float(value)

    return tuple(
        ClassScore(i, int(images[i]), known(precision[i]), known(recall[i]), known(f1[i])) for i in range(classes)
    )


def surest(chosen: np.ndarray, confidence: np.ndarray, limit: int) -> np.ndarray:
    """Positions of at most `limit` of the chosen predictions (bool [N]), most confident first."""
    positions = np.flatnonzero(chosen)
    return positions[np.argsort(-confidence[positions], kind="stable")][:limit]

"""The numbers of the report, as pure functions of labels, predictions and confidences."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """An estimate with the limits of its confidence interval."""

    value: float
    low: float
    high: float


def wilson_interval(successes: int, trials: int) -> Interval:
    """Wilson's score interval for a proportion, 95% (Wilson 1927, JASA 22, 209-212).

    Unlike the textbook interval it stays inside [0, 1] and keeps its coverage near 0 and 1, where accuracies are. Zero
    trials give (nan, 0, 1): nothing is known.

    Raises:
      ValueError: more successes than trials, or a negative number.
    """
    from scipy.stats import binomtest

    if not trials:
        return Interval(math.nan, 0.0, 1.0)
    limits = binomtest(successes, trials).proportion_ci(method="wilson")
    return Interval(successes / trials, float(limits.low), float(limits.high))


@dataclass(frozen=True)
class Paired:
    """Two classifiers on the same images, counted by which of them is right."""

    both: int
    only_candidate: int
    only_baseline: int
    neither: int

    @property
    def images(self) -> int:
        """How many images both were judged on."""
        return self.both + self.only_candidate + self.only_baseline + self.neither

    @property
    def p_value(self) -> float:
        """McNemar's exact test, two-sided: a sign test on the images on which exactly one is right.

        The probability of a split at least this uneven if the two were equally often right
        (McNemar 1947; exact binomial form). 1.0 where no image tells them apart.
        """
        from scipy.stats import binomtest

        discordant = self.only_candidate + self.only_baseline
        return float(binomtest(self.only_candidate, discordant, 0.5).pvalue) if discordant else 1.0

    @property
    def difference(self) -> Interval:
        """Candidate's accuracy less the baseline's, with the 95% interval for paired proportions.

        Newcombe 1998 (Statistics in Medicine 17, 2635-2650), method 10: Wilson's limits of the two
        proportions, combined with their correlation.
        """
        n, a, b, c, d = self.images, self.both, self.only_candidate, self.only_baseline, self.neither
        first, second = wilson_interval(a + b, n), wilson_interval(a + c, n)
        product: float = a * d - b * c
        if product > 0:  # Newcombe's continuity correction of the correlation, for positive ones only
            product = max(product - n / 2, 0.0)
        margins = (a + b) * (c + d) * (a + c) * (b + d)
        correlation = product / math.sqrt(margins) if margins else 0.0

        def spread(one: float, other: float) -> float:
            return math.sqrt(max(0.0, one * one - 2 * correlation * one * other + other * other))

        value = (b - c) / n if n else math.nan
        if n == 0:
            return Interval(value, -1.0, 1.0)
        low = value - spread(first.value - first.low, second.high - second.value)
        high = value + spread(first.high - first.value, second.value - second.low)
        return Interval(value, max(-1.0, low), min(1.0, high))


def paired(candidate_right: np.ndarray, baseline_right: np.ndarray) -> Paired:
    """Counts the four outcomes; both are bool [N], in the same order of images."""
    if candidate_right.shape != baseline_right.shape:
        raise ValueError(f"the two must judge the same images: {candidate_right.shape} and {baseline_right.shape}")
    return Paired(
        both=int(np.sum(candidate_right & baseline_right)),
        only_candidate=int(np.sum(candidate_right & ~baseline_right)),
        only_baseline=int(np.sum(~candidate_right & baseline_right)),
        neither=int(np.sum(~candidate_right & ~baseline_right)),
    )


@dataclass(frozen=True, eq=False)
class Calibration:
    """Confidence against accuracy in equally wide bins; empty bins hold nan."""

    edges: np.ndarray  # float64 [bins + 1], 0..1
    images: np.ndarray  # int64 [bins]
    confidence: np.ndarray  # float64 [bins], mean confidence of the bin's images
    accuracy: np.ndarray  # float64 [bins], share of them that is right
    expected_error: float  # the expected calibration error, 0..1


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> Calibration:
    """The reliability diagram's numbers (Guo et al. 2017, arXiv:1706.04599, section 2).

    `confidence` float [N] in 0..1 is the probability of the predicted class, `right` bool [N]. A bin
    holds its upper edge (the paper's (low, high]); a confidence of 0 falls into the first. The
    expected calibration error is the mean over images of |accuracy - confidence| of their bin.
    """
    confidence = np.asarray(confidence, dtype=np.float64)
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    images = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_confidence = np.bincount(place, weights=confidence, minlength=bins) / images
        accuracy = np.bincount(place, weights=right.astype(np.float64), minlength=bins) / images
    gaps = np.nan_to_num(np.abs(accuracy - mean_confidence))
    error = float(np.sum(images * gaps) / max(1, images.sum()))
    return Calibration(edges, images, mean_confidence, accuracy, error)


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """int64 [classes, classes]: row = true class, column = predicted class."""
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(labels, predicted, labels=np.arange(classes))


@dataclass(frozen=True)
class ClassScore:
    """How one class fares. None where a figure has no images to be measured on."""

    index: int
    images: int
    precision: float | None
    recall: float | None
    f1: float | None  # 0 for a class that has images and no hit, None for one that is neither present nor predicted


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
    """Positions of the chosen predictions (bool [N]) that the model was surest of, surest first, at most `limit`."""
    positions = np.flatnonzero(chosen)
    return positions[np.argsort(-confidence[positions], kind="stable")][:limit]

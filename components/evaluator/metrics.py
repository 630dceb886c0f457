"""The metrics that can be required, with the limits of their value and of the difference between two models."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from restem.evaluator.paired import (
    Interval,
    Paired,
    exact_interval,
    paired,
    square_and_add,
    weighted_rate,
)
from restem.evaluator.terms import ACCURACY, BALANCED, MACRO_F1, Metric

RESAMPLES = 10_000
CHUNK = 500  # resamples at a time, so that thousands of classes need little memory
SEED = 0


@dataclass(frozen=True, eq=False)
class Sample:
    """Two models' predicted classes on the same images.

    Attributes:
      classes: number of classes.
      labels, candidate, baseline: int64 [N], the true and the predicted classes, 0..classes-1.
    """

    classes: int
    labels: np.ndarray
    candidate: np.ndarray
    baseline: np.ndarray

    @property
    def images(self) -> int:
        """N."""
        return len(self.labels)

    @property
    def by_class(self) -> np.ndarray:
        """int64 [classes]: number of images by true class."""
        return np.bincount(self.labels, minlength=self.classes)

    @property
    def pair(self) -> Paired:
        """On how many images which of them is right."""
        return paired(self.candidate == self.labels, self.baseline == self.labels)

    def only(self, chosen: np.ndarray) -> Sample:
        """The images in `chosen`: bool [N]."""
        return Sample(self.classes, self.labels[chosen], self.candidate[chosen], self.baseline[chosen])

    def against(self, answer: int) -> Sample:
        """The candidate beside a model that gives the same answer for every image."""
        return replace(self, baseline=np.full_like(self.labels, answer))


def value(metric: Metric, sample: Sample) -> float:
    """The candidate's metric, 0..1; nan without images.

    `balanced_accuracy` is the mean of the classes' recalls, also known as macro recall. `macro_f1` is the mean of their
    F1. Both are over the classes that have images.
    """
    return _metric(metric, sample.labels, sample.candidate, sample.classes)


def interval(metric: Metric, sample: Sample, confidence: float) -> Interval:
    """The candidate's metric with its limits; each end has this one-sided confidence.

    Args:
      metric: accuracy has Clopper and Pearson's limits, balanced_accuracy those of the weighted errors, and macro_f1
        those of a bootstrap.
      sample: at least one image.
      confidence: 0.5..1.
    """
    if metric == ACCURACY:
        return exact_interval(int(np.sum(sample.candidate == sample.labels)), sample.images, confidence)
    if metric == BALANCED:
        wrong = _by_class(sample, sample.candidate != sample.labels)
        errors = weighted_rate(wrong, _weights(sample), confidence)
        return _within(Interval(1 - errors.value, 1 - errors.high, 1 - errors.low), 0.0)
    own = value(MACRO_F1, sample)
    return _within(_percentiles(own, _resampled(sample)[0], _rarest(sample), confidence), 0.0)


def difference(metric: Metric, sample: Sample, confidence: float) -> Interval:
    """The candidate's metric minus the baseline's, with its limits; each end has this one-sided confidence.

    Args:
      metric: see README.md for the method of each.
      sample: at least one image.
      confidence: 0.5..1.
    """
    if metric == ACCURACY:
        return sample.pair.interval(confidence)
    ours, theirs = sample.candidate == sample.labels, sample.baseline == sample.labels
    if metric == BALANCED:
        weights = _weights(sample)
        gained, lost = (
            weighted_rate(_by_class(sample, events), weights, confidence) for events in (ours & ~theirs, theirs & ~ours)
        )
        return _within(square_and_add(gained, lost), -1.0)
    estimate = value(MACRO_F1, sample) - _metric(MACRO_F1, sample.labels, sample.baseline, sample.classes)
    candidate, baseline = _resampled(sample)
    return _within(_percentiles(estimate, candidate - baseline, _rarest(sample), confidence), -1.0)


def _metric(metric: Metric, labels: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    if not len(labels):
        return float("nan")
    if metric == ACCURACY:
        return float(np.mean(labels == predicted))
    present = np.unique(labels)
    images = np.bincount(labels, minlength=classes)[present]
    hits = np.bincount(labels[labels == predicted], minlength=classes)[present]
    if metric == BALANCED:
        return float(np.mean(hits / images))
    answers = np.bincount(predicted, minlength=classes)[present]
    return float(np.mean(2 * hits / (images + answers)))


def _by_class(sample: Sample, events: np.ndarray) -> np.ndarray:
    """int64 [present classes]: how many images of each class have the event, of the classes with images."""
    return np.bincount(sample.labels[events], minlength=sample.classes)[sample.by_class > 0]


def _weights(sample: Sample) -> np.ndarray:
    """What one image of each present class adds to a mean over the classes."""
    images = sample.by_class[sample.by_class > 0]
    return 1 / (len(images) * images)


def _rarest(sample: Sample) -> float:
    """The most that one image can change a mean over the classes."""
    return float(_weights(sample).max())


def _within(found: Interval, least: float) -> Interval:
    return Interval(found.value, max(least, found.low), min(1.0, found.high))


def _percentiles(estimate: float, resampled: np.ndarray, step: float, confidence: float) -> Interval:
    """Percentile limits, moved away by what no image happens to show.

    A bootstrap repeats only what it has seen: from two models with equal answers it would conclude that they are equal,
    and with few different answers its limits are too narrow. An event that is in none of the images may still have a
    share of -log(1 - confidence) / images; its effect is combined with the limits as in `square_and_add`.
    """
    unseen = -np.log(1 - confidence) * step
    low, high = np.quantile(resampled, [1 - confidence, confidence])
    below, above = (float(np.hypot(max(0.0, distance), unseen)) for distance in (estimate - low, high - estimate))
    return Interval(estimate, estimate - below, estimate + above)


def _resampled(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Both models' macro F1 on resampled images: float64 [RESAMPLES] each (Efron and Tibshirani 1993, section 8).

    An image is drawn with both models' answers, and each class keeps its number of images. Images with equal answers
    are drawn as one kind, so the time depends on the number of kinds.
    """
    rng = np.random.default_rng(SEED)
    kinds, counts = np.unique(
        np.stack([sample.labels, sample.candidate, sample.baseline], axis=1), axis=0, return_counts=True
    )
    present = np.unique(sample.labels)
    scores = np.zeros((2, RESAMPLES))
    for start in range(0, RESAMPLES, CHUNK):
        hits, answers = np.zeros((2, CHUNK, sample.classes)), np.zeros((2, CHUNK, sample.classes))
        for label in present:
            own = kinds[:, 0] == label
            drawn = rng.multinomial(counts[own].sum(), counts[own] / counts[own].sum(), size=CHUNK)
            for model in (0, 1):
                predicted = kinds[own][:, 1 + model]
                hits[model, :, label] = drawn[:, predicted == label].sum(axis=1)
                for answer in np.unique(predicted):
                    answers[model, :, answer] += drawn[:, predicted == answer].sum(axis=1)
        images = sample.by_class[present]
        f1 = 2 * hits[:, :, present] / (images + answers[:, :, present])
        scores[:, start : start + CHUNK] = f1.mean(axis=2)
    return scores[0], scores[1]

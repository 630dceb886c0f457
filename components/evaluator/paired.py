"""Two classifiers on the same images: the difference of their accuracies, with limits that hold.

All limits come from one method, so that the decision and the report cannot contradict each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from restem.evaluator.terms import EACH_SIDE


@dataclass(frozen=True)
class Interval:
    """An estimate with the limits of its confidence interval."""

    value: float
    low: float
    high: float

    def negated(self) -> Interval:
        """The interval of minus the estimate."""
        return Interval(-self.value, -self.high, -self.low)


def exact_interval(successes: int, trials: int, confidence: float = EACH_SIDE) -> Interval:
    """A proportion with its exact limits (Clopper and Pearson 1934, Biometrika 26, 404-413).

    Args:
      successes, trials: 0 <= successes <= trials. Zero trials give (nan, 0, 1).
      confidence: of each end, one-sided, 0.5..1.

    Raises:
      ValueError: more successes than trials, or a negative number.
    """
    from scipy.special import betaincinv

    if not 0 <= successes <= trials:
        raise ValueError(f"successes must be from 0 to {trials} trials, given {successes}")
    if not trials:
        return Interval(math.nan, 0.0, 1.0)
    failures = trials - successes
    low = float(betaincinv(successes, failures + 1, 1 - confidence)) if successes else 0.0
    high = float(betaincinv(successes + 1, failures, confidence)) if failures else 1.0
    return Interval(successes / trials, low, high)


def square_and_add(first: Interval, second: Interval, correlation: float = 0.0) -> Interval:
    """The difference of two estimates from their separate limits.

    Newcombe 1998 (Statistics in Medicine 17, 2635-2650) for proportions; Zou and Donner 2008 (Statistics in Medicine
    27, 1693-1702), section 2, for any two estimates.

    Args:
      first, second: with limits of the same confidence.
      correlation: of the two estimates, -1..1.
    """

    def distance(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one * one - 2 * correlation * one * other + other * other))

    value = first.value - second.value
    return Interval(
        value,
        value - distance(first.value - first.low, second.high - second.value),
        value + distance(first.high - first.value, second.value - second.low),
    )


@dataclass(frozen=True)
class Paired:
    """Two classifiers on the same images: number of images by which of them is right."""

    both: int
    only_candidate: int
    only_baseline: int
    neither: int

    @property
    def images(self) -> int:
        """Number of images both were evaluated on."""
        return self.both + self.only_candidate + self.only_baseline + self.neither

    @property
    def disagreements(self) -> int:
        """Number of images on which exactly one of them is right."""
        return self.only_candidate + self.only_baseline

    @property
    def difference(self) -> Interval:
        """Candidate's accuracy minus the baseline's; each end has one-sided 95% confidence."""
        return self.interval()

    @property
    def told_apart(self) -> bool:
        """Whether one of them is shown to be better: the interval of the difference does not contain zero."""
        return not self.difference.low <= 0 <= self.difference.high

    def interval(self, confidence: float = EACH_SIDE) -> Interval:
        """Candidate's accuracy minus the baseline's, -1..1.

        The difference is that of two proportions: the images on which only the candidate is right, and those on which
        only the baseline is. Their exact limits are combined by `square_and_add`, with the correlation of two cells of
        a multinomial distribution. Newcombe's method 10 combines Wilson's limits of the two accuracies instead; its
        error reaches 13% at a nominal 5% if one model is right wherever the other is (see README.md).

        Args:
          confidence: of each end, one-sided, 0.5..1.
        """
        n = self.images
        if not n:
            return Interval(math.nan, -1.0, 1.0)
        first = exact_interval(self.only_candidate, n, confidence)
        second = exact_interval(self.only_baseline, n, confidence)
        p, q = first.value, second.value
        correlation = -math.sqrt(p * q / ((1 - p) * (1 - q))) if 0 < p < 1 and 0 < q < 1 else 0.0
        found = square_and_add(first, second, correlation)
        return Interval(found.value, max(-1.0, found.low), min(1.0, found.high))

    def level_of_a_loss(self, limit: float) -> float:
        """The smallest one-sided error level at which a loss of more than `limit` is shown, 0..1; 1: at none.

        At that level the upper end of the difference is exactly -limit: a p-value by inversion of `interval`.
        """
        from scipy.optimize import brentq

        if not self.images or self.interval().value >= -limit:
            return 1.0

        def beyond(log_level: float) -> float:
            return self.interval(1 - math.exp(log_level)).high + limit

        least, most = math.log(1e-12), math.log(0.5)
        if beyond(most) >= 0:
            return 1.0
        return 1e-12 if beyond(least) < 0 else math.exp(brentq(beyond, least, most, xtol=1e-6))


def paired(candidate_right: np.ndarray, baseline_right: np.ndarray) -> Paired:
    """Counts the four outcomes; both inputs are bool [N], in the same image order."""
    if candidate_right.shape != baseline_right.shape:
        raise ValueError(
            f"both models must have the same images, given {candidate_right.shape} and {baseline_right.shape}"
        )
    return Paired(
        both=int(np.sum(candidate_right & baseline_right)),
        only_candidate=int(np.sum(candidate_right & ~baseline_right)),
        only_baseline=int(np.sum(~candidate_right & baseline_right)),
        neither=int(np.sum(~candidate_right & ~baseline_right)),
    )


def weighted_rate(counts: np.ndarray, weights: np.ndarray, confidence: float) -> Interval:
    """A weighted sum of Poisson counts, with gamma limits.

    Fay and Feuer 1997 (Statistics in Medicine 16, 791-801), equations 3 and 4. With equal weights they are the exact
    limits of a Poisson count; with unequal ones they are conservative.

    Args:
      counts: int64 [K], of independent kinds of events.
      weights: float64 [K], positive: what one event of each kind adds to the sum.
      confidence: of each end, one-sided, 0.5..1.
    """
    from scipy.stats import chi2

    value, variance = float(counts @ weights), float(counts @ weights**2)
    most = float(weights.max())
    above, spread = value + most, variance + most**2
    low = variance / (2 * value) * chi2.ppf(1 - confidence, 2 * value**2 / variance) if value else 0.0
    high = spread / (2 * above) * chi2.ppf(confidence, 2 * above**2 / spread)
    return Interval(value, float(low), float(high))


def needed_images(disagreement: float, gap: float, difference: float, confidence: float, power: float) -> int:
    """How many images show, with the given chance, that a difference is beyond a limit.

    Connor 1987 (Biometrics 43, 207-211) for McNemar's test, with a limit other than zero; at least as many as a model
    without any loss needs.

    Args:
      disagreement: the share of images on which exactly one model is right.
      gap: the true difference's distance from the limit, above 0.
      difference: the true difference.
      confidence: one-sided, 0.5..1.
      power: the chance, 0.5..1.
    """
    from scipy.stats import norm

    variance = max(disagreement - difference**2, disagreement / 2)
    normal = ((norm.ppf(confidence) + norm.ppf(power)) / gap) ** 2 * variance
    # Fleiss' correction for counts being whole numbers (Fleiss, Levin and Paik 2003, equation 4.15, for one sample).
    corrected = normal / 4 * (1 + math.sqrt(1 + 4 / (normal * gap))) ** 2 if normal else 0.0
    return math.ceil(max(corrected, math.log(1 - confidence) / math.log1p(-min(gap, 1 - 1e-9))))


def visible_difference(disagreement: float, images: int, confidence: float, power: float) -> float:
    """The smallest loss that so many images can exclude, with the given chance, if both models are equally good.

    The inverse of `needed_images` with a difference of zero.
    """
    from scipy.optimize import brentq

    def excess(gap: float) -> float:
        return needed_images(disagreement, gap, 0.0, confidence, power) - images - 0.5

    return 1.0 if excess(1.0) > 0 else brentq(excess, 1e-6, 1.0, xtol=1e-5)

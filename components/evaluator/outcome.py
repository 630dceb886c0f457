"""What came of a requirement, as data and in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from restem.evaluator.figures import images, limit, percent, points
from restem.evaluator.paired import Interval
from restem.evaluator.requirement import Requirement

ALL = "all test images"
SAME = "The candidate is the baseline itself: both have the same files."
NAMES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"}
SIDED = "one-sided"


@dataclass(frozen=True)
class Outcome:
    """A requirement, what was measured for it, and whether it is met.

    Attributes:
      metric: accuracy, balanced_accuracy, macro_f1, or images.
      kind: see `Requirement`; or min_test_images, min_test_images_by_class.
      over: the images that it is about, in words.
      images: how many these are.
      value: the metric, or its difference; of may_lose that of the class or slice with the largest loss. None: there
        is no image to measure it on.
      interval: its ends, each with this one-sided confidence; None: there is none.
      confidence: of each end of the interval.
      limit: what the value, or an end of its interval, is compared with.
      passed: whether the requirement is met.
      required, measured: both in words.
      note: what else must be known, such as how many images would do; may be empty.
      undecided: for may_lose, the classes or slices that have too few images to judge.
      lost: for may_lose, those that are shown to lose more.
    """

    metric: str
    kind: str
    over: str
    images: int
    value: float | None
    interval: tuple[float, float] | None
    confidence: float | None
    limit: float
    passed: bool
    required: str
    measured: str
    note: str = ""
    undecided: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """All of it: asked, measured, met or not."""
        told = f"{self.required}: {self.measured}, {'met' if self.passed else 'not met'}"
        return f"{told}. {self.note}" if self.note else f"{told}."

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "sides": SIDED if self.interval else None}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Outcome:
        """The inverse of `to_dict`."""
        known = {name: value for name, value in values.items() if name != "sides"}
        for name in ("interval", "undecided", "lost"):
            known[name] = None if known[name] is None else tuple(known[name])
        return Outcome(**known)


def required(requirement: Requirement, over: str) -> str:
    """What is asked, as the start of a sentence."""
    name = NAMES[requirement.metric]
    what = name[:1].upper() + name[1:] + ("" if over == ALL else f" on {over}")
    number = limit(abs(requirement.limit))
    points_ = "1 point" if number == "1" else f"{number} points"
    by = f" by more than {points_}" if requirement.limit else ""
    sure = "" if requirement.level is None else f", with one-sided {limit(requirement.level)}% confidence"
    told = {
        "at_least": f"at least {number}%",
        "not_worse_than_baseline_by": f"not worse than the baseline's by {points_} or more",
        "better_than_baseline_by": f"better than the baseline's{by}",
        "better_than_largest_class_by": f"better than always answering with the largest class{by}",
        "at_least_above_baseline": (
            f"at most {points_} below the baseline's, as measured"
            if requirement.limit < 0
            else f"at least {points_} above the baseline's, as measured"
        ),
        "may_lose": f"not shown to be worse than the baseline's by more than {points_}",
    }[requirement.kind]
    return f"{what} {told}{sure}"


def measured(requirement: Requirement, found: Interval, confidence: float, size: int) -> str:
    """What was measured: "97.2% (95.0% to 98.6%, each end with one-sided 95% confidence) on 360 images"."""
    show = percent if requirement.kind == "at_least" else points
    ends = f"{show(found.low)} to {show(found.high)}, each end with {SIDED} {limit(confidence)}% confidence"
    return f"measured {show(found.value)} ({ends}) on {images(size)}"

"""Decides whether a candidate meets its requirements, on both models' answers for the same images.

All requirements must be met, so testing several of them does not make a false approval more likely. The classes or
slices of one `may_lose` are corrected for their number, because each of them alone can refuse a candidate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.stats import norm

from restem.evaluator import metrics, paired
from restem.evaluator.config import DEFAULT_MARGIN, EvaluateConfig
from restem.evaluator.figures import about, images, limit
from restem.evaluator.metrics import Sample
from restem.evaluator.outcome import ALL, SAME, Outcome, measured, required
from restem.evaluator.paired import Interval
from restem.evaluator.requirement import GROUPED, Requirement
from restem.evaluator.terms import ACCURACY, EACH_SIDE, POWER
from restem.example_gen.dataset import first_few

MEASURED = "the measured value is the true one"


@dataclass(frozen=True, eq=False)
class Judged:
    """What is judged.

    Attributes:
      names: the class names by label.
      sample: both models' answers.
      columns: the values of columns of data.metadata, by name; each has one text per image.
      same: whether both models are the same one, by their files.
    """

    names: tuple[str, ...]
    sample: Sample
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    same: bool = False


def decide(config: EvaluateConfig, judged: Judged) -> tuple[Outcome, ...]:
    """What came of every requirement; the candidate is approved if all are met."""
    found = [_enough(config, judged), _enough_by_class(config, judged)]
    for requirement in config.requirements:
        outcome = _floor(requirement, judged) if requirement.kind == GROUPED else _judge(requirement, judged)
        found.append(_of_one_model(outcome) if judged.same else outcome)
    return tuple(outcome for outcome in found if outcome is not None)


def _of_one_model(outcome: Outcome) -> Outcome:
    """A model cannot be worse than itself, however few the images are; and no images can show that it is better."""
    if outcome.kind == GROUPED:
        return replace(outcome, passed=True, undecided=(), lost=(), note=SAME)
    if outcome.kind == "not_worse_than_baseline_by":
        return replace(outcome, passed=outcome.images > 0, note=SAME if outcome.images else outcome.note)
    if outcome.kind in ("better_than_baseline_by", "at_least_above_baseline"):
        return replace(outcome, note="" if outcome.passed else SAME)
    return outcome


def visible(pair: paired.Paired, margin: float, confidence: float = EACH_SIDE) -> str:
    """What so many images can show, and how many can show the wanted margin, as a sentence."""
    share = _disagreement(pair)
    loss = paired.visible_difference(share, pair.images, confidence, POWER)
    start = f"With {images(pair.images)}, on {paired_count(pair.disagreements)} of which only one model is right,"
    if loss <= margin:
        return (
            f"{start} a loss of {limit(margin)} points can be seen: a candidate as good as the baseline would have "
            f"passed in more than {POWER:.0%} of all cases."
        )
    enough = max(paired.needed_images(share, margin, 0.0, confidence, POWER), pair.images + 1)
    seen = "no loss can be seen" if loss >= 1 else f"a loss below {100 * loss:.1f} points cannot be seen"
    return f"{start} {seen}; for {limit(margin)} points about {about(enough)} would do."


def paired_count(number: int) -> str:
    """0 -> "none", so that a sentence reads well."""
    return f"{number:,}" if number else "none"


def _enough(config: EvaluateConfig, judged: Judged) -> Outcome | None:
    if not config.min_test_images:
        return None
    size, least = judged.sample.images, config.min_test_images
    margin, confidence = _wanted(config)
    return Outcome(
        metric="images",
        kind="min_test_images",
        over=ALL,
        images=size,
        value=size,
        interval=None,
        confidence=None,
        limit=least,
        passed=size >= least,
        required=f"At least {images(least)} for testing",
        measured=f"there are {size:,}",
        note="" if size >= least else visible(judged.sample.pair, margin, confidence),
    )


def _enough_by_class(config: EvaluateConfig, judged: Judged) -> Outcome | None:
    least = config.min_test_images_by_class
    if not least:
        return None
    counts = judged.sample.by_class
    few = [f"{name} ({number:,})" for name, number in zip(judged.names, counts, strict=True) if number < least]
    margin, confidence = _wanted(config)
    notes = ""
    if few:
        rarest = judged.sample.only(judged.sample.labels == int(counts.argmin()))
        notes = (
            f"Too few: {first_few(few)}. Of the smallest class: {_lowered(visible(rarest.pair, margin, confidence))}"
        )
    return Outcome(
        metric="images",
        kind="min_test_images_by_class",
        over="each class",
        images=judged.sample.images,
        value=int(counts.min()),
        interval=None,
        confidence=None,
        limit=least,
        passed=not few,
        required=f"At least {images(least)} of each class for testing",
        measured=f"the smallest class has {int(counts.min()):,}",
        note=notes,
    )


def _wanted(config: EvaluateConfig) -> tuple[float, float]:
    """The smallest loss that the requirements accept, and with which confidence."""
    wanted = [
        (one.limit, one.level or EACH_SIDE)
        for one in config.requirements
        if one.kind in ("not_worse_than_baseline_by", "may_lose")
    ]
    return min(wanted, default=(DEFAULT_MARGIN, EACH_SIDE))


def _judge(requirement: Requirement, judged: Judged) -> Outcome:
    sample, over = _part(requirement, judged)
    level = requirement.level or EACH_SIDE
    found, passed, note = None, False, ""
    if sample.images and requirement.kind == "at_least":
        found = metrics.interval(requirement.metric, sample, level)
        passed = (found.value if requirement.level is None else found.low) >= requirement.limit
        if not passed and requirement.level is not None:
            note = _more(found.value, MEASURED, found, requirement.limit, sample, level)
    elif sample.images:
        if requirement.kind == "better_than_largest_class_by":
            sample = sample.against(int(sample.by_class.argmax()))
        found = metrics.difference(requirement.metric, sample, level)
        passed, note = _compare(requirement, found, sample, level)
    return Outcome(
        metric=requirement.metric,
        kind=requirement.kind,
        over=over,
        images=sample.images,
        value=found.value if found else None,
        interval=(found.low, found.high) if found else None,
        confidence=level if found else None,
        limit=requirement.limit,
        passed=passed,
        required=required(requirement, over),
        measured=measured(requirement, found, level, sample.images) if found else "no test image is there to judge it",
        note=note,
    )


def _compare(requirement: Requirement, found: Interval, sample: Sample, level: float) -> tuple[bool, str]:
    """Whether a difference meets a requirement, and if not, what would help."""
    bound = requirement.limit
    if requirement.kind == "at_least_above_baseline":
        return found.value >= bound, ""
    if requirement.kind == "not_worse_than_baseline_by":
        if found.low > -bound:
            return True, ""
        if found.high < -bound:
            return False, "It is shown to be worse by more than that."
        if requirement.metric == ACCURACY:
            return False, visible(sample.pair, bound, level)
        return False, _more(0.0, "both models are equally good", found, -bound, sample, level)
    if found.low > bound:
        return True, ""
    return False, _more(found.value, MEASURED, found, bound, sample, level)


def _more(true: float, condition: str, found: Interval, bound: float, sample: Sample, level: float) -> str:
    """How many images would show that a metric or difference is above a bound, on a condition: its true value."""
    if true <= bound:
        return "The measured value itself is not above the limit, so more test images alone would not help."
    # The distance to the lower end shrinks with the square root of the number of images.
    chance = 1 + norm.ppf(POWER) / norm.ppf(level)
    enough = sample.images * (chance * (found.value - found.low) / (true - bound)) ** 2
    if enough <= sample.images:
        return f"If {condition}, so many images show it in {POWER:.0%} of all cases, but not in this one."
    number = about(int(np.ceil(enough)))
    return f"{images(sample.images)} cannot show it reliably; if {condition}, about {number} would do."


def _floor(requirement: Requirement, judged: Judged) -> Outcome:
    """No class or slice may be shown to lose more than the limit (Holm 1979, Scandinavian Journal of Statistics 6)."""
    sample, bound = judged.sample, requirement.limit
    level = requirement.level or EACH_SIDE
    if requirement.each_class:
        what, groups = "class", {name: sample.labels == label for label, name in enumerate(judged.names)}
    else:
        column = judged.columns[requirement.each_value_of or ""]
        what, groups = "slice", {str(value): column == value for value in np.unique(column)}
    missing = [name for name, chosen in groups.items() if not chosen.any()]
    parts = {name or "(empty)": sample.only(chosen).pair for name, chosen in groups.items() if chosen.any()}
    over = f"each {what}" if requirement.each_class else f"each value of {requirement.each_value_of}"
    levels = [pair.level_of_a_loss(bound) for pair in parts.values()]
    shown = holm(levels, 1 - level)
    lost = tuple(name for name, refused in zip(parts, shown, strict=True) if refused)
    # One-sided limits, each with the confidence that all of them together have.
    each = 1 - (1 - level) / max(1, len(parts))
    undecided = [name for name, pair in parts.items() if name not in lost and pair.interval(each).low <= -bound]
    worst = min(parts, key=lambda name: parts[name].interval().value)
    found = parts[worst].interval(each)
    notes = []
    if lost:
        notes.append(f"Shown to lose more: {first_few(list(lost))}.")
    if undecided or missing:
        notes.append(_too_few(what, [*missing, *undecided], parts, bound, each))
    compared = f"Corrected for {len(parts):,} comparisons (Holm)." if len(parts) > 1 else ""
    return Outcome(
        metric=requirement.metric,
        kind=requirement.kind,
        over=over,
        images=sample.images,
        value=found.value,
        interval=(found.low, found.high),
        confidence=each,
        limit=bound,
        passed=not lost,
        required=required(requirement, over),
        measured=f"the largest loss is that of {worst}, {measured(requirement, found, each, parts[worst].images)}",
        note=" ".join(filter(None, [compared, *notes])),
        undecided=(*missing, *undecided),
        lost=lost,
    )


def _too_few(what: str, names: Sequence[str], parts: Mapping[str, paired.Paired], bound: float, each: float) -> str:
    """Which classes cannot be judged, and how many images would do."""
    total = _disagreement_of_all(parts)
    enough = about(paired.needed_images(total, bound, 0.0, each, POWER))
    several = "classes" if what == "class" else "slices"
    start = f"1 {what} has" if len(names) == 1 else f"{len(names):,} {several} have"
    return (
        f"{start} too few test images to exclude such a loss, and {'is' if len(names) == 1 else 'are'} not judged: "
        f"{first_few(list(names))}; about {enough} images each would do."
    )


def holm(levels: Sequence[float], error: float) -> list[bool]:
    """Which of several hypotheses are rejected, with at most this chance of any false rejection.

    Holm 1979 (Scandinavian Journal of Statistics 6, 65-70).

    Args:
      levels: the smallest error level at which each would be rejected alone (its p-value).
      error: 0..1.
    """
    rejected = [False] * len(levels)
    for rank, place in enumerate(np.argsort(levels, kind="stable").tolist()):
        if levels[place] >= error / (len(levels) - rank):
            break
        rejected[place] = True
    return rejected


def _part(requirement: Requirement, judged: Judged) -> tuple[Sample, str]:
    """The images that a requirement is about, and these in words."""
    sample = judged.sample
    chosen, told = np.ones(sample.images, bool), []
    if requirement.in_class is not None:
        label = judged.names.index(requirement.in_class) if requirement.in_class in judged.names else -1
        chosen &= sample.labels == label
        told.append(f"the class {requirement.in_class}")
    for name, value in (requirement.in_slice or {}).items():
        chosen &= judged.columns[name] == value
        told.append(f"{name} = {value or '(empty)'}")
    return (sample.only(chosen), " and ".join(told)) if told else (sample, ALL)


def _disagreement(pair: paired.Paired) -> float:
    """The share of images on which only one model is right, never 0: none in n says little (Laplace's rule)."""
    return (pair.disagreements + 1) / (pair.images + 2)


def _disagreement_of_all(parts: Mapping[str, paired.Paired]) -> float:
    together = sum(pair.disagreements for pair in parts.values()), sum(pair.images for pair in parts.values())
    return (together[0] + 1) / (together[1] + 2)


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]

"""The decision as a picture: what each requirement asked for, and what was measured for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from restem.evaluator.outcome import NAMES, Outcome
from restem.report.plots import INK, figure_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 20  # requirements in the picture; the table beside it has all
MET, NOT_MET = "#0b5d4e", "#9a3412"
ROW, FOOT = 0.72, 0.15  # inches
COUNTS = ("min_test_images", "min_test_images_by_class")
LOSSES = (
    "not_worse_than_baseline_by",
    "may_lose",
)  # their limit is a loss, so the difference is compared with minus it
SHARE = 100  # from shares to % and points


def decision_plot(outcomes: Sequence[Outcome]) -> str:
    """One row for each requirement, on a scale of its own: the value, its interval and the limit; an SVG data URI.

    The rows differ in what they measure (a share, a difference, a number of images), and a difference of one point
    cannot be seen on a scale that also holds 90 points. Requirements are numbered from 1: their words may contain the
    names of classes, which HTML shows.
    """

    def draw(figure: Figure) -> None:
        rows = figure.subplots(len(outcomes), squeeze=False)[:, 0]
        for number, (axes, outcome) in enumerate(zip(rows, outcomes, strict=True), start=1):
            _row(axes, number, outcome)

    return figure_svg(draw, 4.5, ROW * len(outcomes) + FOOT)


def decision_text(outcomes: Sequence[Outcome]) -> str:
    """The same in words, for those who do not see the picture; the table has the whole sentences."""
    told = []
    for number, one in enumerate(outcomes, start=1):
        scale = _scale(one)
        unit = "" if one.kind in COUNTS else "%" if one.kind == "at_least" else " points"
        value = "not measured" if one.value is None else f"{scale * one.value:,.1f}".removesuffix(".0") + unit
        ends = ""
        if one.interval:
            ends = f" ({scale * one.interval[0]:,.1f} to {scale * one.interval[1]:,.1f})"
        limit = f"{scale * asked(one):,.1f}".removesuffix(".0") + unit
        told.append(f"{number}: {value}{ends}, limit {limit}, {'met' if one.passed else 'not met'}")
    return "Requirements. " + "; ".join(told)


def asked(outcome: Outcome) -> float:
    """The limit on the scale of the measured value."""
    return -outcome.limit if outcome.kind in LOSSES else outcome.limit


def _scale(outcome: Outcome) -> int:
    return 1 if outcome.kind in COUNTS else SHARE


def _row(axes: Axes, number: int, outcome: Outcome) -> None:
    scale, limit = _scale(outcome), asked(outcome)
    colour = MET if outcome.passed else NOT_MET
    places = [limit, *(outcome.interval or ()), *([] if outcome.value is None else [outcome.value])]
    if outcome.kind not in ("at_least", *COUNTS):
        places.append(0.0)  # no difference
    low, high = scale * min(places), scale * max(places)
    margin = max(0.08 * (high - low), 1.0 if scale == 1 else 0.2)
    low, high = low - margin, high + margin
    axes.axvspan(low, scale * limit, facecolor="#f1f3f5", edgecolor="#c3cad2", hatch="////", linewidth=0)
    axes.axvline(scale * limit, color=INK, linewidth=1.4, linestyle=(0, (4, 3)))
    if outcome.interval:
        axes.plot(
            [scale * end for end in outcome.interval], [0, 0], color=colour, linewidth=3, marker="|", markersize=9
        )
    if outcome.value is not None:
        axes.plot(
            [scale * outcome.value],
            [0],
            linestyle="",
            marker="o" if outcome.passed else "X",
            markersize=9,
            color=colour,
            markeredgecolor="white",
            markeredgewidth=0.8,
        )
    axes.set_xlim(low, high)
    axes.set_ylim(-1, 1)
    axes.set_yticks([0], [f"{number} {'✓' if outcome.passed else '✕'}"])
    axes.tick_params(axis="y", length=0, labelcolor=colour, labelsize=11)
    axes.tick_params(axis="x", labelsize=8, pad=1)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.locator_params("x", nbins=7, integer=scale == 1)
    axes.set_xlabel(_label(outcome), fontsize=8, labelpad=1)


def _label(outcome: Outcome) -> str:
    if outcome.kind in COUNTS:
        return "test images" if outcome.kind == COUNTS[0] else "test images of the smallest class"
    name = NAMES[outcome.metric]
    if outcome.kind == "at_least":
        return f"{name}, %"
    other = "the largest class" if outcome.kind == "better_than_largest_class_by" else "the baseline"
    part = " of the largest loss" if outcome.kind == "may_lose" else ""
    return f"{name}{part}: candidate minus {other}, points"

"""The page's plots as SVG data URIs, drawn without pyplot's global state.

Candidate and baseline differ in colour (Okabe and Ito's palette for colour-blind readers), in line and in marker, so
that they can be distinguished in a black-and-white print. Class names are not drawn, because they can be long or in
scripts that matplotlib's font lacks; HTML shows them.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from restem.evaluator.paired import Interval
from restem.evaluator.reliability import Calibration
from restem.report.pictures import data_uri
from restem.run_record import Epoch, Scores
from restem.trainer.config import PHASES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

CANDIDATE = "#0072b2"
BASELINE = "#c2410c"
INK = "#1f2933"
QUIET = "#66727f"
LINES = ("-", "--", ":", "-.")

STYLE: dict[RcKeyType, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#9aa5b1",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "path",  # the same picture everywhere, independent of installed fonts
    "svg.hashsalt": "restem",  # the same bytes for the same data
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
}


def figure_svg(draw: Callable[[Figure], None], width: float, height: float) -> str:
    """Draws on a new figure of this size in inches and returns the SVG as a data URI."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure: Figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        output = io.BytesIO()
        figure.savefig(output, format="svg", metadata={"Date": None, "Creator": None})
    return data_uri(output.getvalue(), "image/svg+xml")


def _svg(draw: Callable[[Axes], None], width: float = 3.9, height: float = 2.7) -> str:
    """`figure_svg` with a single plot."""
    return figure_svg(lambda figure: draw(figure.subplots()), width, height)


def accuracy_plot(candidate: Interval, baseline: Interval, required: float | None) -> str:
    """The two accuracies with their intervals; `required` is drawn as a line if there is a threshold."""

    def draw(axes: Axes) -> None:
        rows = ((1, candidate, CANDIDATE, "o", "candidate"), (0, baseline, BASELINE, "s", "baseline"))
        for row, interval, colour, marker, _ in rows:
            axes.plot([100 * interval.low, 100 * interval.high], [row, row], color=colour, linewidth=3, alpha=0.45)
            axes.plot([100 * interval.value], [row], marker=marker, markersize=9, color=colour)
        lowest, highest = min(candidate.low, baseline.low), max(candidate.high, baseline.high)
        if required is not None and required > 0:
            lowest, highest = min(lowest, required), max(highest, required)
            axes.axvline(100 * required, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
            side = "right" if required > (lowest + highest) / 2 else "left"
            text = "required " if side == "right" else " required"
            axes.text(100 * required, 1.5, text, ha=side, va="center", fontsize=9, color=INK)
        margin = max(0.01, 0.06 * (highest - lowest))
        axes.set_xlim(100 * max(0.0, lowest - margin), 100 * min(1.0 + margin / 3, highest + margin))
        axes.set_ylim(-0.6, 1.75)
        axes.set_yticks([1, 0], ["candidate", "baseline"])
        axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=11)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("accuracy on the test images, % (line: 95% interval)")

    return _svg(draw, 5.6, 2.0)


def training_plots(candidate: Sequence[Epoch], baseline: Sequence[Epoch]) -> dict[str, str]:
    """Loss, accuracy and images per second by epoch: name -> SVG.

    Phases are aligned: on the axis, each phase is as long as in the longer of the two runs.
    """
    lengths = [max([e.epoch for run in (candidate, baseline) for e in run if e.phase == p], default=0) for p in PHASES]
    starts = dict(zip(PHASES, np.cumsum([0, *lengths[:-1]]).tolist(), strict=True))
    bounds = [(p, starts[p], starts[p] + length) for p, length in zip(PHASES, lengths, strict=True) if length]

    def panel(label: str, value: Callable[[Epoch], float], judged: Callable[[Scores], float] | None = None) -> str:
        def draw(axes: Axes) -> None:
            for _, start, _ in bounds[1:]:
                axes.axvline(start + 0.5, color="#9aa5b1", linewidth=1)
            for name, start, end in bounds:
                axes.text(
                    (start + end + 1) / 2,
                    1.02,
                    name,
                    transform=axes.get_xaxis_transform(),
                    ha="center",
                    va="bottom",
                    color=QUIET,
                    fontsize=9,
                )
            for history, colour, line, marker, role in (
                (candidate, CANDIDATE, "-", "o", "candidate"),
                (baseline, BASELINE, "--", "s", "baseline"),
            ):
                for phase in PHASES:
                    epochs = [e for e in history if e.phase == phase]
                    axes.plot(
                        [starts[phase] + e.epoch for e in epochs],
                        [value(e) for e in epochs],
                        color=colour,
                        linestyle=line,
                        marker=marker,
                        markersize=4 if bounds and bounds[-1][2] <= 40 else 0,
                        label=role if phase == next((e.phase for e in history), None) else None,
                    )
                    scores = [(starts[phase] + e.epoch, e.validation) for e in epochs if e.validation]
                    if judged is not None and scores:
                        first = phase == next((e.phase for e in history if e.validation), None)
                        axes.plot(
                            [place for place, _ in scores],
                            [judged(one) for _, one in scores],
                            color=colour,
                            linestyle=":",
                            label=f"{role}, validation" if first else None,
                        )
            total = bounds[-1][2] if bounds else 1
            axes.set_xlim(0.5, total + 0.5)
            axes.locator_params("x", integer=True, nbins=8)
            axes.set_xlabel("epoch")
            axes.set_ylabel(label)
            drawn = [value(e) for run in (candidate, baseline) for e in run]
            if label.startswith("images") and min(drawn, default=0) > 0 and max(drawn) > 20 * min(drawn):
                axes.set_yscale("log")  # training the head on precomputed features is far faster
                axes.yaxis.set_major_formatter("{x:,.0f}")
            elif not label.startswith("accuracy"):
                axes.set_ylim(bottom=0)
            if drawn:
                axes.legend(loc="best", fontsize=9)

        return _svg(draw)

    return {
        "loss": panel("loss", lambda e: e.loss, lambda scores: scores.loss),
        "accuracy": panel("accuracy in training, %", lambda e: 100 * e.accuracy, lambda scores: 100 * scores.accuracy),
        "speed": panel("images per second", lambda e: e.images_per_second),
    }


def reliability_plot(candidate: Calibration, baseline: Calibration) -> str:
    """The reliability diagram; a marker's area shows the share of images in its bin."""

    from matplotlib.collections import PathCollection

    def draw(axes: Axes) -> None:
        axes.plot([0, 100], [0, 100], color="#9aa5b1", linewidth=1.2, linestyle=":", label="perfect")
        for bins, colour, line, marker, role in (
            (baseline, BASELINE, "--", "s", "baseline"),
            (candidate, CANDIDATE, "-", "o", "candidate"),
        ):
            held = bins.images > 0
            x, y = 100 * bins.confidence[held], 100 * bins.accuracy[held]
            area = 12 + 240 * bins.images[held] / max(1, bins.images.sum())
            axes.plot(x, y, color=colour, linestyle=line, linewidth=1.4)
            axes.scatter(x, y, s=area, color=colour, marker=marker, alpha=0.75, label=role, linewidths=0)
        axes.set_xlim(-2, 104)
        axes.set_ylim(-4, 106)
        axes.set_xlabel("confidence, %")
        axes.set_ylabel("accuracy, %")
        axes.set_aspect("equal")
        legend = axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=9)
        for handle in legend.legend_handles[1:]:
            assert isinstance(handle, PathCollection)
            handle.set_sizes([36])

    return _svg(draw, 4.4, 4.4)


def class_sizes_plot(train: Sequence[int], test: Sequence[int]) -> str:
    """Images per class, largest class first, to show how balanced the classes are."""

    def draw(axes: Axes) -> None:
        for counts, colour, line, role in ((train, INK, "-", "train"), (test, QUIET, "--", "test")):
            ordered = sorted(counts, reverse=True)
            axes.step(range(1, len(ordered) + 1), ordered, where="mid", color=colour, linestyle=line, label=role)
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0.5)
        axes.set_xlabel("classes, largest first")
        axes.set_ylabel("images")
        axes.legend(loc="best", fontsize=9)

    return _svg(draw)


def curves(histories: Mapping[str, Sequence[Epoch]]) -> dict[str, str]:
    """Loss and accuracy of several trainings by epoch, counted over all phases: name -> SVG; empty without any epoch.

    The validation images' figures where there are some, else those in training.

    Args:
      histories: by the name of a run.
    """

    def panel(label: str, of: Callable[[Epoch | Scores], float]) -> str:
        def draw(axes: Axes) -> None:
            for (name, epochs), style in zip(histories.items(), itertools.cycle(LINES), strict=False):
                values = [of(epoch.validation or epoch) for epoch in epochs]
                axes.plot(range(1, len(values) + 1), values, linestyle=style, marker=".", label=name)
            axes.locator_params("x", integer=True, nbins=8)
            axes.set_xlabel("epoch")
            axes.set_ylabel(label)
            axes.legend(loc="best", fontsize=8)

        return _svg(draw, 5.2, 3.4)

    if not any(histories.values()):
        return {}
    return {
        "loss": panel("loss", lambda one: one.loss),
        "accuracy": panel("accuracy, %", lambda one: 100 * one.accuracy),
    }

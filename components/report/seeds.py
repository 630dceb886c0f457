"""How much the two networks' results depend on the seed, if they were trained with several (`train.repeats`)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from restem.report.formatting import percent, points
from restem.run_record import ModelRecord, Repeat

METRICS = ("accuracy", "balanced_accuracy")


@dataclass(frozen=True)
class Figure:
    """One metric on the test split: by seed, their mean and their standard deviation (of a sample: n - 1)."""

    by_seed: tuple[float, ...]
    mean: float
    deviation: float


@dataclass(frozen=True)
class Spread:
    """The results by seed.

    Attributes:
      seeds: in the order of all `by_seed`; the evaluated and pushed model is that of the first.
      candidate: metric -> its figures.
      baseline: the same; None if it was not trained in this run.
      difference: candidate minus baseline with the same seed; None without such a baseline.
    """

    seeds: tuple[int, ...]
    candidate: dict[str, Figure]
    baseline: dict[str, Figure] | None = None
    difference: dict[str, Figure] | None = None


def spread(candidate: ModelRecord, baseline: ModelRecord) -> Spread | None:
    """The results by seed; None if the candidate was trained once."""
    if len(candidate.repeats) < 2:
        return None
    seeds = tuple(repeat.seed for repeat in candidate.repeats)
    ours = {metric: _values(candidate.repeats, metric) for metric in METRICS}
    figures = {metric: _figure(values) for metric, values in ours.items()}
    if tuple(repeat.seed for repeat in baseline.repeats) != seeds:
        return Spread(seeds, figures)
    theirs = {metric: _values(baseline.repeats, metric) for metric in METRICS}
    return Spread(
        seeds,
        figures,
        {metric: _figure(values) for metric, values in theirs.items()},
        {
            metric: _figure([a - b for a, b in zip(values, theirs[metric], strict=True)])
            for metric, values in ours.items()
        },
    )


def _values(repeats: Sequence[Repeat], metric: str) -> list[float]:
    return [getattr(repeat.scores["test"], metric) for repeat in repeats]


def _figure(values: Sequence[float]) -> Figure:
    return Figure(tuple(values), statistics.fmean(values), statistics.stdev(values))


def page_part(candidate: ModelRecord, baseline: ModelRecord) -> dict[str, Any] | None:
    """What the page shows: `sentence`, and a table with `columns` and `rows`; None if there was one seed."""
    found = spread(candidate, baseline)
    if found is None:
        return None
    columns: list[str] = []
    cells: list[tuple[Figure, Callable[[float], str]]] = []
    for metric in METRICS:
        name = metric.replace("_", " ")
        columns += [f"Candidate, {name}"]
        cells.append((found.candidate[metric], percent))
        if found.baseline is not None and found.difference is not None:
            columns += [f"Baseline, {name}", f"Difference, {name}"]
            cells += [(found.baseline[metric], percent), (found.difference[metric], points)]
    rows = [(f"seed {seed}", [show(figure.by_seed[i]) for figure, show in cells]) for i, seed in enumerate(found.seeds)]
    rows.append(("mean", [show(figure.mean) for figure, show in cells]))
    rows.append(("standard deviation", [_unsigned(figure.deviation) for figure, _ in cells]))
    return {"sentence": sentence(found), "columns": columns, "rows": rows, "seeds": len(found.seeds)}


def sentence(found: Spread) -> str:
    """The spread in sentences."""
    count = len(found.seeds)
    ours = found.candidate["accuracy"]
    start = f"The candidate was trained with {count} seeds: accuracy {_around(ours)}."
    if found.baseline is None or found.difference is None:
        return f"{start} The baseline was not trained in this run."
    difference = found.difference["accuracy"]
    ahead = sum(value > 0 for value in difference.by_seed)
    behind = sum(value < 0 for value in difference.by_seed)
    more = f" and less accurate with {behind}" if behind else ""
    return (
        f"Both models were trained with the same {count} seeds. Accuracy of the candidate: {_around(ours)}; of the "
        f"baseline: {_around(found.baseline['accuracy'])}. With the same seed, the difference is "
        f"{points(difference.mean)} on average (standard deviation {_unsigned(difference.deviation)}); the candidate "
        f"is more accurate with {ahead} of {count} seeds{more}."
    )


def one_line(seeds: dict[str, Any]) -> str:
    """The summary's line; `seeds` is a Spread as a dict."""
    parts = [f"candidate {_short(seeds['candidate']['accuracy'])}"]
    if seeds["baseline"] is not None:
        parts.append(f"baseline {_short(seeds['baseline']['accuracy'])}")
        difference = seeds["difference"]["accuracy"]
        parts.append(f"difference {difference['mean']:+.4f} ± {difference['deviation']:.4f}")
    return f"accuracy with {len(seeds['seeds'])} seeds (mean ± standard deviation): {', '.join(parts)}"


def _around(figure: Figure) -> str:
    return f"{percent(figure.mean)} on average (standard deviation {_unsigned(figure.deviation)})"


def _unsigned(share: float) -> str:
    return f"{100 * share:.1f} points"


def _short(figure: dict[str, Any]) -> str:
    return f"{figure['mean']:.4f} ± {figure['deviation']:.4f}"

"""Several runs side by side: the settings that differ, figures with intervals, and learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from restem.evaluator.paired import Interval, exact_interval, paired
from restem.report.plots import curves
from restem.report.templates import environment
from restem.run_record import Epoch, Evaluation, ModelRecord
from restem.yaml_dialect import dump_inline

ABSENT = "-"  # a setting that a run does not have
# Where a run's files are decides nothing about its model.
PLACES = ("name", "push", "notify", "kubeflow", "beam")


@dataclass(frozen=True)
class Compared:
    """One run.

    Attributes:
      name: what the page calls it.
      candidate: the record of its candidate.
      history: the epochs of its training.
      evaluation: the candidate's predictions on the test images.
      blessed: the verdict.
    """

    name: str
    candidate: ModelRecord
    history: tuple[Epoch, ...]
    evaluation: Evaluation
    blessed: bool


@dataclass(frozen=True)
class Row:
    """The figures of one run.

    Attributes:
      name, blessed: of the run.
      images: the number of its test images.
      accuracy: with exact limits, each end with one-sided 95% confidence.
      balanced_accuracy, loss: on the test images; the loss in nats.
      difference: its accuracy minus that of the first run, on the same test images; None for the first run, and for one
        with other test images.
      seconds: how long its training took.
    """

    name: str
    blessed: bool
    images: int
    accuracy: Interval
    balanced_accuracy: float | None
    loss: float
    difference: Interval | None
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """What is shown.

    Attributes:
      rows: a run each, in the given order.
      settings: by key, e.g. train.seed, the values of all runs, where they are not all equal.
      other_images: the runs whose test images are not those of the first.
      plots: learning curves as SVG, by name.
    """

    rows: tuple[Row, ...]
    settings: Mapping[str, tuple[Any, ...]]
    other_images: tuple[str, ...]
    plots: Mapping[str, str]


def compare(runs: Sequence[Compared]) -> Comparison:
    """Compares at least one run; all others are compared with the first."""
    first = runs[0]
    rows = []
    for run in runs:
        right = run.evaluation.right
        scores = run.candidate.scores.get("test")
        rows.append(
            Row(
                name=run.name,
                blessed=run.blessed,
                images=len(right),
                accuracy=exact_interval(int(right.sum()), len(right)),
                balanced_accuracy=None if scores is None else scores.balanced_accuracy,
                loss=run.evaluation.loss,
                difference=None if run is first else _difference(run.evaluation, first.evaluation),
                seconds=sum(epoch.seconds for epoch in run.history),
            )
        )
    return Comparison(
        rows=tuple(rows),
        settings=differing([run.candidate.config for run in runs]),
        other_images=tuple(row.name for row in rows[1:] if row.difference is None),
        plots=curves({run.name: run.history for run in runs}),
    )


def _difference(one: Evaluation, first: Evaluation) -> Interval | None:
    """The difference of two accuracies on the same images; None if the images, or their classes, are not the same."""
    if sorted(one.paths) != sorted(first.paths):
        return None
    ours, theirs = (each.at(np.argsort(np.array(each.paths))) for each in (one, first))
    if [ours.classes[i] for i in ours.labels] != [theirs.classes[i] for i in theirs.labels]:
        return None
    return paired(ours.right, theirs.right).difference


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """The settings, by key path, that are not the same in all configurations; those of places are left out."""
    flat = [_flattened({key: value for key, value in config.items() if key not in PLACES}) for config in configs]
    keys = dict.fromkeys(key for one in flat for key in one)
    values = {key: tuple(one.get(key, ABSENT) for one in flat) for key in keys}
    return {key: found for key, found in values.items() if any(value != found[0] for value in found)}


def _flattened(section: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            found |= _flattened(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = value
    return found


def text(value: Any) -> str:
    """A setting as it is written in a configuration."""
    return value if isinstance(value, str) else dump_inline(value)


def page(runs: Sequence[Compared], out: Path | None) -> Comparison:
    """Compares runs, and writes the comparison as one self-contained HTML page, if there is a path for it."""
    comparison = compare(runs)
    if out is not None:
        templates = environment()
        templates.filters["setting"] = text
        out.write_text(templates.get_template("comparison.html").render(comparison=comparison), encoding="utf-8")
    return comparison

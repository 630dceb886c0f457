"""The report's part about the Tuner: all trials, the chosen one, and why its figure is too good."""

from __future__ import annotations

import json
from typing import Any

from restem.report import formatting
from restem.tuner.trials import Trial, Tuning

SHOWN_TRIALS = 20  # the best ones; the rest is collapsed


def tuning_part(tuning: Tuning, *, baseline_trained: bool) -> dict[str, Any]:
    """What the template shows: the keys, the trials from the best to those that failed, and two sentences.

    Args:
      tuning: the record.
      baseline_trained: whether the baseline was trained in this run, with the same values.
    """
    keys = list(tuning.best.values)
    rows = [_row(tuning, trial, keys) for trial in tuning.ranked()]
    return {
        "metric": tuning.metric.replace("_", " "),
        "keys": keys,
        "shown": rows[:SHOWN_TRIALS],
        "folded": rows if len(rows) > SHOWN_TRIALS else [],
        "sentence": _sentence(tuning, baseline_trained),
        "caution": _caution(tuning),
    }


def _row(tuning: Tuning, trial: Trial, keys: list[str]) -> dict[str, Any]:
    value = tuning.value(trial)
    shown = formatting.NOTHING
    if value is not None:
        shown = f"{value:.4f}" if tuning.metric in ("loss", "auc") else formatting.percent(value, 2)
    return {
        "number": trial.number,
        "own": tuning.own_first and trial.number == 1,
        "chosen": trial is tuning.best,
        "value": shown,
        "values": [_text(trial.values[key]) for key in keys],
        "seconds": trial.seconds,
        "failure": trial.failure,
    }


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def _sentence(tuning: Tuning, baseline_trained: bool) -> str:
    best, images = tuning.best, tuning.best.scores.images if tuning.best.scores else 0
    short = f" Each phase of a trial had at most {tuning.epochs} epochs." if tuning.epochs else ""
    failed = f" {tuning.failed} of them failed." if tuning.failed else ""
    own = " Trial 1 has the values of the configuration." if tuning.own_first else ""
    baseline = "; the baseline took those of the section train" if baseline_trained else ""
    return (
        f"{len(tuning.trials)} combinations of values were tried, each with a network that was trained with the same "
        f"seed and judged on the same {formatting.images(images)} of the validation split.{own}{failed}{short} "
        f"The candidate was then trained with the values of trial {best.number}{baseline}."
    )


def _caution(tuning: Tuning) -> str:
    compared = len(tuning.trials) - tuning.failed
    return (
        f"The figure of the chosen trial is optimistic: it is the best of {compared}, and some of its lead is chance. "
        f"The test images had no part in the choice, so the accuracy on them is not affected."
    )

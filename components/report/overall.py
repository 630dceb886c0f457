"""The table of both models' figures on all test images, for the page and the model card."""

from __future__ import annotations

import math
from collections.abc import Mapping

from restem.evaluator.scores import NAMES, SHARES, top_k
from restem.report.formatting import NOTHING, percent


def figure_rows(metrics: Mapping[str, Mapping[str, float]], classes: int) -> list[tuple[str, str, str]]:
    """Name, candidate's and baseline's value of each figure; none for an evaluation of an earlier version.

    Args:
      metrics: by role and name, as in the verdict.
      classes: number of classes.
    """
    candidate, baseline = metrics.get("candidate", {}), metrics.get("baseline", {})
    if "log_loss" not in candidate:
        return []
    return [
        (title.format(k=top_k(classes)), _shown(name, candidate.get(name)), _shown(name, baseline.get(name)))
        for name, title in NAMES.items()
        if name in candidate
    ]


def _shown(name: str, value: float | None) -> str:
    if value is None or math.isnan(value):
        return NOTHING
    return percent(value) if name in SHARES else f"{value:.4f}"

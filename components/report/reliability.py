"""What calibration changed: the reliability diagram without the temperatures, and both numbers beside each other."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from restem.evaluator.reliability import Calibration, calibration
from restem.report.data import Run
from restem.report.formatting import percent
from restem.run_record import Evaluation


@dataclass(frozen=True, eq=False)
class Uncalibrated:
    """Both models' reliability without their temperatures, and what the temperatures did, a sentence for each model."""

    candidate: Calibration
    baseline: Calibration
    sentences: tuple[str, ...]


def uncalibrated(evaluation: Evaluation, temperature: float | None) -> Evaluation:
    """The predictions without the temperature by which the model divides its logits.

    softmax(logits / T) is in proportion to exp(logits) ** (1 / T), so softmax(logits) is in proportion to
    softmax(logits / T) ** T.

    Args:
      evaluation: the model's predictions.
      temperature: T, above 0; None: the model has none.
    """
    if temperature is None:
        return evaluation
    with_it = evaluation.probabilities.astype(np.float64)
    without = (with_it / with_it.max(axis=1, keepdims=True)) ** temperature
    return dataclasses.replace(evaluation, probabilities=without / without.sum(axis=1, keepdims=True))


def before_calibration(candidate: Run, baseline: Run) -> Uncalibrated | None:
    """What the page shows of the models without their temperatures; None if neither has one."""
    if candidate.model.temperature is None and baseline.model.temperature is None:
        return None
    bins, sentences = [], []
    for role, run in (("candidate", candidate), ("baseline", baseline)):
        before = uncalibrated(run.evaluation, run.model.temperature)
        measured = calibration(before.confidence, before.right)
        bins.append(measured)
        if run.model.temperature is None:
            sentences.append(f"The {role} has no temperature.")
            continue
        after = calibration(run.evaluation.confidence, run.evaluation.right)
        sentences.append(
            f"The {role} divides its logits by {run.model.temperature:.3g}, which was fitted on the validation images "
            f"of its training. On the test images this changed its calibration error from "
            f"{percent(measured.expected_error)} to {percent(after.expected_error)}, and its log loss from "
            f"{before.loss:.4f} to {run.evaluation.loss:.4f}."
        )
    return Uncalibrated(bins[0], bins[1], tuple(sentences))

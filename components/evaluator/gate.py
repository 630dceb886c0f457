"""Decides on the answers of both models."""

from __future__ import annotations

from collections.abc import Sequence

from restem.evaluator.answers import Answers
from restem.evaluator.config import EvaluateConfig
from restem.evaluator.decide import Judged, decide
from restem.evaluator.decision import Decision
from restem.evaluator.metrics import Sample
from restem.evaluator.scores import scores
from restem.evaluator.slices import results


def judge(
    config: EvaluateConfig, answers: Answers, classes: Sequence[str], *, by_tfma: bool, same: bool = False
) -> Decision:
    """Decides on the models' answers; the candidate must also have reached TFMA's thresholds.

    Args:
      config: the requirements.
      answers: for every test image.
      classes: the class names by label.
      by_tfma: TFMA's own decision.
      same: whether both models are the same one, by their files.
    """
    sample = Sample(len(classes), answers.labels, answers.candidate.argmax(axis=1), answers.baseline.argmax(axis=1))
    outcomes = decide(config, Judged(tuple(classes), sample, answers.columns, same))
    blessed = by_tfma and all(outcome.passed for outcome in outcomes)
    figures = {
        role: scores(answers.labels, probabilities)
        for role, probabilities in (("candidate", answers.candidate), ("baseline", answers.baseline))
    }
    right = (sample.candidate == answers.labels, sample.baseline == answers.labels)
    return Decision(blessed, by_tfma, outcomes, figures, results(config.sliced, answers.columns, *right), same)

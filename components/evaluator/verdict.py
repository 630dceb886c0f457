"""The verdict with its reason and metrics, read from the Evaluator's output."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from restem.evaluator.decision import read_decision
from restem.evaluator.outcome import SAME, Outcome
from restem.example_gen.classes import ClassChange
from restem.example_gen.dataset import first_few
from restem.run_record import Evaluation

BLESSED_FILE = "BLESSED"


def read_verdict(evaluation_uri: str, blessing_uri: str) -> dict[str, Any]:
    """Reads the Evaluator's outputs.

    Args:
      evaluation_uri: folder of the ModelEvaluation artifact.
      blessing_uri: folder of the ModelBlessing artifact.

    Returns:
      `blessed` (bool), `reason` (text), `metrics` (`candidate` and `baseline`, each with `accuracy`, `loss` and
      `images` of TFMA, and those of scores.py), `requirements` (a list of `Outcome`s as dicts), and `slices`: a list,
      by column and value, of `SliceResult`s as dicts; `same_model`, whether the candidate is the baseline itself.
    """
    import tensorflow_model_analysis as tfma
    from tfx.dsl.io import fileio

    metrics: dict[str, dict[str, float]] = {"candidate": {}, "baseline": {}}
    for record in tfma.load_metrics(evaluation_uri):
        if record.slice_key.single_slice_keys:
            continue
        for item in record.metric_keys_and_values:
            # TFMA also gives the differences; they follow from the two values.
            if not item.key.is_diff:
                role = "baseline" if item.key.model_name == tfma.BASELINE_KEY else "candidate"
                metrics[role][item.key.name] = item.value.double_value.value
    decision = read_decision(evaluation_uri)
    outcomes = decision.outcomes
    for role, figures in decision.figures.items():
        metrics[role] |= figures
    blessed = fileio.exists(os.path.join(blessing_uri, BLESSED_FILE))
    return {
        "blessed": blessed,
        "reason": explain(metrics, outcomes, blessed=blessed, same=decision.same),
        "metrics": metrics,
        "requirements": [outcome.to_dict() for outcome in outcomes],
        "slices": [one.to_dict() for one in decision.slices],
        "same_model": decision.same,
    }


def explain(
    metrics: Mapping[str, Mapping[str, float]], outcomes: Sequence[Outcome], *, blessed: bool, same: bool = False
) -> str:
    """The reason of a decision in sentences.

    Args:
      metrics: `candidate` and `baseline`, each with `accuracy`.
      outcomes: of each requirement.
      blessed: the decision.
      same: whether the candidate is the baseline itself.
    """
    candidate, baseline = metrics["candidate"]["accuracy"], metrics["baseline"]["accuracy"]
    comparison = (
        f"The candidate's accuracy is {candidate:.4f}, the baseline's is {baseline:.4f} "
        f"(difference {candidate - baseline:+.4f})."
    )
    if same:
        comparison = f"{SAME} Its accuracy is {candidate:.4f}."
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if blessed:
        met = {0: "nothing is required", 1: "the requirement is met"}.get(
            len(outcomes), f"all {len(outcomes)} requirements are met"
        )
        return f"Approved: {met}. {comparison}"
    if not failed:
        return f"Not approved: TFMA's threshold rejected the candidate, see its validation result. {comparison}"
    several = f"{len(failed)} of {len(outcomes)} requirements are not met. " if len(outcomes) > 1 else ""
    return f"Not approved: {several}{' '.join(outcome.sentence for outcome in failed)} {comparison}"


def with_notes(
    verdict: Mapping[str, Any], evaluations: Mapping[str, Evaluation], changes: Sequence[ClassChange] = ()
) -> dict[str, Any]:
    """The verdict with notes in its reason, which do not change the decision.

    They are about each model that never predicts a class, and about classes that are new, gone, or have no test images.

    Args:
      verdict: see read_verdict.
      evaluations: by role, `candidate` and `baseline`.
      changes: of the classes.
    """
    notes = [note for role, evaluation in evaluations.items() if (note := one_sided(role, evaluation))]
    told = [change.sentence for change in changes]
    untested = next(iter(evaluations.values())).untested if evaluations else ()
    if untested:
        told.append(
            f"There are no test images of {first_few(untested)}: nothing is known about answers for {_it(untested)}."
        )
    return {**verdict, "reason": " ".join([verdict["reason"], *told, *notes])}


def one_sided(role: str, evaluation: Evaluation) -> str | None:
    """A sentence on a model that predicts one class only, or that never predicts some of them; else None."""
    if evaluation.only_predicted is not None:
        return f"The {role} predicts {evaluation.only_predicted} for every test image."
    names = evaluation.never_predicted
    if not names:
        return None
    return f"The {role} never predicts {first_few(names)}, though there are test images of {_it(names)}."


def _it(names: tuple[str, ...]) -> str:
    return "it" if len(names) == 1 else "them"

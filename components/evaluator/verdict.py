"""The verdict with its reason and metrics, read from the Evaluator's output."""

import os
from collections.abc import Mapping
from typing import Any

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
      `images`), `thresholds` (a list of `name`, `kind` ("absolute" or "relative"), `limit`, `value`, `passed`), and
      `slices`: a list, sorted by column and value, of `column`, `value`, `images`, and the accuracies `candidate` and
      `baseline` on those images.
    """
    import tensorflow_model_analysis as tfma
    from tfx.dsl.io import fileio

    by_slice: dict[tuple[tuple[str, str], ...], dict[str, dict[str, float]]] = {}
    for record in tfma.load_metrics(evaluation_uri):
        key = tuple((part.column, part.bytes_value.decode()) for part in record.slice_key.single_slice_keys)
        metrics = by_slice.setdefault(key, {"candidate": {}, "baseline": {}})
        for item in record.metric_keys_and_values:
            # TFMA also gives the differences; they follow from the two values.
            if not item.key.is_diff:
                role = "baseline" if item.key.model_name == tfma.BASELINE_KEY else "candidate"
                metrics[role][item.key.name] = item.value.double_value.value
    config = tfma.load_eval_result(evaluation_uri, model_name=tfma.BASELINE_KEY).config
    (threshold,) = (
        each.threshold for metric in config.metrics_specs[0].metrics for each in metric.per_slice_thresholds
    )
    verdict = judge(
        by_slice.pop(()),
        min_accuracy=threshold.value_threshold.lower_bound.value,
        min_improvement=threshold.change_threshold.absolute.value,
        blessed=fileio.exists(os.path.join(blessing_uri, BLESSED_FILE)),
    )
    slices = [
        {
            "column": column,
            "value": value,
            "images": int(metrics["candidate"]["images"]),
            "candidate": metrics["candidate"]["accuracy"],
            "baseline": metrics["baseline"]["accuracy"],
        }
        for ((column, value),), metrics in sorted(by_slice.items())
    ]
    return verdict | {"slices": slices}


def judge(
    metrics: dict[str, dict[str, float]], *, min_accuracy: float, min_improvement: float, blessed: bool
) -> dict[str, Any]:
    """Explains the Evaluator's decision.

    Args:
      metrics: `candidate` and `baseline`, each with `accuracy`.
      min_accuracy: the absolute threshold.
      min_improvement: the threshold on candidate minus baseline.
      blessed: the Evaluator's decision.

    Returns:
      See read_verdict; without the slices.
    """
    candidate, baseline = metrics["candidate"]["accuracy"], metrics["baseline"]["accuracy"]
    difference = candidate - baseline
    thresholds = [
        {
            "name": "accuracy",
            "kind": "absolute",
            "limit": min_accuracy,
            "value": candidate,
            "passed": candidate >= min_accuracy,
        },
        {
            "name": "improvement over the baseline",
            "kind": "relative",
            "limit": min_improvement,
            "value": difference,
            "passed": difference >= min_improvement,
        },
    ]
    comparison = (
        f"the candidate's accuracy is {candidate:.4f}, the baseline's is {baseline:.4f} (difference {difference:+.4f})"
    )
    failed = [threshold for threshold in thresholds if not threshold["passed"]]
    if blessed:
        reason = (
            f"Approved: {comparison}. The required minimum is {min_accuracy:.4f}, and {min_improvement:+.4f} for the "
            "difference."
        )
    elif failed:
        missed = " and ".join(
            f"the {item['name']} is {item['value']:.4f}, below the required {item['limit']:.4f}" for item in failed
        )
        reason = f"Not approved: {missed}; {comparison}."
    else:
        reason = f"Not approved: the Evaluator rejected the candidate; {comparison}. See its validation result."
    return {"blessed": blessed, "reason": reason, "metrics": metrics, "thresholds": thresholds}


def with_notes(verdict: Mapping[str, Any], evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
    """The verdict with a note in its reason on each model that never predicts a class; it does not change the decision.

    Args:
      verdict: see read_verdict.
      evaluations: by role, `candidate` and `baseline`.
    """
    notes = [note for role, evaluation in evaluations.items() if (note := one_sided(role, evaluation))]
    return {**verdict, "reason": " ".join([verdict["reason"], *notes])}


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

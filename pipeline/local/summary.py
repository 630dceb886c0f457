"""The result of a finished run, read from its artifacts."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restem.evaluator.serving import ServingCost
    from restem.example_gen.classes import ClassChange
    from restem.run_record import ModelRecord

MAX_REASONS = 20


Outputs = dict[str, dict[str, list[Any]]]  # step -> output key -> TFX artifacts


def read_outputs(connection_config: Any, executions: dict[str, int]) -> Outputs:
    """The output artifacts of each step.

    Args:
        connection_config: the pipeline's connection to the metadata database.
        executions: each step's execution id in that database.
    """
    from tfx.orchestration import metadata
    from tfx.orchestration.portable.mlmd import execution_lib

    with metadata.Metadata(connection_config) as handle:
        return {step: execution_lib.get_output_artifacts(handle, execution) for step, execution in executions.items()}


def summarise(outputs: Outputs) -> dict[str, Any]:
    """The result of a run.

    Returns:
        `blessed`, `reason`, `requirements` (each an Outcome as a dict, see restem/evaluator/outcome.py), `metrics`
        (candidate, baseline), `scores` (for each model and split: images, accuracy,
        balanced_accuracy, loss, auc), `largest_class` (`name`, and its `share` of the test images), `never_predicted`
        (for each model the classes that it never predicts), `only_predicted` (for each model the class that it predicts
        for every image, or None), `cost` (see `read_cost`), `tensorboard` (the command that opens the event files, or
        None), `start` (the pushed model that the training went on from, see restem/report/start.py; None if
        model.weights is a source), `source` (the candidate's SourceRecord, and `warning`: a sentence if its
        preprocessing is doubtful, else None), `seeds` (a Spread, see restem/report/seeds.py; None if
        train.repeats is 1), `class_changes` (each a ClassChange, see restem/example_gen/classes.py), `slices` (each
        with column, value, images, and both accuracies), `same_model` (whether candidate and baseline have the same
        files), `baseline` (see `read_baseline`), `pushed_to` (a folder or None), `not_pushed` (why an approved model is
        not pushed, or None), `report` (a file or None), `quarantined` and `quarantine` (see `read_quarantine`),
        `data_notes` (what is doubtful about the data). With the Tuner
        also `tuned` (see `read_tuned`).
    """
    from restem.evaluator.serving import read_serving
    from restem.evaluator.verdict import read_verdict, with_notes
    from restem.record_files import finite
    from restem.report import source, start
    from restem.report.formatting import tensorboard
    from restem.report.reading import find_events
    from restem.report.seeds import spread
    from restem.run_record import read_evaluation, read_model

    def uri(step: str, key: str) -> str:
        return outputs[step][key][0].uri

    runs = {"candidate": uri("Trainer", "model_run"), "baseline": uri("Baseline", "model_run")}
    models = {role: read_model(run) for role, run in runs.items()}
    by_seed = spread(models["candidate"], models["baseline"])
    evaluations = {role: read_evaluation(run) for role, run in runs.items()}
    trained = {**runs, **({"pretrain": uri("Pretrain", "model_run")} if "Pretrain" in outputs else {})}
    largest, share = evaluations["candidate"].largest_class
    changes = read_class_changes(uri("Report", "release")) if "Report" in outputs else ()
    found = read_verdict(uri("Evaluator", "evaluation"), uri("Evaluator", "blessing"))
    verdict = with_notes(found, evaluations, changes)
    pushed = outputs["Pusher"]["pushed_model"][0]
    return {
        "blessed": verdict["blessed"],
        "reason": verdict["reason"],
        "requirements": verdict["requirements"],
        "metrics": finite(verdict["metrics"]),
        "scores": {role: {split: asdict(s) for split, s in model.scores.items()} for role, model in models.items()},
        "source": source.summary(models["candidate"]),
        "start": start.summary(read_run_start(runs["candidate"]), models["candidate"]),
        "seeds": None if by_seed is None else asdict(by_seed),
        "class_changes": [asdict(change) for change in changes],
        "largest_class": {"name": largest, "share": share},
        "never_predicted": {role: list(evaluation.never_predicted) for role, evaluation in evaluations.items()},
        "only_predicted": {role: evaluation.only_predicted for role, evaluation in evaluations.items()},
        "cost": read_cost(models["candidate"], models["baseline"], read_serving(uri("Evaluator", "evaluation"))),
        "tensorboard": tensorboard({role: find_events(run) for role, run in trained.items()}),
        "slices": verdict["slices"],
        "same_model": verdict["same_model"],
        "baseline": read_baseline(runs["baseline"]),
        "pushed_to": pushed.get_string_custom_property("pushed_destination") or None,
        "not_pushed": pushed.get_string_custom_property("not_pushed") or None,
        "report": find_report(uri("Report", "report")) if "Report" in outputs else None,
        **({"tuned": read_tuned(uri("Tuner", "tuner_results"))} if "Tuner" in outputs else {}),
        **read_quarantine(uri("ImageExampleGen", "quarantine")),
        "data_notes": read_data_notes(uri("ImageExampleGen", "quarantine")),
    }


def read_class_changes(folder: str) -> "tuple[ClassChange, ...]":
    """How the run's classes differ from earlier ones, from the Report's output `release`."""
    from restem.pusher.release import read_release
    from restem.run_record import EXTRA

    release = read_release(f"{folder}/{EXTRA}")
    return () if release is None else release.class_changes


def read_tuned(folder: str) -> dict[str, Any]:
    """The search for values: `values` by key, `metric` and its `value` on the validation images, `trials`, `failed`."""
    from restem.tuner.trials import read_tuning

    tuning = read_tuning(folder)
    return {
        "values": dict(tuning.best.values),
        "metric": tuning.metric,
        "value": tuning.value(tuning.best),
        "trials": len(tuning.trials),
        "failed": tuning.failed,
    }


def read_cost(
    candidate: "ModelRecord", baseline: "ModelRecord", serving: "ServingCost | None" = None
) -> dict[str, Any]:
    """What both models need.

    Returns:
        `candidate` and `baseline` (`parameters`, `multiply_adds` of one image, `seconds` of training by phase,
        `memory_mib`, `device_memory_mib`; a model of an older version has only the first), `operations_ratio` and
        `sentence` about it (None if it is not known), and `serving` (a ServingCost, see restem/evaluator/serving.py;
        None if it was not measured).
    """
    from restem.report.cost import operations_ratio, operations_sentence

    ratio = operations_ratio(candidate, baseline)
    costs: dict[str, Any] = {
        model.role: {"parameters": model.parameters, **(asdict(model.cost) if model.cost else {})}
        for model in (candidate, baseline)
    }
    sentence, calls = operations_sentence(ratio), serving and asdict(serving)
    return {**costs, "operations_ratio": ratio, "sentence": sentence, "serving": calls}


def find_report(folder: str) -> str | None:
    """The report page in an artifact's folder."""
    pages = sorted(Path(folder).glob("*.html"))
    return str(pages[0]) if pages else None


def read_baseline(folder: str) -> dict[str, Any]:
    """The model that the candidate was compared with, from the Baseline's run folder.

    Returns:
        `kind` (stock, latest_approved or path), `version` and `path` (None for a stock network), and `skipped`
        (`version`, `path` and `reason` of each newer version that could not be used).
    """
    from restem.baseline.choice import FILE

    choice = json.loads((Path(folder) / FILE).read_text(encoding="utf-8"))
    return {key: choice[key] for key in ("kind", "version", "path", "skipped")}


def read_run_start(folder: str) -> Any:
    """The Start in a run's folder; None if there is none."""
    from restem.start.choice import FILE, Start

    file = Path(folder) / FILE
    return Start.from_json(file.read_text(encoding="utf-8")) if file.exists() else None


def read_data_notes(folder: str) -> list[str]:
    """What is doubtful about the data, in sentences; none of a run of an earlier version."""
    file = Path(folder) / "summary.json"
    return list(json.loads(file.read_text(encoding="utf-8")).get("notes", [])) if file.exists() else []


def read_quarantine(folder: str) -> dict[str, Any]:
    """`quarantined` (the number of rejected files) and `quarantine` (path, reason, size in bytes of the first 20)."""
    count, first = 0, []
    with open(Path(folder) / "quarantine.jsonl", encoding="utf-8") as lines:
        for line in lines:
            count += 1
            if count <= MAX_REASONS:
                first.append(json.loads(line))
    return {"quarantined": count, "quarantine": first}

"""The model card: what is known about a model, in Markdown, for the people who decide whether to use it.

The sections are those of Mitchell et al. 2019 (arXiv:1810.03993); the front matter is Hugging Face's metadata for model
cards. Whatever comes from the user's data is escaped.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

from restem.evaluator.paired import Paired, paired
from restem.evaluator.reliability import calibration
from restem.evaluator.terms import ENOUGH_IMAGES
from restem.evaluator.verdict import one_sided
from restem.report import formatting, measures, source
from restem.report.cost import cost_table
from restem.report.data import ReportData, Run
from restem.report.formatting import percent
from restem.report.markdown import Markdown, code, escape
from restem.report.overall import figure_rows
from restem.report.seeds import one_line, spread
from restem.report.start import initial_weights
from restem.report.tables import frequent_confusions, slices
from restem.report.templates import environment
from restem.run_record import Scores
from restem.yaml_dialect import dump

SHOWN_CLASSES = 100
TAGS = ("image-classification", "resnet", "tensorflow", "restem")


def model_card(data: ReportData) -> str:
    """The card as Markdown (str) with YAML front matter.

    Args:
      data: the run; candidate and baseline have the same test images in the same order.
    """
    candidate, baseline = data.candidate, data.baseline
    evaluation = candidate.evaluation
    pair = paired(evaluation.right, baseline.evaluation.right)
    matrix = measures.confusion(evaluation.labels, evaluation.predicted, len(evaluation.classes))
    by_class = _classes(candidate)
    seeds = spread(candidate.model, baseline.model)
    return (
        _template()
        .render(
            data=data,
            front_matter=Markdown(f"---\n{dump(front_matter(data))}---"),
            details=_details(data),
            stem=_stem(candidate),
            factors=_factors(data),
            evaluation_data=_evaluation_data(data),
            training_data=_training_data(data),
            splits=_splits(data),
            verdict=data.verdict.reason,
            images=formatting.images(pair.images),
            compared=formatting.baseline(baseline.origin),
            figures=_figures(data),
            comparison=formatting.comparison(pair),
            seeds=None if seeds is None else one_line(asdict(seeds)),
            classes=by_class[:SHOWN_CLASSES],
            more_classes=max(0, len(by_class) - SHOWN_CLASSES),
            confusions=frequent_confusions(evaluation.classes, matrix),
            slices=slices(data.verdict.slices),
            limits=_limits(data, pair),
            cost=[row[:3] for row in cost_table(candidate, baseline, data.serving)["rows"]],
            versions=list(data.versions.items()),
        )
        .strip()
        + "\n"
    )


def front_matter(data: ReportData) -> dict[str, Any]:
    """Hugging Face's metadata (https://huggingface.co/docs/hub/model-cards); the license is for the owner to add."""
    evaluation = data.candidate.evaluation
    path = str((data.candidate.model.config.get("data") or {}).get("path") or "images")
    dataset = PurePosixPath(path.rstrip("/")).name or "images"
    scores = data.candidate.model.scores.get("test")
    figures = {"accuracy": evaluation.accuracy, "balanced_accuracy": scores.balanced_accuracy if scores else None}
    return {
        "library_name": "tensorflow",
        "pipeline_tag": "image-classification",
        "tags": list(TAGS),
        "model-index": [
            {
                "name": data.title,
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": {"name": dataset, "type": "imagefolder", "split": "test"},
                        "metrics": [
                            {"type": name, "value": round(value, 6)}
                            for name, value in figures.items()
                            if value is not None
                        ],
                    }
                ],
            }
        ],
    }


@functools.cache
def _template() -> Any:
    return environment(escape).get_template("model_card.jinja")


def _details(data: ReportData) -> list[tuple[str, Any]]:
    model, history = data.candidate.model, data.candidate.history
    taken = model.input
    names = f" ({', '.join(taken.names)})" if taken.names else ""
    channels = f"{taken.channels} channel{'' if taken.channels == 1 else 's'}"
    epochs = ", ".join(f"{count} {phase}" for phase, count in Counter(each.phase for each in history).items())
    made = model.made_of
    return [
        ("Task", f"classification of images, {formatting.count(len(data.candidate.evaluation.classes))} classes"),
        ("Pipeline", data.title),
        ("Written", data.made_at),
        ("Network", model.backbone),
        ("Input", f"{taken.height} × {taken.width} pixels, {channels}{names}"),
        ("Parameters", formatting.count(model.parameters)),
        ("Initial weights", initial_weights(model)),
        ("Source's preprocessing", source.preprocessing(model)),
        ("Training images", formatting.count(model.train_images)),
        ("Epochs", epochs or "none in this run"),
        ("Precision of the training", model.precision),
        ("Seed", formatting.NOTHING if model.seed is None else str(model.seed)),
        ("Processor", model.processor or "not recorded"),
        ("Fingerprint of the images", code(made.images[:16]) if made else "not recorded"),
        ("Fingerprint of the code", code(model.code) if model.code else "not recorded"),
    ]


def _stem(candidate: Run) -> list[str]:
    if candidate.stem is None:
        return ["The first layer is that of the stock network."]
    kept = formatting.transfer(candidate.stem)
    dropped = ", ".join(candidate.stem.dropped)
    told = [kept, source.bands(candidate.model)]
    told.append(f"Removed from the source network: {dropped}." if dropped else "Nothing was removed.")
    return [sentence for sentence in told if sentence]


def _factors(data: ReportData) -> str:
    columns = list(dict.fromkeys(part.column for part in data.verdict.slices))
    by = formatting.listed(["class", *columns])
    told = f"Results are given by {by}."
    if not columns:
        told += " No other factor was recorded with the images (data.metadata, evaluate.slices)."
    return told + " Factors that are not among these, such as the device or the person who took an image, are unknown."


def _evaluation_data(data: ReportData) -> str:
    asked = data.candidate.model.config.get("data") or {}
    number = formatting.images(len(data.candidate.evaluation.labels))
    largest, share = data.candidate.evaluation.largest_class
    told = f"{number} of the split test"
    if asked.get("spans") and data.data.spans:
        told += f", of the spans {', '.join(map(str, data.data.spans))}"
    used = "They were not used in training, nor to choose anything in it."
    if data.candidate.model.started_from is not None:
        used = (
            "They were not used in this training. It went on from an earlier model; whether that one was trained with "
            "some of them is not known."
        )
    return f"{told}. {used} Always predicting the largest class, {largest}, would be right in {percent(share)}."


def _training_data(data: ReportData) -> Markdown:
    asked = data.candidate.model.config.get("data") or {}
    summary = data.data
    told = [f"{formatting.count(summary.files)} files"]
    if asked.get("path"):
        told.append(f" from {code(asked['path'])}")
    told.append(f", {formatting.count(summary.quarantined)} of them were rejected.")
    if summary.equal:
        told.append(
            f" Groups of byte-identical images: {summary.equal}; in training and test: {summary.leaks}; with different "
            f"classes: {summary.conflicts}."
        )
    return Markdown("".join(told))


def _splits(data: ReportData) -> dict[str, Any]:
    names = list(data.data.splits)
    rows = [
        {"name": name, "images": [data.data.splits[split].get(name, 0) for split in names]}
        for name in data.data.classes
    ]
    return {
        "names": names,
        "rows": rows[:SHOWN_CLASSES],
        "more": max(0, len(rows) - SHOWN_CLASSES),
        "totals": [sum(data.data.splits[split].values()) for split in names],
    }


def _figures(data: ReportData) -> list[tuple[str, str, str]]:
    runs = (data.candidate, data.baseline)

    def row(name: str, values: Sequence[str]) -> tuple[str, str, str]:
        return (name, values[0], values[1])

    def score(name: str, form: Any) -> list[str]:
        found: list[Scores | None] = [run.model.scores.get("test") for run in runs]
        values = [getattr(each, name, None) for each in found]
        return [formatting.NOTHING if value is None else form(value) for value in values]

    accuracy = [measures.wilson_interval(int(run.evaluation.right.sum()), len(run.evaluation.right)) for run in runs]
    interval = row("Accuracy, 95% interval", [f"{percent(each.low)} to {percent(each.high)}" for each in accuracy])
    measured = figure_rows(data.verdict.metrics, len(data.candidate.evaluation.classes))
    if measured:
        return [measured[0], interval, *measured[1:]]
    bins = [calibration(run.evaluation.confidence, run.evaluation.right) for run in runs]
    rows = [
        row("Accuracy", [percent(each.value) for each in accuracy]),
        interval,
        row("Log loss", [f"{run.evaluation.loss:.4f}" for run in runs]),
        row("Expected calibration error", [percent(each.expected_error) for each in bins]),
    ]
    if data.candidate.model.scores.get("test"):
        rows.insert(2, row("Balanced accuracy", score("balanced_accuracy", percent)))
        rows.insert(3, row("AUC, one class against the rest, mean", score("auc", lambda value: f"{value:.4f}")))
    return rows


def _classes(candidate: Run) -> list[dict[str, Any]]:
    """By class, the lowest F1 first if there are too many to show them all."""
    evaluation = candidate.evaluation
    rows: list[dict[str, Any]] = []
    for score in measures.class_scores(evaluation.labels, evaluation.predicted, len(evaluation.classes)):
        hits = round((score.recall or 0.0) * score.images)
        interval = measures.wilson_interval(hits, score.images)
        shown = f"{percent(interval.low)} to {percent(interval.high)}" if score.images else formatting.NOTHING
        rows.append({"name": evaluation.classes[score.index], "score": score, "interval": shown})
    if len(rows) > SHOWN_CLASSES:
        rows.sort(key=lambda row: math.inf if row["score"].f1 is None else row["score"].f1)
    return rows


def _limits(data: ReportData, pair: Paired) -> list[str]:
    evaluation, taken = data.candidate.evaluation, data.candidate.model.input
    own = measures.wilson_interval(int(evaluation.right.sum()), len(evaluation.right))
    found = [
        f"On images like the test images, the accuracy is between {percent(own.low)} and {percent(own.high)} with 95% "
        "confidence. Nothing is known about other images.",
        "Every image gets one of the classes, also one that shows something else.",
        f"Images are scaled to {taken.height} × {taken.width} pixels; smaller details are lost.",
    ]
    scores = measures.class_scores(evaluation.labels, evaluation.predicted, len(evaluation.classes))
    few = [evaluation.classes[score.index] for score in scores if score.images < ENOUGH_IMAGES]
    if few:
        shown = ", ".join(few[:10]) + (f" and {len(few) - 10} more" if len(few) > 10 else "")
        found.append(f"Classes with fewer than {ENOUGH_IMAGES} test images, whose recall is hardly known: {shown}.")
    doubt = source.doubt(data.candidate.model)
    if doubt:
        found.append(doubt)
    note = one_sided("model", evaluation)
    if note:
        found.append(note)
    confident, right = float(evaluation.confidence.mean()), float(evaluation.right.mean())
    if abs(confident - right) >= 0.01:
        lean = "high" if confident > right else "low"
        found.append(
            f"Its probabilities are too {lean} on average: the mean confidence is {percent(confident)}, and "
            f"{percent(right)} of the predictions are right."
        )
    if not pair.told_apart:
        found.append("The test images do not show that it is better or worse than the model it was compared with.")
    if data.data.leaks:
        found.append("Some images are byte-identical in training and test, so the figures are too good.")
    return found

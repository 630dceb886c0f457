"""The page: `render` turns `ReportData` into HTML. It reads only its own template: no clock, no network."""

from __future__ import annotations

import base64
import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from restem.example_gen.dataset import SPLITS, TITLES, first_few
from restem.report import formatting, measures, plots
from restem.report.data import DataSummary, ReportData, Run, Slice, StemTransfer
from restem.report.formatting import percent
from restem.report.seeds import page_part
from restem.report.start import initial_weights, story
from restem.report.tuning import tuning_part
from restem.run_record import Epoch, Evaluation
from restem.trainer.config import StemConfig
from restem.yaml_dialect import dump

SHOWN_CLASSES = 20  # tables and matrix show at most this many classes, the worst ones; the rest is collapsed
SHOWN_CONFUSIONS = 10
REPEATED = 2  # a confusion must occur this often to be listed; the matrix has all
SHOWN_QUARANTINE = 50
SHOWN_WEIGHTS = 12
FOLDED_CLASSES = 1000  # the collapsed tables list at most this many
SHOWN_SLICES = 20  # values of a column, those with the lowest accuracy; the rest is collapsed
FOLDED_SLICES = 1000
RGB = ("red", "green", "blue")
STOCK_STEM = StemConfig().model_dump(mode="json")
SUSPICIOUS_GAP = 0.1  # between the training accuracy in training and afterwards
SHADES = 8  # steps of the confusion matrix's shading, as in report.css
SHORT_NAME = 4  # column headings up to this length are not rotated


def render(data: ReportData) -> str:
    """The complete report as one HTML document (str) that loads nothing and needs no script.

    Raises:
      ValueError: candidate and baseline were not evaluated on the same images.
    """
    candidate, baseline = data.candidate.evaluation, data.baseline.evaluation
    if candidate.paths != baseline.paths:
        raise ValueError("the evaluations of candidate and baseline must have the same images in the same order")
    matrix = measures.confusion(candidate.labels, candidate.predicted, len(candidate.classes))
    return _template().render(
        data=data,
        accuracy=_accuracy(data),
        largest=dict(zip(("name", "share"), candidate.largest_class, strict=True)),
        warnings=_warnings(data),
        start=story(data.candidate.start, data.candidate.model),
        seeds=page_part(data.candidate.model, data.baseline.model),
        models=_models(data),
        changed=_stem_changed(data.candidate),
        origin={
            "name": formatting.baseline(data.baseline.origin),
            "story": formatting.baseline_story(data.baseline.origin),
            "skipped": data.baseline.origin.skipped if data.baseline.origin else (),
        },
        stem=_stem(data.candidate.stem) if data.candidate.stem else None,
        training=_training(data),
        tuning=tuning_part(data.tuning, baseline_trained=not data.baseline.adopted) if data.tuning else None,
        slices=_slices(data.verdict.slices),
        classes=_classes(candidate, baseline),
        confusion=_confusion_table(candidate.classes, matrix),
        confusions=_frequent_confusions(candidate.classes, matrix),
        calibration=_calibration(data),
        sees=None if data.baseline.adopted else formatting.sees(data.candidate.model.input.names),
        summary=_data_summary(data.data),
        repeat=_repeat(data),
    )


@functools.cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("restem.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("percent", "points", "count", "images", "duration", "measured", "reason"):
        environment.filters[name] = getattr(formatting, name)
    return environment.get_template("report.html")


@dataclass(frozen=True)
class Plot:
    """A picture and its text alternative."""

    uri: str
    alt: str


def _accuracy(data: ReportData) -> dict[str, Any]:
    candidate, baseline = data.candidate.evaluation, data.baseline.evaluation
    pair = measures.paired(candidate.right, baseline.right)
    intervals = {
        role: measures.wilson_interval(int(evaluation.right.sum()), len(evaluation.right))
        for role, evaluation in (("candidate", candidate), ("baseline", baseline))
    }
    required = max((t.limit for t in data.verdict.thresholds if t.kind == "absolute"), default=None)
    alt = "; ".join(
        f"{role}: {percent(i.value)}, 95% interval {percent(i.low)} to {percent(i.high)}"
        for role, i in intervals.items()
    )
    judged = data.verdict.metrics.get("candidate", {}).get("accuracy")
    return {
        "rows": intervals,
        "pair": pair,
        "sentence": formatting.comparison(pair),
        "plot": Plot(plots.accuracy_plot(intervals["candidate"], intervals["baseline"], required), alt),
        # The Evaluator uses the serving signature, the Trainer does not. The results must agree, except that rounding
        # may change the prediction for one image.
        "disagreement": judged
        if judged is not None and abs(judged - intervals["candidate"].value) > max(1e-3, 1.5 / pair.images)
        else None,
    }


def _models(data: ReportData) -> list[tuple[str, str, str]]:
    def facts(run: Run) -> dict[str, str]:
        speeds = [e.images_per_second for e in run.history if e.phase != "head"] or [
            e.images_per_second for e in run.history
        ]
        taken = run.model.input
        names = f" ({', '.join(taken.names)})" if taken.names else ""
        if run.model.role == "baseline" and not run.adopted and formatting.sees(run.model.input.names):
            names += f", converted to {formatting.brought(run.model.input.names)}"
        stem = "modified" if _stem_changed(run) else "stock"
        return {
            "Origin": formatting.baseline(run.origin) if run.adopted else "this run",
            "Network": run.model.backbone,
            "Initial weights": initial_weights(run.model),
            "Stem": f"{stem}, {run.stem.claim}" if run.stem and stem == "modified" else stem,
            "Input": f"{taken.height} × {taken.width} pixels, "
            f"{taken.channels} channel{'' if taken.channels == 1 else 's'}{names}",
            "Parameters": formatting.count(run.model.parameters),
            "Training images": formatting.count(run.model.train_images),
            "Epochs": ", ".join(f"{n} {phase}" for phase, n in Counter(e.phase for e in run.history).items())
            or formatting.NOTHING,
            "Training time": formatting.duration(sum(e.seconds for e in run.history))
            if run.history
            else formatting.NOTHING,
            "Images per second (last epoch)": f"{speeds[-1]:,.0f}" if speeds else formatting.NOTHING,
            "Accuracy": _by_split(run, "accuracy"),
            "Balanced accuracy": _by_split(run, "balanced_accuracy"),
            "Weights of": _kept(run),
            "Seed": formatting.NOTHING if run.model.seed is None else str(run.model.seed),
        }

    first, second = facts(data.candidate), facts(data.baseline)
    return [(name, first[name], second[name]) for name in first]


def _by_split(run: Run, metric: str) -> str:
    scores = run.model.scores
    shown = [f"{percent(getattr(scores[split], metric))} {TITLES[split]}" for split in SPLITS if split in scores]
    return ", ".join(shown) or formatting.NOTHING


def _kept(run: Run) -> str:
    if run.model.kept is None:
        return "the last epoch"
    kept = run.model.kept
    return f"epoch {kept.epoch} of the phase {kept.phase}, the best {kept.metric.replace('_', ' ')} in validation"


def _warnings(data: ReportData) -> list[str]:
    """What makes a model useless for some classes, or its training doubtful, in sentences."""
    found = []
    for role, run in (("candidate", data.candidate), ("baseline", data.baseline)):
        names = run.evaluation.never_predicted
        if names:
            found.append(f"The {role} never predicts {first_few(names)}, though there are test images of it.")
        trained, scores = run.history, run.model.scores.get("train")
        if trained and scores and trained[-1].accuracy - scores.accuracy > SUSPICIOUS_GAP:
            found.append(
                f"The {role} reached {percent(trained[-1].accuracy)} on its training images in training, and "
                f"{percent(scores.accuracy)} on the same images afterwards: its BatchNormalization statistics do not "
                f"fit its weights. More epochs or train.freeze_batch_norm: true help."
            )
    return found


def _stem_changed(run: Run) -> bool:
    """Whether the network's stem differs from the stock stem, in its settings or its channels.

    That of a stock baseline never does: its images are converted to red, green and blue before the stem.
    """
    asked = run.model.config.get("stem") or {}
    return (run.model.role == "candidate" or run.adopted) and (
        any(value != STOCK_STEM.get(name) for name, value in asked.items()) or tuple(run.model.input.names) != RGB
    )


def _stem(stem: StemTransfer) -> dict[str, Any]:
    """Groups weights with the same origin and rule into one row, because hundreds are simply carried over."""
    groups: dict[tuple[str, str], list[str]] = {}
    for weight in stem.weights:
        key = (str(weight.get("origin", "")), str(weight.get("rule", "")))
        groups.setdefault(key, []).append(str(weight.get("name", "")))
    rows = [
        {"names": names[:3], "more": len(names) - 3, "origin": origin, "rule": rule}
        for (origin, rule), names in sorted(groups.items(), key=lambda group: len(group[1]))
    ]
    return {
        "sentence": formatting.transfer(stem),
        "rows": rows[:SHOWN_WEIGHTS],
        "more": len(rows) - SHOWN_WEIGHTS,
        "dropped": list(stem.dropped)[:SHOWN_WEIGHTS],
        "dropped_more": len(stem.dropped) - SHOWN_WEIGHTS,
        "text": stem.text,
        "picture": stem.picture,
    }


def _training(data: ReportData) -> list[tuple[str, Plot]]:
    candidate, baseline = data.candidate.history, data.baseline.history
    if not candidate and not baseline:
        return []
    drawn = plots.training_plots(candidate, baseline)

    def ends(value: str, format_: str, scale: float = 1.0) -> str:
        def shown(epoch: Epoch) -> str:
            return format(scale * getattr(epoch, value), format_)

        return "; ".join(
            f"{role} from {shown(history[0])} to {shown(history[-1])}"
            for role, history in (("candidate", candidate), ("baseline", baseline))
            if history
        )

    return [
        ("Loss on the training images", Plot(drawn["loss"], f"Loss by epoch: {ends('loss', '.3f')}")),
        (
            "Accuracy on the training images",
            Plot(drawn["accuracy"], f"Training accuracy by epoch, %: {ends('accuracy', '.1f', 100)}"),
        ),
        ("Training speed", Plot(drawn["speed"], f"Images per second by epoch: {ends('images_per_second', ',.0f')}")),
    ]


def _classes(candidate: Evaluation, baseline: Evaluation) -> dict[str, Any]:
    def scores(of: Evaluation) -> tuple[measures.ClassScore, ...]:
        return measures.class_scores(of.labels, of.predicted, len(of.classes))

    # The baseline may have its classes in a different order.
    baseline_recall = {baseline.classes[score.index]: score.recall for score in scores(baseline)}
    rows = [
        {"name": name, "score": score, "baseline": baseline_recall.get(name)}
        for name, score in zip(candidate.classes, scores(candidate), strict=True)
    ]
    if len(rows) <= SHOWN_CLASSES:
        return {"shown": rows, "folded": [], "total": len(rows)}

    def badness(row: dict[str, Any]) -> tuple[float, int]:
        f1 = row["score"].f1
        return (2.0 if f1 is None else f1, -row["score"].images)

    return {
        "shown": sorted(rows, key=badness)[:SHOWN_CLASSES],
        "folded": rows[:FOLDED_CLASSES],
        "total": len(rows),
    }


def _slices(slices: Sequence[Slice]) -> list[dict[str, Any]]:
    """One table per column, lowest accuracy first, with the candidate's interval."""
    tables = []
    for column in dict.fromkeys(part.column for part in slices):
        rows = [
            {"slice": part, "interval": measures.wilson_interval(round(part.candidate * part.images), part.images)}
            for part in sorted(slices, key=lambda part: (part.candidate, -part.images))
            if part.column == column
        ]
        folded = rows[:FOLDED_SLICES] if len(rows) > SHOWN_SLICES else []
        tables.append({"column": column, "shown": rows[:SHOWN_SLICES], "folded": folded, "total": len(rows)})
    return tables


@dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix."""

    count: int
    shade: int  # 0 (none) .. SHADES (all of the row's images)
    right: bool  # on the diagonal
    title: str
    mixed: int = 0  # in the cell "others, others": number of wrong images


def _confusion_table(names: tuple[str, ...], matrix: np.ndarray) -> dict[str, Any]:
    """The matrix as a table: complete for few classes; for many, the worst classes, with all others combined."""
    size = len(names)
    mistakes = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    if size <= SHOWN_CLASSES:
        kept, labels = np.arange(size), list(names)
    else:
        kept = np.sort(np.argsort(-mistakes, kind="stable")[:SHOWN_CLASSES])
        labels = [names[i] for i in kept] + [f"the other {size - len(kept)}"]
    place = np.full(size, len(labels) - 1)
    place[kept] = np.arange(len(kept))
    table = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(table, (place[:, None], place[None, :]), matrix)
    others = len(labels) - 1 if size > SHOWN_CLASSES else -1
    hits = int(np.diag(matrix)[place == others].sum()) if others >= 0 else 0
    totals = table.sum(axis=1)

    def cell(row: int, column: int) -> Cell:
        number, total = int(table[row, column]), int(totals[row])
        title = f"{labels[row]} predicted as {labels[column]}: {number} of {formatting.images(total)}"
        if row == column:
            title = f"{labels[row]} predicted correctly: {number} of {formatting.images(total)}"
        mixed = 0
        if row == column == others:
            mixed, number = number - hits, hits
            title = f"other classes predicted correctly: {hits}; confused with each other: {mixed}"
        shade = math.ceil(SHADES * number / total) if total else 0
        return Cell(number, shade, row == column, title, mixed)

    return {
        "labels": labels,
        "rows": [[cell(i, j) for j in range(len(labels))] for i in range(len(labels))],
        "collapsed": size > SHOWN_CLASSES,
        "upright": max(map(len, labels)) <= SHORT_NAME,
        "size": size,
    }


def _frequent_confusions(names: tuple[str, ...], matrix: np.ndarray) -> list[dict[str, Any]]:
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    images = matrix.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:SHOWN_CONFUSIONS]
    pairs = [divmod(int(cell), len(names)) for cell in order]
    return [
        {"true": names[i], "predicted": names[j], "count": int(wrong[i, j]), "share": wrong[i, j] / images[i]}
        for i, j in pairs
        if wrong[i, j] >= REPEATED
    ]


def _calibration(data: ReportData) -> dict[str, Any]:
    candidate, baseline = (
        measures.calibration(e.confidence, e.right) for e in (data.candidate.evaluation, data.baseline.evaluation)
    )
    confident = float(np.mean(data.candidate.evaluation.confidence))
    right = float(np.mean(data.candidate.evaluation.right))
    lean = "about as confident as it is accurate"
    if abs(confident - right) >= 0.01:
        lean = "overconfident" if confident > right else "underconfident"
    return {
        "candidate": candidate,
        "baseline": baseline,
        "sentence": f"On average the candidate is {lean}: its mean confidence is {percent(confident)}, "
        f"and {percent(right)} of its predictions are right.",
        "plot": Plot(
            plots.reliability_plot(candidate, baseline),
            f"Reliability diagram. Expected calibration error: candidate {percent(candidate.expected_error)}, "
            f"baseline {percent(baseline.expected_error)}",
        ),
    }


def _data_summary(data: DataSummary) -> dict[str, Any]:
    splits = list(data.splits)
    rows = [{"name": name, "images": [data.splits[s].get(name, 0) for s in splits]} for name in data.classes]
    plot = None
    if len(rows) > SHOWN_CLASSES:
        train = [data.splits.get("train", {}).get(name, 0) for name in data.classes]
        test = [data.splits.get("test", {}).get(name, 0) for name in data.classes]
        plot = Plot(
            plots.class_sizes_plot(train, test),
            f"Training images per class, largest class first: from {max(train)} down to {min(train)}",
        )
    return {
        "splits": splits,
        "totals": [sum(data.splits[s].values()) for s in splits],
        "rows": rows[:FOLDED_CLASSES],
        "total_classes": len(rows),
        "folded": len(rows) > SHOWN_CLASSES,
        "plot": plot,
        "quarantine": data.quarantine[:SHOWN_QUARANTINE],
        "quarantine_more": data.quarantined - min(SHOWN_QUARANTINE, len(data.quarantine)),
    }


def _repeat(data: ReportData) -> dict[str, Any]:
    config = _plain(data.candidate.model.config)
    text = dump(config) if config else ""
    encoded = base64.b64encode(text.encode("utf-8")).decode("ascii")
    return {
        "yaml": text,
        "download": f"data:text/yaml;charset=utf-8;base64,{encoded}",
        "deterministic": bool((config.get("train") or {}).get("deterministic")) if config else False,
        "path": (config.get("data") or {}).get("path") if config else None,
    }


def _plain(value: Any) -> Any:
    """Converts mappings and tuples to the dicts and lists that YAML has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value

"""The page: `render` turns `ReportData` into HTML. It reads only its own template: no clock, no network."""

from __future__ import annotations

import base64
import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from restem.evaluator.outcome import ALL
from restem.evaluator.paired import paired
from restem.evaluator.reliability import calibration
from restem.evaluator.verdict import one_sided
from restem.example_gen.dataset import SPLITS, TITLES
from restem.report import formatting, measures, plots, source
from restem.report.card import model_card
from restem.report.cost import cost_table
from restem.report.data import DataSummary, ReportData, Run, StemTransfer
from restem.report.decision_plot import SHOWN, decision_plot, decision_text
from restem.report.formatting import percent
from restem.report.overall import figure_rows
from restem.report.reliability import before_calibration
from restem.report.seeds import page_part
from restem.report.start import initial_weights, story
from restem.report.tables import FOLDED_CLASSES, SHOWN_CLASSES, classes, confusion_table, frequent_confusions, slices
from restem.report.templates import environment
from restem.report.tuning import tuning_part
from restem.run_record import Epoch
from restem.trainer.model_config import StemConfig
from restem.yaml_dialect import dump

SHOWN_QUARANTINE = 50
SHOWN_WEIGHTS = 12
RGB = ("red", "green", "blue")
STOCK_STEM = StemConfig().model_dump(mode="json")
PRECISIONS = {"float32": "32 bits", "mixed_bfloat16": "16 bits (bfloat16)", "mixed_float16": "16 bits (float16)"}
SUSPICIOUS_GAP = 0.1  # between the training accuracy in training and afterwards


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
        figures=figure_rows(data.verdict.metrics, len(candidate.classes)),
        largest=dict(zip(("name", "share"), candidate.largest_class, strict=True)),
        warnings=_warnings(data),
        start=story(data.candidate.start, data.candidate.model),
        seeds=page_part(data.candidate.model, data.baseline.model),
        decision=_decision(data),
        models=_models(data),
        changed=_stem_changed(data.candidate),
        origin={
            "name": formatting.baseline(data.baseline.origin),
            "story": formatting.baseline_story(data.baseline.origin),
            "skipped": data.baseline.origin.skipped if data.baseline.origin else (),
        },
        stem=_stem(data.candidate.stem) if data.candidate.stem else None,
        cost=cost_table(data.candidate, data.baseline, data.serving),
        training=_training(data),
        tuning=tuning_part(data.tuning, baseline_trained=not data.baseline.adopted) if data.tuning else None,
        tensorboard=formatting.tensorboard({"candidate": data.candidate.events, "baseline": data.baseline.events}),
        slices=slices(data.verdict.slices),
        classes=classes(candidate, baseline),
        confusion=confusion_table(candidate.classes, matrix),
        confusions=frequent_confusions(candidate.classes, matrix),
        calibration=_calibration(data),
        sees=None if data.baseline.adopted else source.sees(data.candidate.model, data.baseline.model),
        bands=source.bands(data.candidate.model),
        summary=_data_summary(data.data),
        repeat=_repeat(data),
        card=_card(data),
    )


@functools.cache
def _template() -> Any:
    return environment().get_template("report.html")


@dataclass(frozen=True)
class Plot:
    """A picture and its text alternative."""

    uri: str
    alt: str


def _accuracy(data: ReportData) -> dict[str, Any]:
    candidate, baseline = data.candidate.evaluation, data.baseline.evaluation
    pair = paired(candidate.right, baseline.right)
    intervals = {
        role: measures.wilson_interval(int(evaluation.right.sum()), len(evaluation.right))
        for role, evaluation in (("candidate", candidate), ("baseline", baseline))
    }
    required = max(
        (
            one.limit
            for one in data.verdict.requirements
            if (one.metric, one.kind, one.over) == ("accuracy", "at_least", ALL)
        ),
        default=None,
    )
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


def _decision(data: ReportData) -> dict[str, Any] | None:
    outcomes = data.verdict.requirements
    if not outcomes:
        return None
    return {
        "plot": Plot(decision_plot(outcomes[:SHOWN]), decision_text(outcomes[:SHOWN])),
        "more": len(outcomes) - SHOWN,
        "floors": any(one.kind == "may_lose" for one in outcomes[:SHOWN]),
    }


def _models(data: ReportData) -> list[tuple[str, str, str]]:
    def facts(run: Run) -> dict[str, str]:
        speeds = [e.images_per_second for e in run.history if e.phase != "head"] or [
            e.images_per_second for e in run.history
        ]
        taken = run.model.input
        names = f" ({', '.join(taken.names)})" if taken.names else ""
        if run.model.role == "baseline" and not run.adopted and source.sees(data.candidate.model, run.model):
            names += f", converted to {source.brought(run.model)}"
        stem = "modified" if _stem_changed(run) else "stock"
        return {
            "Origin": formatting.baseline(run.origin) if run.adopted else "this run",
            "Network": run.model.backbone,
            "Initial weights": initial_weights(run.model),
            "Source's preprocessing": source.preprocessing(run.model),
            "Stem": f"{stem}, {run.stem.claim}" if run.stem and stem == "modified" else stem,
            "Input": f"{taken.height} × {taken.width} pixels, "
            f"{taken.channels} channel{'' if taken.channels == 1 else 's'}{names}",
            "Training images": formatting.count(run.model.train_images),
            "Epochs": ", ".join(f"{n} {phase}" for phase, n in Counter(e.phase for e in run.history).items())
            or formatting.NOTHING,
            "Precision of the training": PRECISIONS.get(run.model.precision, run.model.precision),
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
    doubt = source.doubt(data.candidate.model)
    if doubt:
        found.append(doubt)
    for role, run in (("candidate", data.candidate), ("baseline", data.baseline)):
        note = one_sided(role, run.evaluation)
        if note and note not in data.verdict.reason:
            found.append(note)
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


def _calibration(data: ReportData) -> dict[str, Any]:
    candidate, baseline = (
        calibration(e.confidence, e.right) for e in (data.candidate.evaluation, data.baseline.evaluation)
    )
    confident = float(np.mean(data.candidate.evaluation.confidence))
    right = float(np.mean(data.candidate.evaluation.right))
    lean = "about as confident as it is accurate"
    if abs(confident - right) >= 0.01:
        lean = "overconfident" if confident > right else "underconfident"
    before = before_calibration(data.candidate, data.baseline)
    return {
        "candidate": candidate,
        "baseline": baseline,
        "before": before,
        "before_plot": before
        and Plot(
            plots.reliability_plot(before.candidate, before.baseline),
            "Reliability diagram without the temperatures. Expected calibration error: candidate "
            f"{percent(before.candidate.expected_error)}, baseline {percent(before.baseline.expected_error)}",
        ),
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


def _card(data: ReportData) -> str:
    """The model card as a link's address."""
    encoded = base64.b64encode(model_card(data).encode("utf-8")).decode("ascii")
    return f"data:text/markdown;charset=utf-8;base64,{encoded}"


def _plain(value: Any) -> Any:
    """Converts mappings and tuples to the dicts and lists that YAML has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value

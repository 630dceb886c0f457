"""The page's table of what both networks and their training need, and the sentence about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from restem.evaluator.serving import Serving, ServingCost
from restem.report import formatting
from restem.report.data import Run
from restem.run_record import ModelRecord

SAME = 0.01  # a smaller difference is not worth a sentence


def operations_ratio(candidate: ModelRecord, baseline: ModelRecord) -> float | None:
    """How many times the baseline's operations the candidate needs for one image; None: not both are known."""
    counts = [record.cost.multiply_adds if record.cost else None for record in (candidate, baseline)]
    return counts[0] / counts[1] if counts[0] and counts[1] else None


def operations_sentence(ratio: float | None) -> str | None:
    """`operations_ratio` as a sentence; None where it is not known."""
    if ratio is None:
        return None
    if abs(ratio - 1) < SAME:
        return "One pass of the candidate needs as many operations as one of the baseline."
    return f"One pass of the candidate needs {formatting.times(ratio)} the operations of the baseline."


def cost_table(candidate: Run, baseline: Run, serving: ServingCost | None = None) -> dict[str, Any]:
    """The rows (name, candidate, baseline, ratio), the sentence, and on what the calls were measured."""
    runs = (candidate, baseline)
    costs = [run.model.cost for run in runs]
    seconds = [_seconds(run) for run in runs]
    rows = []

    def add(name: str, values: Sequence[float | None], shown: Callable[[Any], str]) -> None:
        if any(value is not None for value in values):
            texts = [formatting.NOTHING if value is None else shown(value) for value in values]
            ours, theirs = values
            rows.append((name, *texts, formatting.times(ours / theirs) if ours and theirs else formatting.NOTHING))

    add("Multiply-adds for one image", [cost.multiply_adds if cost else None for cost in costs], formatting.large)
    add("Parameters", [run.model.parameters for run in runs], formatting.count)
    if serving:
        models = (serving.candidate, serving.baseline)
        add("Size of the exported model", [model.size for model in models], formatting.size)
        for name, values in _calls(*models):
            add(name, values, formatting.milliseconds)
    add("Training time", [sum(phases.values()) or None for phases in seconds], formatting.duration)
    for phase in dict.fromkeys((*seconds[0], *seconds[1])):
        add(f"Training time, phase {phase}", [phases.get(phase) for phases in seconds], formatting.duration)
    add("Largest memory of the process in training", [cost.memory_mib if cost else None for cost in costs], _mib)
    add("Largest memory on the GPU", [cost.device_memory_mib if cost else None for cost in costs], _mib)
    return {
        "rows": rows,
        "sentence": operations_sentence(operations_ratio(candidate.model, baseline.model)),
        "elsewhere": baseline.adopted,
        "measured_on": serving and f"{serving.processor}{', with a GPU' if serving.gpu else ''}",
    }


def _calls(candidate: Serving, baseline: Serving) -> Iterator[tuple[str, list[float]]]:
    """Name and both models' seconds."""
    for ours, theirs in zip(candidate.latencies, baseline.latencies, strict=True):
        images = formatting.images(ours.batch)
        yield f"Call with {images}, median of {ours.calls}", [ours.median, theirs.median]
        yield f"Call with {images}, 95th percentile", [ours.percentile_95, theirs.percentile_95]


def _seconds(run: Run) -> dict[str, float]:
    """Of the training's steps, by phase: from the record, which an adopted model has too, or else the history."""
    if run.model.cost:
        return run.model.cost.seconds
    phases = dict.fromkeys(epoch.phase for epoch in run.history)
    return {phase: sum(epoch.seconds for epoch in run.history if epoch.phase == phase) for phase in phases}


def _mib(number: float) -> str:
    return f"{number:,.0f} MiB"

"""What the page and the summary say of the model that the candidate's training went on from."""

from __future__ import annotations

from typing import Any

from restem.run_record import ModelRecord
from restem.start.choice import Start


def initial_weights(record: ModelRecord) -> str:
    """The candidate's or baseline's first weights, for a table."""
    if record.started_from is not None:
        version = record.started_from.version
        return f"those of the pushed model {version or record.started_from.path}"
    known = {"imagenet": "ImageNet", "none": "random", "pretrain": "pretrained by the pipeline"}
    return known.get(record.weights, record.weights)


def story(start: Start | None, record: ModelRecord) -> str | None:
    """The start in sentences; None if model.weights names a source."""
    if start is None:
        return None
    skipped = "".join(f" {path} could not be used: {reason}." for path, reason in start.skipped)
    if start.kind == "first":
        return f"No model was approved yet, so the candidate started with model.first_weights.{skipped}"
    if start.kind == "finished":
        return (
            f"The candidate is the pushed model {start.path}: it is already the result of these images, settings and "
            f"code, so nothing was trained.{skipped}"
        )
    told = f"The candidate's training went on from the pushed model {start.path}."
    if record.started_from is not None and record.started_from.added:
        told += f" Classes that are new in it: {', '.join(record.started_from.added)}."
    if record.started_from is not None and record.started_from.dropped:
        told += f" Classes that were removed from it: {', '.join(record.started_from.dropped)}."
    return told + skipped


def summary(start: Start | None, record: ModelRecord) -> dict[str, Any] | None:
    """The start as values for --json: kind, path, version, skipped, added, dropped, and `told`, the sentences."""
    if start is None:
        return None
    begun = record.started_from if start.kind == "continue" else None
    return {
        "kind": start.kind,
        "path": start.path,
        "version": start.version,
        "skipped": [{"path": path, "reason": reason} for path, reason in start.skipped],
        "added": list(begun.added) if begun else [],
        "dropped": list(begun.dropped) if begun else [],
        "told": story(start, record),
    }

"""What the page, the model card and the summary say of the source network's input."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from restem.images.config import RGB
from restem.report import formatting
from restem.run_record import ModelRecord


def preprocessing(record: ModelRecord) -> str:
    """The source's preprocessing and who said so, for a table."""
    source = record.source
    return formatting.NOTHING if source is None else f"{source.preprocessing} ({source.decided})"


def bands(record: ModelRecord) -> str | None:
    """What became of the source's bands, in a sentence; None if all are kept and none is new, or it is not known."""
    source = record.source
    if source is None or all(entry["became"] == "kept" for entry in source.became):
        return None
    listed = "; ".join(f"{entry['band']}: {entry['became']}, {entry['how']}" for entry in source.became)
    return f"The source network has the bands {formatting.listed(source.bands)}. {listed}."


def doubt(record: ModelRecord) -> str | None:
    """The warning that the source's preprocessing is doubtful."""
    found = record.source.plausibility if record.source else None
    if not found or not found["doubtful"]:
        return None
    return f"{found['text']} Set model.source to the one that the weights were trained with."


def sees(candidate: ModelRecord, baseline: ModelRecord) -> str | None:
    """Says which of the candidate's channels the stock baseline sees; None if it sees all of them."""
    names, reads = candidate.input.names, _reads(baseline)
    if reads == RGB:
        return formatting.sees(names)
    further = [name for name in names if name not in reads]
    if not further:
        return None
    also = "also " if len(further) < len(names) else ""
    number = f"{len(reads)} channel{'' if len(reads) == 1 else 's'}"
    shown = formatting.listed(further)
    return f"The baseline has {number} and sees {brought(baseline)}; the candidate {also}sees {shown}."


def brought(baseline: ModelRecord) -> str:
    """The input of the stock network in place of the bands, see `restem.trainer.network`."""
    names, reads = baseline.input.names, _reads(baseline)
    if reads == RGB:
        return formatting.brought(names)
    return formatting.listed(reads) if set(reads) <= set(names) else "the mean of all bands"


def _reads(baseline: ModelRecord) -> tuple[str, ...]:
    """The channels of the stock network; records without them are of versions that knew only colours."""
    if baseline.source is None or set(baseline.source.reads) == set(RGB):
        return RGB
    return tuple(baseline.source.reads)


def summary(record: ModelRecord) -> dict[str, Any] | None:
    """The source as values for --json, with `warning`: a sentence, or None."""
    return None if record.source is None else {**asdict(record.source), "warning": doubt(record)}

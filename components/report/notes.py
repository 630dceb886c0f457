"""Writes what a push adds to the model: the model card, and the record of the approval."""

from __future__ import annotations

from restem import files
from restem.model_files import CARD, RELEASE
from restem.pusher.release import Release
from restem.record_files import finite
from restem.report import formatting
from restem.report.card import model_card
from restem.report.data import ReportData


def write_notes(folder: str, data: ReportData) -> dict[str, bytes]:
    """Writes assets.extra/release.json and assets.extra/model_card.md into the folder.

    Args:
      folder: of the output `release`.
      data: the run.

    Returns:
      Both files: name -> content.
    """
    origin = data.baseline.origin
    release = Release(
        pipeline=data.title,
        reason=data.verdict.reason,
        figures=finite(data.verdict.metrics),
        baseline=formatting.baseline(origin),
        class_changes=data.class_changes,
        newest_known=origin.newest if origin else None,
        baseline_fingerprint=origin.fingerprint if origin else None,
    )
    notes = {RELEASE: release.to_bytes(), CARD: model_card(data).encode("utf-8")}
    for path, content in notes.items():
        files.write(f"{folder}/{path}", content)
    return {path.rpartition("/")[2]: content for path, content in notes.items()}

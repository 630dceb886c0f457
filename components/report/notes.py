"""Writes what a push adds to the model: the model card, and the record of the approval."""

from __future__ import annotations

from restem.pusher import files
from restem.pusher.release import Release
from restem.pusher.versions import CARD, RELEASE
from restem.record_files import finite
from restem.report import formatting
from restem.report.card import model_card
from restem.report.data import ReportData


def write_notes(folder: str, data: ReportData) -> None:
    """Writes assets.extra/release.json and assets.extra/model_card.md into the folder.

    Args:
      folder: of the output `release`.
      data: the run.
    """
    release = Release(
        pipeline=data.title,
        reason=data.verdict.reason,
        figures=finite(data.verdict.metrics),
        baseline=formatting.baseline(data.baseline.origin),
    )
    files.write(f"{folder}/{RELEASE}", release.to_bytes())
    files.write(f"{folder}/{CARD}", model_card(data).encode("utf-8"))

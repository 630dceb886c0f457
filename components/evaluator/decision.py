"""The decision as a file beside TFMA's metrics: gate.json."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tfx.dsl.io import fileio

from restem.errors import RestemError
from restem.evaluator.outcome import Outcome

FILE = "gate.json"
VERSION = 1


@dataclass(frozen=True)
class Decision:
    """What came of all requirements.

    Attributes:
      blessed: whether the candidate is approved.
      by_tfma: whether it reached the thresholds that are TFMA's.
      outcomes: of each requirement.
    """

    blessed: bool
    by_tfma: bool
    outcomes: tuple[Outcome, ...]


def write_decision(folder: str, decision: Decision) -> None:
    """Writes gate.json into the folder of the ModelEvaluation."""
    content = {
        "version": VERSION,
        "blessed": decision.blessed,
        "by_tfma": decision.by_tfma,
        "requirements": [outcome.to_dict() for outcome in decision.outcomes],
    }
    with fileio.open(f"{folder}/{FILE}", "wb") as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def read_decision(folder: str) -> Decision:
    """Reads gate.json.

    Raises:
      RestemError: there is none, or one of another format.
    """
    file = f"{folder}/{FILE}"
    if not fileio.exists(file):
        raise RestemError(
            "this evaluation has no decision", where=file, remedy="It is of an earlier version: run the pipeline again"
        )
    with fileio.open(file, "rb") as opened:
        content = json.loads(opened.read())
    if content["version"] != VERSION:
        raise RestemError(
            "this decision has another format",
            where=file,
            expected=f"version {VERSION}",
            given=str(content["version"]),
            remedy="Read it with the version of Restem that wrote it",
        )
    outcomes = tuple(Outcome.from_dict(one) for one in content["requirements"])
    return Decision(content["blessed"], content["by_tfma"], outcomes)

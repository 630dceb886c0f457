"""The decision as a file beside TFMA's metrics: gate.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from restem.errors import RestemError
from restem.evaluator.outcome import Outcome
from restem.evaluator.slices import SliceResult
from restem.record_files import VERSION, check_version, finite, read_json, write_json

FILE = "gate.json"


@dataclass(frozen=True)
class Decision:
    """What came of all requirements.

    Attributes:
      blessed: whether the candidate is approved.
      by_tfma: whether it reached the thresholds that are TFMA's.
      outcomes: of each requirement.
      figures: of both models by role (see scores.py), besides TFMA's own; empty in files that are older.
      slices: of both models.
      same: whether the candidate is the baseline itself, by their files.
    """

    blessed: bool
    by_tfma: bool
    outcomes: tuple[Outcome, ...]
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    slices: tuple[SliceResult, ...] = ()
    same: bool = False


def write_decision(folder: str, decision: Decision) -> None:
    """Writes gate.json into the folder of the ModelEvaluation."""
    content = {
        "version": VERSION,
        "blessed": decision.blessed,
        "by_tfma": decision.by_tfma,
        "requirements": [outcome.to_dict() for outcome in decision.outcomes],
        "figures": finite(decision.figures),
        "slices": [one.to_dict() for one in decision.slices],
        "same_model": decision.same,
    }
    write_json(folder, FILE, content)


def read_decision(folder: str) -> Decision:
    """Reads gate.json.

    Raises:
      RestemError: there is none.
      DamagedRecord: it cannot be used.
    """
    try:
        content = read_json(folder, FILE)
    except OSError:
        raise RestemError(
            "this evaluation has no decision",
            where=f"{folder}/{FILE}",
            remedy="It is of an earlier version: run the pipeline again",
        ) from None
    check_version(FILE, content)
    outcomes = tuple(Outcome.from_dict(one) for one in content["requirements"])
    figures = {
        role: {name: math.nan if value is None else value for name, value in values.items()}
        for role, values in content.get("figures", {}).items()
    }
    slices = TypeAdapter(tuple[SliceResult, ...]).validate_python(content.get("slices", []))
    return Decision(content["blessed"], content["by_tfma"], outcomes, figures, slices, content.get("same_model", False))

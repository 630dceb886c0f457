"""Chooses the model that a run's candidate has to beat, and records the versions it skipped."""

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from restem.baseline.check import problem
from restem.errors import RestemError
from restem.evaluator.config import LATEST_APPROVED, STOCK

Kind = Literal["stock", "latest_approved", "path"]
FILE = "baseline.json"

log = logging.getLogger("restem")


@dataclass(frozen=True)
class Skipped:
    """A version that could not be used, and the reason."""

    version: str
    path: str
    reason: str  # the end of a sentence, without a full stop


@dataclass(frozen=True)
class Choice:
    """The chosen baseline.

    Attributes:
      kind: what was chosen, not what was requested: also `stock` if no approved version could be used.
      version: the version's number, if the folder's name is a number.
      path: the model's folder; None if the stock network is trained.
      fingerprint: of the model's files.
      skipped: newer versions that could not be used, newest first.
    """

    kind: Kind
    version: str | None = None
    path: str | None = None
    fingerprint: str | None = None
    skipped: tuple[Skipped, ...] = ()

    def to_json(self) -> str:
        """As JSON; equal choices give the same text."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Choice":
        """Reads the output of `to_json`."""
        values: dict[str, Any] = json.loads(text)
        return cls(**{**values, "skipped": tuple(Skipped(**entry) for entry in values["skipped"])})

    def tell(self) -> None:
        """Logs what was skipped and what was chosen."""
        for entry in self.skipped:
            log.warning("Baseline: version %s is skipped: %s (%s)", entry.version, entry.reason, entry.path)
        if self.path is None:
            log.info("Baseline: the stock network%s", "; no approved version could be used" if self.skipped else "")
        else:
            log.info("Baseline: %s", f"version {self.version} ({self.path})" if self.version else self.path)


def choose(asked: str, destination: str | None, classes: Sequence[str]) -> Choice:
    """Finds the baseline.

    Args:
      asked: `evaluate.baseline`: stock, latest_approved or a folder.
      destination: the folder of approved versions, for latest_approved.
      classes: this run's class names in label order.

    Raises:
      RestemError: the requested folder has no model that can be the baseline.
    """
    from tfx.dsl.io import fileio

    from restem.pusher.versions import SAVED_MODEL, versions

    if asked == STOCK:
        return Choice("stock")
    if asked == LATEST_APPROVED:
        assert destination is not None
        version, skipped = _newest_usable(destination, classes)
        return _chosen("latest_approved", version, skipped) if version else Choice("stock", skipped=skipped)
    if fileio.exists(f"{asked}/{SAVED_MODEL}") or not versions(asked):
        reason = problem(asked, classes)
        if reason:
            raise unusable(asked, reason)
        return _chosen("path", asked)
    version, skipped = _newest_usable(asked, classes)
    if version is None:
        raise unusable(asked, "; ".join(f"version {entry.version}: {entry.reason}" for entry in skipped))
    return _chosen("path", version, skipped)


def unusable(path: str, reason: str) -> RestemError:
    """The error for a requested folder that cannot be used."""
    return RestemError(
        "this folder has no model that can be the baseline",
        where=f"evaluate.baseline ({path})",
        expected="the folder of a model that this pipeline pushed, a folder of such versions, stock or latest_approved",
        given=reason,
    )


def _newest_usable(destination: str, classes: Sequence[str]) -> tuple[str | None, tuple[Skipped, ...]]:
    """The folder of the newest version that can be used, and the newer versions that cannot."""
    from restem.pusher.versions import versions

    skipped: list[Skipped] = []
    for version in versions(destination):
        reason = problem(version.path, classes)
        if reason is None:
            return version.path, tuple(skipped)
        skipped.append(Skipped(os.path.basename(version.path), version.path, reason))
    return None, tuple(skipped)


def _chosen(kind: Kind, path: str, skipped: tuple[Skipped, ...] = ()) -> Choice:
    from restem.pusher.versions import fingerprint

    path = path.rstrip("/")
    name = os.path.basename(path)
    return Choice(kind, name if name.isdigit() else None, path, fingerprint(path), skipped)

"""Chooses the model that a run's candidate has to beat, and records the versions it skipped."""

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from restem.baseline.check import problem
from restem.errors import RestemError
from restem.evaluator.config import LATEST_APPROVED, STOCK
from restem.files import file_sizes
from restem.model_files import fingerprint
from restem.pusher.manifest import refuse_changed
from restem.pusher.versions import missing, newest, newest_version

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
      latest: whether the newest approved version was asked for.
    """

    kind: Kind
    version: str | None = None
    path: str | None = None
    fingerprint: str | None = None
    skipped: tuple[Skipped, ...] = ()
    latest: bool = False

    @property
    def newest(self) -> int | None:
        """The largest number of a version that was looked at, 0 if there was none; None if `latest` is not set."""
        numbers = [int(each) for each in (self.version, *(one.version for one in self.skipped)) if each]
        return max(numbers, default=0) if self.latest else None

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


def choose(asked: str, destination: str | None, classes: Sequence[str], verify_key: str | None = None) -> Choice:
    """Finds the baseline.

    Args:
      asked: `evaluate.baseline`: stock, latest_approved or a folder.
      destination: the folder of approved versions, for latest_approved.
      classes: this run's class names in label order.
      verify_key: the file of the public key by which a version must be signed.

    Raises:
      RestemError: the requested folder has no model that can be the baseline; or the files of the version are not
        those that were pushed, or not signed.
    """
    if asked == STOCK:
        return Choice("stock")

    def usable(folder: str) -> str | None:
        """Stops at a changed version: an older one, or none, would be another comparison than was asked for."""
        reason = missing(file_sizes(folder))
        if reason is None:
            refuse_changed(folder, verify_key)
        return reason or problem(folder, classes)

    if asked == LATEST_APPROVED:
        assert destination is not None
        path, skipped = newest_version(destination, usable)
        chosen = _chosen("latest_approved", path, skipped) if path else Choice("stock", skipped=_versions(skipped))
        return replace(chosen, latest=True)
    path, skipped = newest(asked, usable)
    if path is None:
        raise unusable(asked, reasons(asked, skipped))
    return _chosen("path", path, skipped)


def reasons(asked: str, skipped: Sequence[tuple[str, str]]) -> str:
    """Why a requested folder has no usable model; of a folder of versions, the reason against each."""
    listed = [
        reason if path == asked.rstrip("/") else f"version {os.path.basename(path)}: {reason}"
        for path, reason in skipped
    ]
    return "; ".join(listed) or "there is no such folder"


def unusable(path: str, reason: str) -> RestemError:
    """The error for a requested folder that cannot be used."""
    return RestemError(
        "this folder has no model that can be the baseline",
        where=f"evaluate.baseline ({path})",
        expected="the folder of a model that this pipeline pushed, a folder of such versions, stock or latest_approved",
        given=reason,
    )


def _chosen(kind: Kind, path: str, skipped: Sequence[tuple[str, str]] = ()) -> Choice:
    name = os.path.basename(path)
    return Choice(kind, name if name.isdigit() else None, path, fingerprint(path), _versions(skipped))


def _versions(skipped: Sequence[tuple[str, str]]) -> tuple[Skipped, ...]:
    return tuple(Skipped(os.path.basename(path), path, reason) for path, reason in skipped)

"""The classes as a contract: which may be missing, and how a change is told."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import first_few

LISTED = "data.classes"
ALLOW = "Set data.allow_class_changes: true to accept it; the answers of the new model then have another width"


@dataclass(frozen=True)
class ClassChange:
    """How a run's classes differ from earlier ones.

    Attributes:
      reference: whose classes the run's are compared with, as in "version 1790000000" or "data.classes".
      added: the classes that only the run has.
      missing: the classes that only the reference has.
    """

    reference: str
    added: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What changed, for people."""
        told = []
        if self.added:
            told.append(f"{_classes(self.added, 'New class', 'New classes')}, not in {self.reference}")
        if self.missing:
            told.append(f"{_classes(self.missing, 'Class', 'Classes')} of {self.reference} without images")
        return ". ".join(told) + "."

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ClassChange":
        """The inverse of `dataclasses.asdict`, also after JSON."""
        return cls(values["reference"], tuple(values["added"]), tuple(values["missing"]))


def compare_classes(reference: str, theirs: Sequence[str], ours: Sequence[str]) -> ClassChange | None:
    """The difference between two lists of class names; None if they have the same names."""
    added = tuple(name for name in ours if name not in set(theirs))
    missing = tuple(name for name in theirs if name not in set(ours))
    return ClassChange(reference, added, missing) if added or missing else None


def refuse_missing(change: ClassChange | None, *, where: str, allowed: bool) -> None:
    """Refuses classes that vanished.

    Args:
      change: the difference, if there is one.
      where: the key and the data or models that it is about, for the message.
      allowed: data.allow_class_changes.

    Raises:
      RestemError: a class is missing and that is not allowed.
    """
    if change is None or not change.missing or allowed:
        return
    raise RestemError(
        f"{_classes(change.missing, 'the class', 'the classes')} of {change.reference} "
        f"{'has' if len(change.missing) == 1 else 'have'} no images in this run",
        where=where,
        expected=f"images of every class of {change.reference}",
        given=f"none of {first_few(change.missing)}",
        remedy=f"Add images of these classes, or check whether a folder, a table or a span is missing. {ALLOW}",
    )


def listed_change(config: DataConfig, classes: Sequence[str]) -> ClassChange | None:
    """How the classes that were found differ from data.classes; None if they do not, or if it is not set."""
    if config.classes is None:
        return None
    return compare_classes(LISTED, [unicodedata.normalize("NFC", name) for name in config.classes], classes)


def _classes(names: Sequence[str], one: str, several: str) -> str:
    return f"{one if len(names) == 1 else several} {first_few(names)}"

"""Compares a run's classes with those of the newest version: whoever asks that model relies on them."""

from collections.abc import Sequence

from restem.example_gen.classes import ClassChange, compare_classes
from restem.pusher.versions import versions
from restem.record_files import DamagedRecord
from restem.run_record import EXTRA, read_classes


def class_change(destination: str, classes: Sequence[str]) -> ClassChange | None:
    """How a run's classes differ from those of the newest version.

    Args:
      destination: the folder of versions.
      classes: the run's class names.

    Returns:
      None if they have the same names, or if there is no version with a readable list of classes.
    """
    for version in versions(destination):
        try:
            theirs = read_classes(f"{version.path}/{EXTRA}")
        except (DamagedRecord, OSError):
            continue
        return compare_classes(f"version {version.number}", theirs, classes)
    return None

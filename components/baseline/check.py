"""Checks whether a folder has a model that this run's candidate can be compared with."""

from collections.abc import Sequence

from restem.example_gen.classes import ClassChange, compare_classes
from restem.files import file_sizes
from restem.pusher.versions import missing
from restem.record_files import DamagedRecord
from restem.run_record import EXTRA, read_classes, read_model

SIGNATURE = "serve_examples"
SHOWN_CLASSES = 5
SHOWN_LETTERS = 200


def problem(folder: str, classes: Sequence[str]) -> str | None:
    """Why the model in a folder cannot be the baseline, as the end of a sentence; None if it can.

    Args:
      folder: a version as the Pusher writes it.
      classes: this run's class names in label order.
    """
    gone = missing(file_sizes(folder))
    if gone:
        return gone
    try:
        theirs = read_classes(f"{folder}/{EXTRA}")
        read_model(f"{folder}/{EXTRA}")
    except DamagedRecord as damage:
        return f"{EXTRA}/{damage}"
    if theirs != list(classes):
        return _difference(theirs, classes)
    return _unloadable(folder, len(classes))


def _unloadable(folder: str, classes: int) -> str | None:
    import tensorflow as tf

    try:
        signatures = tf.saved_model.load(folder).signatures
    except Exception as error:  # TensorFlow raises many types of errors for damaged files
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return f"TensorFlow cannot read it: {lines[0].replace(folder, '').strip()[:SHOWN_LETTERS]}"
    if SIGNATURE not in signatures:
        return f"it lacks the signature {SIGNATURE}"
    shape = getattr(signatures[SIGNATURE].structured_outputs.get("probabilities"), "shape", None)
    if shape is None or shape.rank != 2 or shape[-1] != classes:
        return f"its signature {SIGNATURE} does not return probabilities for {classes} classes"
    return None


def _difference(theirs: Sequence[str], ours: Sequence[str]) -> str:
    change = compare_classes("the model", theirs, ours) or ClassChange("the model")
    parts = [f"only the model has {_listed(change.missing)}" if change.missing else ""]
    parts += [f"only this run has {_listed(change.added)}" if change.added else ""]
    difference = "; ".join(part for part in parts if part) or "the order is different"
    return f"its classes differ from this run's: {difference}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_CLASSES
    return ", ".join(names[:SHOWN_CLASSES]) + (f" and {more} more" if more > 0 else "")

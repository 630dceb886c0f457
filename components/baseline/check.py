"""Checks whether a folder has a model that this run's candidate can be compared with."""

import re
from collections.abc import Mapping, Sequence

from restem.record_files import DamagedRecord
from restem.run_record import CLASSES, EXTRA, MODEL, read_classes, read_model

SHARD = re.compile(r"^variables/variables\.data-\d{5}-of-(\d{5})$")
FILES = ("saved_model.pb", "variables/variables.index", f"{EXTRA}/{CLASSES}", f"{EXTRA}/{MODEL}")
SIGNATURE = "serve_examples"
SHOWN_CLASSES = 5
SHOWN_LETTERS = 200


def missing(sizes: Mapping[str, int]) -> str | None:
    """The first file of a pushed model that is missing or empty, as the end of a sentence; None if all exist.

    Args:
      sizes: file sizes in bytes by path relative to the model's folder, with forward slashes.
    """
    for name in FILES:
        if name not in sizes:
            return f"{name} is missing"
        if not sizes[name]:
            return f"{name} is empty"
    shards = [match for name in sizes if (match := SHARD.match(name))]
    expected = int(shards[0][1]) if shards else 1
    if len(shards) < expected:
        return f"only {len(shards)} of {expected} files variables/variables.data-* exist"
    return None


def problem(folder: str, classes: Sequence[str]) -> str | None:
    """Why the model in a folder cannot be the baseline, as the end of a sentence; None if it can.

    Args:
      folder: a version as the Pusher writes it.
      classes: this run's class names in label order.
    """
    from restem.pusher.versions import file_sizes

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
    more = [name for name in theirs if name not in set(ours)]
    fewer = [name for name in ours if name not in set(theirs)]
    parts = [f"only the model has {_listed(more)}" if more else ""]
    parts += [f"only this run has {_listed(fewer)}" if fewer else ""]
    difference = "; ".join(part for part in parts if part) or "the order is different"
    return f"its classes differ from this run's: {difference}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_CLASSES
    return ", ".join(names[:SHOWN_CLASSES]) + (f" and {more} more" if more > 0 else "")

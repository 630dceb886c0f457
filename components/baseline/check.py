"""Whether a folder holds a model that this run's candidate can be compared with, and if not, why."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

SHARD = re.compile(r"^variables/variables\.data-\d{5}-of-(\d{5})$")
CLASSES, MODEL = "assets.extra/classes.json", "assets.extra/model.json"
FILES = ("saved_model.pb", "variables/variables.index", CLASSES, MODEL)
SIGNATURE = "serve_examples"
# What the report reads of model.json.
MODEL_KEYS = ("backbone", "weights", "input", "parameters", "train_images")
SHOWN_CLASSES = 5
SHOWN_LETTERS = 200


def missing(sizes: Mapping[str, int]) -> str | None:
    """Which of a pushed model's files is missing or empty, as a sentence's end; None: all are there.

    Args:
      sizes: the files' sizes in bytes by their path relative to the model's folder, with forward slashes.
    """
    for name in FILES:
        if name not in sizes:
            return f"{name} is missing"
        if not sizes[name]:
            return f"{name} is empty"
    shards = [match for name in sizes if (match := SHARD.match(name))]
    expected = int(shards[0][1]) if shards else 1
    if len(shards) < expected:
        return f"{len(shards)} of {expected} files variables/variables.data-* are there"
    return None


def problem(folder: str, classes: Sequence[str]) -> str | None:
    """Why the model in a folder cannot be the baseline, as a sentence's end; None: it can.

    Args:
      folder: a version, as the Pusher writes it.
      classes: this run's class names by label.
    """
    from restem.pusher.versions import file_sizes

    gone = missing(file_sizes(folder))
    if gone:
        return gone
    documents: dict[str, Any] = {}
    for name, kind in ((CLASSES, list), (MODEL, dict)):
        try:
            documents[name] = read_json(folder, name)
        except ValueError:
            return f"{name} is damaged: it is not valid JSON"
        if not isinstance(documents[name], kind):
            return f"{name} is damaged: it is not a JSON {'list' if kind is list else 'object'}"
    if documents[CLASSES] != list(classes):
        return _difference(documents[CLASSES], classes)
    absent = [key for key in MODEL_KEYS if key not in documents[MODEL]]
    if absent:
        return f"{MODEL} says nothing of {', '.join(absent)}"
    return _unloadable(folder, len(classes))


def read_json(folder: str, name: str) -> Any:
    """A JSON file of a model.

    Raises:
      ValueError: it is not JSON.
    """
    from tfx.dsl.io import fileio

    with fileio.open(f"{folder}/{name}", "rb") as file:
        return json.loads(file.read())


def _unloadable(folder: str, classes: int) -> str | None:
    import tensorflow as tf

    try:
        signatures = tf.saved_model.load(folder).signatures
    except Exception as error:  # whatever a damaged file makes TensorFlow stumble over
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return f"TensorFlow cannot read it: {lines[0].replace(folder, '').strip()[:SHOWN_LETTERS]}"
    if SIGNATURE not in signatures:
        return f"it lacks the signature {SIGNATURE}"
    shape = getattr(signatures[SIGNATURE].structured_outputs.get("probabilities"), "shape", None)
    if shape is None or shape.rank != 2 or shape[-1] != classes:
        return f"its signature {SIGNATURE} does not give probabilities of {classes} classes"
    return None


def _difference(theirs: Sequence[Any], ours: Sequence[str]) -> str:
    theirs = [str(name) for name in theirs]
    more = [name for name in theirs if name not in set(ours)]
    fewer = [name for name in ours if name not in set(theirs)]
    parts = [f"it has {_listed(more)}, which this run's images do not have" if more else ""]
    parts += [f"it lacks {_listed(fewer)}" if fewer else ""]
    told = "; ".join(part for part in parts if part) or "they are in another order"
    return f"it has other classes: {told}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_CLASSES
    return ", ".join(names[:SHOWN_CLASSES]) + (f" and {more} more" if more > 0 else "")

"""Checkpoints of a training: if it is killed at any time, the next run continues from the last one."""

import hashlib
import io
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from pydantic import TypeAdapter

from restem.files import StorageError, entries
from restem.run_record import Epoch
from restem.trainer.variables import CHECKPOINT_FOLDER, CHECKPOINT_SECONDS

UNUSED_SECONDS = 7 * 86_400
KEPT = 2  # the newest checkpoints: the older one serves where the newest is damaged
MOST_TIME = 0.02  # the share of the time that writing them may take, on a slow disk too
_PREFIX = "checkpoint-"


log = logging.getLogger("restem")

Arrays = Sequence[np.ndarray]


@dataclass(frozen=True)
class Best:
    """The best epoch so far, by a metric on the validation images.

    Attributes:
      phase, epoch: which one it is.
      value: of the metric; a larger one is better.
    """

    phase: str
    epoch: int
    value: float

    @property
    def file(self) -> str:
        """The file with its weights."""
        return f"best-{self.phase}-{self.epoch:05d}.npz"


@dataclass(frozen=True)
class Position:
    """How far a training has come.

    Attributes:
      phase: the one that is running, or the last one that has ended.
      epoch: how many of its epochs are finished.
      step: how many steps of the next epoch are finished.
      seconds: how long these steps took.
      ended: the phase is over.
      history: the finished epochs of all phases.
      best: the best of them, where the best one is kept.
    """

    phase: str
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    ended: bool = False
    history: tuple[Epoch, ...] = ()
    best: Best | None = None

    def to_json(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Position":
        """What `to_json` wrote."""
        return TypeAdapter(cls).validate_json(text)


@dataclass(frozen=True)
class Saved:
    """A checkpoint.

    Attributes:
      position: how far the training had come.
      values: of its variables, in the order in which they were saved.
      best: the weights of the best epoch, in their order.
    """

    position: Position
    values: Arrays
    best: Arrays | None


class Checkpoints:
    """The checkpoints of one training, in a folder of their own.

    A file appears whole or not at all, and a checkpoint after the files that it needs.
    """

    def __init__(self, folder: str | None, key: str, seconds: float) -> None:
        """Args:
        folder: where the trainings' folders go, on this machine or in a bucket; none: nothing is written.
        key: changes with everything that decides the weights: a checkpoint of another training is never used.
        seconds: at least so many pass between two checkpoints, and more where writing one takes more than a fiftieth of
          them; 0: one after each step.
        """
        self._folder = None if folder is None else f"{folder}/{key}"
        self._seconds = seconds
        self._pause = seconds
        self._written = time.monotonic()
        self._number = 0

    @property
    def folder(self) -> str | None:
        """Where they are; None: nowhere."""
        return self._folder

    def of_part(self, name: str) -> "Checkpoints":
        """The checkpoints of a part of this training, in a folder below."""
        return Checkpoints(self._folder, name, self._seconds)

    def in_order(self, by_path: bool) -> "Checkpoints":
        """Those of the training with this order of the images; to go on in another one would show some of them twice.

        Args:
          by_path: see `Split.ordered`.
        """
        if by_path or self._folder is None:
            return self
        folder, _, key = self._folder.rpartition("/")
        return Checkpoints(folder, f"{key}-files", self._seconds)

    @property
    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return self._folder is not None and time.monotonic() - self._written >= self._pause

    def save(self, position: Position, values: Arrays, best: Arrays | None = None) -> None:
        """Writes a checkpoint and removes what is not needed any more.

        Where it cannot be written (a full disk), this logs a warning: the checkpoint before it is still there.

        Args:
          position: how far the training has come.
          values: of its variables.
          best: the weights of the best epoch, where there is one.
        """
        if self._folder is None:
            return
        start = time.monotonic()
        self._number += 1
        document = np.frombuffer(position.to_json().encode(), np.uint8)
        try:
            tf.io.gfile.makedirs(self._folder)
            needed = set()
            if position.best is not None and best is not None:
                needed.add(position.best.file)
                if not tf.io.gfile.exists(f"{self._folder}/{position.best.file}"):
                    self._write(position.best.file, _numbered(best))
            self._write(f"{_PREFIX}{self._number:08d}.npz", {**_numbered(values), "position": document})
            needed |= set(self._found()[-KEPT:])
            for name in set(tf.io.gfile.listdir(self._folder)) - needed:
                tf.io.gfile.remove(f"{self._folder}/{name}")
        except (tf.errors.OpError, OSError, StorageError) as error:
            why = str(error).splitlines()[0]
            log.warning("a checkpoint could not be written to %s (%s); the one before it is kept", self._folder, why)
        self._written = time.monotonic()
        if self._seconds:
            self._pause = max(self._seconds, (self._written - start) / MOST_TIME)

    def load(self) -> Saved | None:
        """The newest checkpoint that can be read; a damaged one is skipped with a warning.

        Raises:
          StorageError: the bucket does not answer: without a checkpoint, a training of days would begin again.
        """
        for name in reversed(self._found()):
            self._number = max(self._number, int(name.removesuffix(".npz").removeprefix(_PREFIX)))
            try:
                arrays = self._read(name)
                position = Position.from_json(arrays.pop("position").tobytes())
                best = _values(self._read(position.best.file)) if position.best else None
            except Exception as error:  # whatever a damaged file makes NumPy and JSON raise
                log.warning("the checkpoint %s/%s cannot be read (%s): it is skipped", self._folder, name, error)
                continue
            return Saved(position, _values(arrays), best)
        return None

    def _found(self) -> list[str]:
        names = [] if self._folder is None else entries(self._folder)
        return sorted(name for name in names if name.startswith(_PREFIX) and name.endswith(".npz"))

    def _write(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        with tf.io.gfile.GFile(f"{self._folder}/{name}.unfinished", "wb") as file:
            np.savez(_Stream(file), allow_pickle=False, **dict(arrays))
        tf.io.gfile.rename(f"{self._folder}/{name}.unfinished", f"{self._folder}/{name}", overwrite=True)

    def _read(self, name: str) -> dict[str, np.ndarray]:
        with (
            tf.io.gfile.GFile(f"{self._folder}/{name}", "rb") as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            return dict(arrays)


class _Stream(io.RawIOBase):
    """What NumPy writes, passed on at once: a training's variables are not in memory a second time.

    TensorFlow's file says that it can seek while it is written, and raises an error that `zipfile` does not expect.
    """

    def __init__(self, file: tf.io.gfile.GFile) -> None:
        super().__init__()
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._file.write(bytes(data))
        return len(data)


def _numbered(values: Arrays) -> dict[str, np.ndarray]:
    return {f"{i:05d}": value for i, value in enumerate(values)}


def _values(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return [arrays[name] for name in sorted(arrays)]


def checkpoints_of_this_run(name: str, settings: object, files: Sequence[str]) -> Checkpoints:
    """The checkpoints of a training, where the environment says that they go; nowhere if it does not say.

    Those of the same training with other settings, images or code are named and not used; after a week they are
    removed.

    Args:
      name: of the training: a letter or word that no other training of the run has.
      settings: everything that decides the weights, as JSON can hold it, with the fingerprint of the code.
      files: patterns of the files with the examples; their names and sizes count.
    """
    folder = os.environ.get(CHECKPOINT_FOLDER)
    if not folder:
        return Checkpoints(None, name, 0)
    found = sorted(file for pattern in files for file in tf.io.gfile.glob(pattern))
    sizes = {file: tf.io.gfile.stat(file).length for file in found}
    digest = hashlib.sha256(json.dumps([settings, sizes], sort_keys=True, default=str).encode()).hexdigest()
    key = f"{name}-{digest[:24]}"
    for other in entries(folder):
        path = f"{folder}/{other}"
        if not other.startswith(f"{name}-") or other == key:
            continue
        log.info("%s is a checkpoint of other settings, images or code: it is not used", path)
        if time.time() - tf.io.gfile.stat(path).mtime_nsec / 1e9 > UNUSED_SECONDS:
            tf.io.gfile.rmtree(path)
    return Checkpoints(folder, key, float(os.environ.get(CHECKPOINT_SECONDS) or 60))

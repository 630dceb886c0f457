"""The record of a search: trials.json in the Tuner's results, and one file for each finished trial until then."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from restem.record_files import read_json, write_json
from restem.run_record import Scores
from restem.tuner.config import Value

FILE = "trials.json"


@dataclass(frozen=True)
class Trial:
    """One combination of values, and how good a network is that is trained with it.

    Attributes:
      number: counted from 1.
      values: by key.
      seconds: how long it took, without what came before an interruption.
      scores: on the validation images; None: it failed.
      failure: why, as a clause.
    """

    number: int
    values: Mapping[str, Value]
    seconds: float
    scores: Scores | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Tuning:
    """A search.

    Attributes:
      metric: what was compared.
      epochs: the most epochs that a phase of a trial had; None: as many as the training.
      own_first: the first trial has the configuration's own values.
      trials: in their order.
    """

    metric: str
    epochs: int | None
    own_first: bool
    trials: tuple[Trial, ...]

    def value(self, trial: Trial) -> float | None:
        """What was compared; None for a failed trial."""
        return None if trial.scores is None else getattr(trial.scores, self.metric)

    def ranked(self) -> list[Trial]:
        """The best trial first; of equal ones the earlier; those that failed last."""

        def rank(trial: Trial) -> float:
            return float("inf") if trial.scores is None else -trial.scores.larger_is_better(self.metric)

        return sorted(self.trials, key=rank)

    @property
    def best(self) -> Trial:
        """The chosen trial."""
        return self.ranked()[0]

    @property
    def failed(self) -> int:
        """How many trials failed."""
        return sum(trial.scores is None for trial in self.trials)


def write_tuning(folder: str, tuning: Tuning) -> None:
    """Writes trials.json."""
    write_json(folder, FILE, asdict(tuning))


def read_tuning(folder: str) -> Tuning:
    """Reads trials.json."""
    return TypeAdapter(Tuning).validate_python(read_json(folder, FILE))


def trial_key(values: Mapping[str, Any]) -> str:
    """The name of a trial's file and folder; equal values give the same."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


class FinishedTrials:
    """The finished trials of a search that may have been interrupted: one file each, which appears whole or not at all.

    A trial's place depends on its values alone: a search that is continued with more trials uses those it has.
    """

    def __init__(self, folder: str | None) -> None:
        """Args: folder: of this search, on this machine or in a bucket; None: nothing is written."""
        self._folder = folder

    def find(self, values: Mapping[str, Value]) -> Trial | None:
        """The trial with these values; None if it is not finished."""
        import tensorflow as tf

        if self._folder is None or not tf.io.gfile.exists(f"{self._folder}/{trial_key(values)}.json"):
            return None
        return TypeAdapter(Trial).validate_python(read_json(self._folder, f"{trial_key(values)}.json"))

    def add(self, trial: Trial) -> None:
        """Writes a trial, and removes the checkpoints of its training, in the folder of its key."""
        import tensorflow as tf

        if self._folder is None:
            return
        key = trial_key(trial.values)
        name = f"{key}.json"
        tf.io.gfile.makedirs(self._folder)
        write_json(self._folder, f"{name}.unfinished", asdict(trial))
        tf.io.gfile.rename(f"{self._folder}/{name}.unfinished", f"{self._folder}/{name}", overwrite=True)
        if tf.io.gfile.isdir(f"{self._folder}/{key}"):
            tf.io.gfile.rmtree(f"{self._folder}/{key}")

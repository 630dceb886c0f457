"""The record of a network. The Trainer and the Baseline write it; the Pusher and the report read it.

A run's folder (the artifact ModelRun) contains

    model.json       a `ModelRecord`
    history.json     the epochs of its training, each an `Epoch`; history.csv is the same as a table
    evaluation.json  accuracy, loss (mean cross-entropy in nats), number of images, and the class names by label
    evaluation.npz   its predictions on the test split: an `Evaluation`
    tensorboard/     the epochs as event files, with the first layer's kernels and the graph; absent without a training
    stem.*           the transfer report of its stem; absent for a stock stem
    features.npz, saliency.json, pictures/
                     of a candidate: a closer look at its test images, see closer_record.py

The folder assets.extra of a SavedModel contains model.json, classes.json (the class names by label), stem.json, and
network.json (see trainer/continuation.py), with which a later training goes on from it. A push adds release.json (see
pusher/release.py), model_card.md and manifest.json (see pusher/manifest.py).
model.json, history.json and evaluation.json contain their format version.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

import numpy as np

from restem import files
from restem.record_files import (
    VERSION,
    DamagedRecord,
    Folder,
    check_version,
    parse,
    read_arrays,
    read_json,
    write_arrays,
    write_json,
)

MODEL, HISTORY, EVALUATION, ANSWERS = "model.json", "history.json", "evaluation.json", "evaluation.npz"
HISTORY_TABLE = "history.csv"
EVENTS = "tensorboard"
CLASSES, STEM, NETWORK = "classes.json", "stem.json", "network.json"
# TensorFlow's folder for additional files in a SavedModel; serving ignores them.
EXTRA = "assets.extra"


@dataclass(frozen=True)
class ModelInput:
    """A network's input.

    Attributes:
      height, width, channels: the shape of the pixels that it sees.
      names: the channels' names.
      file_channels: number of channels in an image file; the model may see only some of its bands.
    """

    height: int
    width: int
    channels: int
    file_channels: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scores:
    """How good a network's answers are.

    Attributes:
      images: how many images they are measured on.
      accuracy: the share of right answers, 0..1.
      balanced_accuracy: the mean over the classes of the share of right answers, 0..1.
      loss: mean cross-entropy in nats.
      auc: area under the ROC curve, each class against the rest, their mean; None if a class has no image.
    """

    images: int
    accuracy: float
    balanced_accuracy: float
    loss: float
    auc: float | None = None

    def larger_is_better(self, metric: str) -> float:
        """The value of a metric, negated if a smaller one is better."""
        value = getattr(self, metric)
        if value is None:
            return -1.0
        return -value if metric == "loss" else value


@dataclass(frozen=True)
class Kept:
    """The epoch whose weights were kept, and the metric on the validation images that chose it."""

    phase: str
    epoch: int
    metric: str


@dataclass(frozen=True)
class Cost:
    """What a network and its training need.

    Attributes:
      multiply_adds: of one image's pass through the convolutions and dense layers; None: they could not be counted.
      seconds: of the training's steps, by phase.
      memory_mib: the largest resident memory of the training's process, with all that is loaded in it.
      device_memory_mib: the largest memory in use on a GPU; None without one.
    """

    multiply_adds: int | None
    seconds: dict[str, float]
    memory_mib: float
    device_memory_mib: float | None = None


@dataclass(frozen=True)
class Repeat:
    """One of several trainings of a network that differ only in the seed.

    Attributes:
      seed: its `train.seed`.
      scores: by split, as in a `ModelRecord`.
      seconds: the duration of its epochs.
    """

    seed: int
    scores: dict[str, Scores]
    seconds: float


@dataclass(frozen=True)
class StartedFrom:
    """The pushed model from which a training went on.

    Attributes:
      path, version: its folder, and its number if the folder's name is one.
      fingerprint: of its files.
      added, dropped: the classes that it did not have, and those that only it has.
    """

    path: str
    version: str | None
    fingerprint: str
    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceRecord:
    """The source network's input, and what the new network made of it.

    Attributes:
      preprocessing: its name; source input = scale * raw + offset for each of `bands`, raw 0..255.
      decided: who said so: the configuration, the file, or a convention.
      bands: the source's channels in its own order.
      became: for each of them and each new channel: `band`, `became` (kept, dropped, new) and `how`.
      reads: the channels of the new network.
      plausibility: restem.stem.plausibility.Plausibility as a dict; None: not checked.
      stock: its first layer had the shape of the stock one, so that a later training can build the network again.
    """

    preprocessing: str
    decided: str
    bands: tuple[str, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    became: tuple[dict[str, str], ...]
    reads: tuple[str, ...]
    plausibility: dict[str, Any] | None = None
    stock: bool = True


@dataclass(frozen=True)
class MadeOf:
    """What a network is the product of, as digests: the settings with the code, and the images with their labels."""

    settings: str
    images: str


@dataclass(frozen=True)
class Environment:
    """The Python packages with which a network was trained, as digests (see environment.py).

    Attributes:
      lock: of the file requirements.lock; None: the training ran from an installed package.
      packages: of the names and versions of all packages.
    """

    lock: str | None
    packages: str


@dataclass(frozen=True)
class ModelRecord:
    """What a network is and how it was trained.

    Attributes:
      weights: the initial weights: "imagenet", "none", "pretrain" or a path.
      parameters: number of parameters.
      train_images: number of training images.
      kept: the epoch of these weights; None: the last one.
      scores: by split: "train" (on up to 2,000 of its images), "val" and "test".
      processor: the processor of the machine that trained it.
      precision: of its training: "float32", "mixed_bfloat16" or "mixed_float16"; the network itself is float32.
      cost: what it and its training need; None in records that are older.
      config: the complete configuration of its run.
      repeats: the trainings with each seed, if there were several (train.repeats); this network is the first of them.
      started_from: the pushed model whose weights it started with; None: `weights`.
      made_of: of a candidate; None in records that are older.
      code: the fingerprint of the training's code; None in records that are older.
      environment: the packages of its training; None in records that are older.
      source: None in records that are older.
      temperature: by which the model divides its logits (evaluate.calibrate); None: it does not. The scores and the
        predictions are those with it.
      ordered: whether the order of the training images followed from their paths; otherwise, from the examples' files.
      version: the file's format; the first format had no number.
    """

    role: Literal["candidate", "baseline"]
    backbone: str
    weights: str
    input: ModelInput
    parameters: int
    train_images: int
    seed: int | None = None
    processor: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    kept: Kept | None = None
    scores: dict[str, Scores] = field(default_factory=dict)
    precision: str = "float32"
    cost: Cost | None = None
    repeats: tuple[Repeat, ...] = ()
    started_from: StartedFrom | None = None
    made_of: MadeOf | None = None
    code: str | None = None
    environment: Environment | None = None
    temperature: float | None = None
    source: SourceRecord | None = None
    ordered: bool = True
    version: int = VERSION


@dataclass(frozen=True)
class Epoch:
    """One epoch of training.

    Attributes:
      phase: "head", "stem", "all" or "pretrain".
      epoch: counted from 1 within the phase.
      loss: mean cross-entropy in nats.
      accuracy: on the training images, 0..1.
      seconds: duration.
      images_per_second: training images per second.
    """

    phase: str
    epoch: int
    loss: float
    accuracy: float
    seconds: float
    images_per_second: float
    learning_rate: float | None = None
    validation: Scores | None = None

    def figures(self) -> dict[str, float | None]:
        """What is measured, by name; the scores on the validation images are `val_...`, None without such images."""
        names = [column.name for column in fields(self) if column.name not in ("phase", "epoch", "validation")]
        scores = {f"val_{score.name}": getattr(self.validation, score.name, None) for score in fields(Scores)}
        return {name: getattr(self, name) for name in names} | scores


@dataclass(frozen=True)
class _History:
    epochs: tuple[Epoch, ...]
    version: int = VERSION


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A network's predictions on the test split.

    Attributes:
      classes: the class names by label.
      paths: N paths, relative to the data folder.
      labels: int64 [N], the true classes: indices into `classes`.
      probabilities: float32 [N, classes].
    """

    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray

    @cached_property
    def predicted(self) -> np.ndarray:
        """int64 [N]: the most probable classes, as indices into `classes`."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def confidence(self) -> np.ndarray:
        """float32 [N]: the probability of the predicted class, 0..1."""
        return self.probabilities.max(axis=1)

    @property
    def right(self) -> np.ndarray:
        """bool [N]: which predictions are correct."""
        return self.labels == self.predicted

    @property
    def largest_class(self) -> tuple[str, float]:
        """The class with the most images, and its share of all images: the accuracy of always answering with it."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return self.classes[int(counts.argmax())], float(counts.max() / max(1, counts.sum()))

    @property
    def never_predicted(self) -> tuple[str, ...]:
        """The classes that have images and are never predicted."""
        images = np.bincount(self.labels, minlength=len(self.classes))
        predictions = np.bincount(self.predicted, minlength=len(self.classes))
        return tuple(self.classes[i] for i in np.flatnonzero((images > 0) & (predictions == 0)))

    @property
    def untested(self) -> tuple[str, ...]:
        """The classes that have no images."""
        images = np.bincount(self.labels, minlength=len(self.classes))
        return tuple(self.classes[i] for i in np.flatnonzero(images == 0))

    @property
    def only_predicted(self) -> str | None:
        """The class that is predicted for every image, though there are images of other classes; else None."""
        if len(set(self.predicted.tolist())) != 1 or len(set(self.labels.tolist())) < 2:
            return None
        return self.classes[int(self.predicted[0])]

    @property
    def accuracy(self) -> float:
        """The share of correct predictions, 0..1."""
        return float(np.mean(self.right))

    @property
    def loss(self) -> float:
        """The mean cross-entropy, in nats."""
        true_class = np.take_along_axis(self.probabilities, self.labels[:, None], axis=1)
        return float(np.mean(-np.log(np.maximum(true_class, np.finfo(np.float32).tiny))))

    def at(self, positions: np.ndarray) -> "Evaluation":
        """The predictions for the images at `positions`: int64 [M], indices into `paths`."""
        paths = tuple(self.paths[i] for i in positions.tolist())
        return Evaluation(self.classes, paths, self.labels[positions], self.probabilities[positions])


def write_model(folder: Folder, model: ModelRecord) -> None:
    """Writes model.json."""
    write_json(folder, MODEL, asdict(model))


def read_model(folder: Folder) -> ModelRecord:
    """Reads model.json.

    Raises:
      DamagedRecord: it cannot be used.
    """
    return parse(folder, MODEL, ModelRecord)


def write_history(folder: Folder, epochs: Iterable[Epoch]) -> None:
    """Writes history.json, and the same as a table, history.csv."""
    epochs = tuple(epochs)
    write_json(folder, HISTORY, asdict(_History(epochs)))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["phase", "epoch", *Epoch("", 0, 0, 0, 0, 0).figures()])
    for epoch in epochs:
        writer.writerow([epoch.phase, epoch.epoch, *epoch.figures().values()])
    files.write(f"{folder}/{HISTORY_TABLE}", table.getvalue().encode())


def read_history(folder: Folder) -> tuple[Epoch, ...]:
    """Reads history.json.

    Raises:
      DamagedRecord: it cannot be used.
    """
    return parse(folder, HISTORY, _History).epochs


def write_evaluation(folder: Folder, evaluation: Evaluation) -> None:
    """Writes evaluation.json and evaluation.npz."""
    write_arrays(
        folder,
        ANSWERS,
        path=np.array(evaluation.paths),
        label=evaluation.labels,
        probabilities=evaluation.probabilities.astype(np.float32),
    )
    summary = {"accuracy": evaluation.accuracy, "loss": evaluation.loss, "images": len(evaluation.labels)}
    write_json(folder, EVALUATION, {**summary, "classes": evaluation.classes, "version": VERSION})


def read_evaluation(folder: Folder) -> Evaluation:
    """Reads evaluation.json and evaluation.npz.

    Raises:
      DamagedRecord: one of them cannot be used.
    """
    summary = read_json(folder, EVALUATION)
    check_version(EVALUATION, summary)
    if "classes" not in summary:
        raise DamagedRecord(f"{EVALUATION} lacks classes")
    paths, labels, probabilities = read_arrays(folder, ANSWERS, "path", "label", "probabilities")
    return Evaluation(tuple(summary["classes"]), tuple(paths.tolist()), labels, probabilities)


def read_classes(folder: Folder) -> list[str]:
    """Reads classes.json: the class names by label.

    Raises:
      DamagedRecord: it cannot be used.
    """
    names = read_json(folder, CLASSES)
    if not isinstance(names, list):
        raise DamagedRecord(f"{CLASSES} is damaged: it is not a JSON list")
    return [str(name) for name in names]

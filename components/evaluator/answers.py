"""Both models' answers for every test image, taken from TFMA's own extracts.

TFX's Evaluator keeps only sums over the images. This module adds an extractor to those of TFMA that writes, for each
image, what its metrics are computed from: the label and both models' probabilities, with the image's path and the
columns that requirements need. So a decision on single images is about the same images, and the same exported models
through the same signature, as TFMA's metrics.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
from tfx.dsl.io import fileio

from restem.errors import RestemError
from restem.evaluator.slices import column_text, only_value
from restem.tfrecords import WriteStoredTFRecords

PREDICTION = "probabilities"  # of the signature, see `eval_config`
FOLDER = "answers"  # in the folder of the ModelEvaluation
BATCH = 1024
# The executor and the extractors are called in one process, and TFX lets no parameter through.
_TARGET: contextvars.ContextVar[tuple[str, tuple[str, ...]]] = contextvars.ContextVar("restem_answers")


@contextlib.contextmanager
def written_to(folder: str, columns: Sequence[str]) -> Iterator[None]:
    """Within this context `writer` writes into the folder, with these columns (see slices.py)."""
    token = _TARGET.set((folder, tuple(columns)))
    try:
        yield
    finally:
        _TARGET.reset(token)


def writer() -> tfma.extractors.Extractor:
    """Writes each image's answers, and passes its extracts on; to be called within `written_to`."""
    folder, columns = _TARGET.get()
    return tfma.extractors.Extractor(stage_name="WriteAnswers", ptransform=_Write(f"{folder}/part", columns))


class _Write(beam.PTransform):
    def __init__(self, prefix: str, columns: tuple[str, ...]) -> None:
        super().__init__()
        self._prefix, self._columns = prefix, columns

    def expand(self, extracts: beam.PCollection) -> beam.PCollection:
        _ = extracts | beam.Map(_serialized, self._columns) | WriteStoredTFRecords(self._prefix)
        return extracts


def _serialized(extracts: tfma.Extracts, columns: tuple[str, ...]) -> bytes:
    """One image's answers as a tf.train.Example."""
    features, predictions = extracts[tfma.FEATURES_KEY], extracts[tfma.PREDICTIONS_KEY]
    example = tf.train.Example()
    values = example.features.feature
    values["path"].bytes_list.value.append(only_value(features["path"]))
    # TFMA names the models so, because there are two.
    values["label"].int64_list.value.append(only_value(extracts[tfma.LABELS_KEY][tfma.CANDIDATE_KEY]))
    for role, name in (("candidate", tfma.CANDIDATE_KEY), ("baseline", tfma.BASELINE_KEY)):
        values[role].float_list.value.extend(np.asarray(predictions[name][PREDICTION], np.float32).ravel().tolist())
    for column in columns:
        values[f"column/{column}"].bytes_list.value.append(column_text(column, features))
    return example.SerializeToString(deterministic=True)


@dataclass(frozen=True, eq=False)
class Answers:
    """Both models' answers, in the order of the paths.

    Attributes:
      paths: N.
      labels: int64 [N].
      candidate, baseline: probabilities, float32 [N, classes].
      columns: the texts of the columns, str [N] each.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    candidate: np.ndarray
    baseline: np.ndarray
    columns: dict[str, np.ndarray]


def read_answers(folder: str, columns: Sequence[str], classes: int, images: int) -> Answers:
    """Reads what `writer` wrote.

    Args:
      folder: as for `written_to`.
      columns: the same.
      classes: number of classes.
      images: how many images TFMA's metrics are about.

    Raises:
      RestemError: these are not the answers for exactly so many different images.
    """
    features = {
        "path": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "candidate": tf.io.FixedLenFeature([classes], tf.float32),
        "baseline": tf.io.FixedLenFeature([classes], tf.float32),
        **{f"column/{column}": tf.io.FixedLenFeature([], tf.string) for column in columns},
    }
    files = sorted(fileio.glob(f"{folder}/part-*"))
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").batch(BATCH)
    batches = [tf.io.parse_example(batch, features) for batch in records]
    paths = [path.decode("utf-8") for batch in batches for path in batch["path"].numpy().tolist()]
    if len(paths) != images or len(set(paths)) != images:
        raise RestemError(
            "the Evaluator's answers for single images are not complete",
            where=folder,
            expected=f"{images} different images, as in its metrics",
            given=f"{len(paths)} answers for {len(set(paths))} images",
            remedy="Run the pipeline again",
        )
    order = np.argsort(np.array(paths), kind="stable")

    def joined(name: str) -> np.ndarray:
        return np.concatenate([batch[name].numpy() for batch in batches])[order]

    return Answers(
        tuple(paths[i] for i in order.tolist()),
        joined("label"),
        joined("candidate"),
        joined("baseline"),
        {
            column: np.array([text.decode("utf-8", "replace") for text in joined(f"column/{column}").tolist()], str)
            for column in columns
        },
    )

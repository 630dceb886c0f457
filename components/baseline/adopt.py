"""Adopts a pushed model as the baseline: copies it, evaluates it on this run's test images and writes its record."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf
from tfx.dsl.io import fileio
from tfx.utils import io_utils

from restem.baseline.check import SIGNATURE
from restem.baseline.choice import Choice
from restem.errors import RestemError
from restem.model_files import fingerprint
from restem.pusher.reading import reading
from restem.record_files import read_json, write_json
from restem.run_record import EXTRA, STEM, Evaluation, read_model, write_evaluation, write_history, write_model
from restem.trainer.model_config import Role

BATCH = 64  # images per call


def adopt(
    choice: Choice,
    examples: Sequence[str],
    classes: list[str],
    model_folder: str,
    run_folder: Path,
    *,
    role: Role = "baseline",
) -> Evaluation:
    """Makes the chosen model this run's baseline (or candidate: `role`), without training.

    Args:
      choice: a choice that has a path.
      examples: the raw examples' test split, gzip TFRecord files.
      classes: class names in label order.
      model_folder: where the SavedModel is copied to.
      run_folder: where its record (see run_record.py) is written, with an empty history.

    Returns:
      Its predictions.

    Raises:
      RestemError: the model changed after it was chosen.
    """
    assert choice.path is not None
    with reading(choice.path):
        io_utils.copy_dir(choice.path, model_folder)
    if fingerprint(model_folder) != choice.fingerprint:
        raise RestemError(
            "the model changed while it was being copied",
            where=f"{'evaluate.baseline' if role == 'baseline' else 'model.weights'} ({choice.path})",
            remedy="Run the pipeline again",
        )
    run_folder.mkdir(parents=True, exist_ok=True)
    evaluation = Evaluation(tuple(classes), *predict(model_folder, examples))
    write_evaluation(run_folder, evaluation)
    write_history(run_folder, ())
    extra = f"{model_folder}/{EXTRA}"
    record = read_model(extra)
    # The seeds of an earlier run say nothing about this run's training.
    write_model(run_folder, record if role == "candidate" else replace(record, role=role, repeats=()))
    if fileio.exists(f"{extra}/{STEM}"):
        write_json(run_folder, STEM, read_json(extra, STEM))
    return evaluation


def predict(model_folder: str, examples: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """A model's predictions on raw examples, through the same signature that the Evaluator uses.

    Args:
      model_folder: the folder of the SavedModel.
      examples: gzip TFRecord files.

    Returns:
      paths (N), labels (int64 [N]) and probabilities (float32 [N, classes]).
    """
    model = tf.saved_model.load(model_folder)
    paths, labels, probabilities = [], [], []
    for batch in _batches(examples):
        known = tf.io.parse_example(
            batch,
            {"path": tf.io.FixedLenFeature([], tf.string), "label_index": tf.io.FixedLenFeature([], tf.int64)},
        )
        paths += [path.decode("utf-8") for path in known["path"].numpy()]
        labels.append(known["label_index"].numpy())
        probabilities.append(model.signatures[SIGNATURE](examples=batch)["probabilities"].numpy())
    return tuple(paths), np.concatenate(labels), np.concatenate(probabilities)


def _batches(files: Sequence[str]) -> Iterator[tf.Tensor]:
    yield from tf.data.TFRecordDataset(sorted(files), compression_type="GZIP").batch(BATCH)

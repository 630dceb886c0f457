"""An approved model as the baseline: copied, judged on this run's test images, and described as a trained one is."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tfx.dsl.io import fileio
from tfx.utils import io_utils

from restem.baseline.check import MODEL, SIGNATURE, read_json
from restem.baseline.choice import Choice
from restem.errors import RestemError
from restem.pusher.versions import fingerprint
from restem.trainer.evaluation import write_evaluation

BATCH = 64  # images a call
STEM = "assets.extra/stem.json"


def adopt(choice: Choice, examples: Sequence[str], classes: list[str], model_folder: str, run_folder: Path) -> dict:
    """Makes the chosen model this run's baseline; nothing is trained.

    Args:
      choice: with a path.
      examples: the raw examples' test split, gzip TFRecord files.
      classes: class names by label.
      model_folder: where the SavedModel goes.
      run_folder: where evaluation.npz, evaluation.json, model.json, history.json (empty) and, where the model has
        one, stem.json go.

    Returns:
      What evaluation.json holds.

    Raises:
      RestemError: the model was changed since it was chosen.
    """
    io_utils.copy_dir(choice.path, model_folder)
    if fingerprint(model_folder) != choice.fingerprint:
        raise RestemError(
            "the model was changed while it was copied",
            where=f"evaluate.baseline ({choice.path})",
            remedy="Run the pipeline again",
        )
    run_folder.mkdir(parents=True, exist_ok=True)
    figures = write_evaluation(run_folder, *predict(model_folder, examples), classes)
    documents: dict[str, Any] = {"model": {**read_json(model_folder, MODEL), "role": "baseline"}, "history": []}
    if fileio.exists(f"{model_folder}/{STEM}"):
        documents["stem"] = read_json(model_folder, STEM)
    for name, document in documents.items():
        text = json.dumps(document, indent=2, ensure_ascii=False)
        (run_folder / f"{name}.json").write_text(text, encoding="utf-8")
    return figures


def predict(model_folder: str, examples: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a model answers on raw examples, through the signature by which the Evaluator asks it too.

    Args:
      model_folder: the SavedModel's.
      examples: gzip TFRecord files.

    Returns:
      paths (unicode [N]), labels (int64 [N]) and probabilities (float32 [N, classes]).
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
    return np.array(paths), np.concatenate(labels), np.concatenate(probabilities)


def _batches(files: Sequence[str]) -> Iterator[tf.Tensor]:
    yield from tf.data.TFRecordDataset(sorted(files), compression_type="GZIP").batch(BATCH)

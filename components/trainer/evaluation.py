"""A trained network on the test split: figures and every single prediction."""

import json
from pathlib import Path

import keras
import numpy as np

from restem.trainer.input import Split


def evaluate(model: keras.Model, test: Split, classes: list[str], batch_size: int, folder: Path) -> dict:
    """Predicts the test split once and writes `evaluation.json` and `evaluation.npz`.

    Nothing is chosen by these figures: the test split is for the Evaluator's comparison.

    Args:
      model: pixels to logits.
      test: the test split.
      classes: class names by label.
      batch_size: images a batch.
      folder: where the two files go. `evaluation.npz` has `path` (unicode [N]), `label` (int64 [N]) and
        `probabilities` (float32 [N, classes]).

    Returns:
      What `evaluation.json` holds: accuracy, loss (mean cross-entropy in nats), images, classes.
    """
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(test.pixels(batch_size), verbose=0)))
    return write_evaluation(folder, test.paths(), test.labels(), probabilities, classes)


def write_evaluation(
    folder: Path, paths: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: list[str]
) -> dict:
    """Writes the two files of `evaluate` and returns what `evaluation.json` holds.

    Args:
      folder: where they go.
      paths: unicode [N].
      labels: int64 [N].
      probabilities: float32 [N, classes].
      classes: class names by label.
    """
    true_class = np.maximum(probabilities[np.arange(len(labels)), labels], np.finfo(np.float32).tiny)
    figures = {
        "accuracy": float(np.mean(probabilities.argmax(axis=1) == labels)),
        "loss": float(np.mean(-np.log(true_class))),
        "images": len(labels),
        "classes": classes,
    }
    np.savez_compressed(
        folder / "evaluation.npz", path=paths, label=labels, probabilities=probabilities.astype(np.float32)
    )
    (folder / "evaluation.json").write_text(json.dumps(figures, indent=2, ensure_ascii=False), encoding="utf-8")
    return figures

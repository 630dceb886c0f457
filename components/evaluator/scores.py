"""All figures of a model on the test images, from its answers for single images: the one place that computes them.

TFMA measures accuracy and loss itself. The others are scikit-learn's, on what TFMA extracted for each image: TFMA's AUC
and average precision interpolate between thresholds, its loss clips probabilities at 1e-7, and it has no Brier score,
expected calibration error or Cohen's kappa of several classes.
"""

from __future__ import annotations

import math

import numpy as np

from restem.evaluator.reliability import calibration

MOST_K = 5
SMALLEST = float(np.finfo(np.float32).tiny)  # a probability of 0 counts as this one, so that the log loss is finite
NAMES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy (macro recall)",
    "top_k_accuracy": "Accuracy of the top {k}",
    "macro_precision": "Macro precision",
    "macro_f1": "Macro F1",
    "auc": "AUC, one class against the rest, mean",
    "average_precision": "Average precision, mean over the classes",
    "kappa": "Cohen's kappa",
    "log_loss": "Log loss",
    "brier_score": "Brier score",
    "calibration_error": "Expected calibration error",
}
SHARES = ("accuracy", "balanced_accuracy", "top_k_accuracy", "macro_precision", "macro_f1", "calibration_error")


def top_k(classes: int) -> int | None:
    """The k of the top-k accuracy: half of the classes, at most 5; None for fewer than four classes."""
    return min(MOST_K, classes // 2) if classes >= 4 else None


def scores(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """The figures by the keys of `NAMES`, without the accuracy; nan: it cannot be measured on these images.

    Means over classes are over those that have images. Precision is 0 for a class that is never predicted.

    Args:
      labels: int64 [N], N > 0, 0..classes-1.
      probabilities: float32 [N, classes], at least two classes.

    Returns:
      balanced_accuracy, top_k_accuracy (see `top_k`; absent without a k), macro_precision, macro_f1, auc,
      average_precision and calibration_error (ten bins; Guo et al. 2017), each 0..1; kappa, at most 1; log_loss in
      nats; brier_score, 0..2 (Brier 1950: the squared differences of all classes' probabilities, added up).
    """
    from sklearn import metrics

    classes = probabilities.shape[1]
    every, predicted = np.arange(classes), probabilities.argmax(axis=1)
    present = np.unique(labels)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        labels, predicted, labels=present, average="macro", zero_division=0
    )
    found = {"balanced_accuracy": recall, "macro_precision": precision, "macro_f1": f1}
    # Chance alone explains the agreement where both have only one and the same class.
    one_class = len(np.union1d(labels, predicted)) == 1
    found["kappa"] = math.nan if one_class else metrics.cohen_kappa_score(labels, predicted, labels=every)
    if np.isfinite(probabilities).all():
        found |= _of_probabilities(labels, probabilities.astype(np.float64), present)
    return {name: float(found.get(name, math.nan)) for name in _measured(classes)}


def _of_probabilities(labels: np.ndarray, probabilities: np.ndarray, present: np.ndarray) -> dict[str, float]:
    from sklearn import metrics

    classes = probabilities.shape[1]
    found = {}
    k = top_k(classes)
    if k is not None:
        found["top_k_accuracy"] = metrics.top_k_accuracy_score(labels, probabilities, k=k, labels=np.arange(classes))
    if len(present) > 1:
        found["auc"] = np.mean([metrics.roc_auc_score(labels == one, probabilities[:, one]) for one in present])
        found["average_precision"] = np.mean(
            [metrics.average_precision_score(labels == one, probabilities[:, one]) for one in present]
        )
    # scikit-learn's log loss clips at 2e-16, which a wrong answer of a network that is very sure falls below.
    found["log_loss"] = -np.mean(np.log(np.maximum(probabilities[np.arange(len(labels)), labels], SMALLEST)))
    found["brier_score"] = np.mean(np.sum((probabilities - np.eye(classes)[labels]) ** 2, axis=1))
    right = probabilities.argmax(axis=1) == labels
    found["calibration_error"] = calibration(probabilities.max(axis=1), right).expected_error
    return found


def _measured(classes: int) -> list[str]:
    return [name for name in NAMES if name != "accuracy" and (name != "top_k_accuracy" or top_k(classes) is not None)]

"""The figures of a model, computed by other means than the product's: by their definitions, with SciPy."""

import numpy as np
from scipy.special import xlogy
from scipy.stats import mannwhitneyu


def figures(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """From the true classes, int64 [N], and the probabilities, float32 [N, classes]; each class has images."""
    p = probabilities.astype(np.longdouble)
    images, classes = p.shape
    predicted = np.array([int(np.argmax(row)) for row in p])
    matrix = np.zeros((classes, classes))
    for true, answer in zip(labels, predicted, strict=True):
        matrix[true, answer] += 1
    present = [c for c in range(classes) if matrix[c].sum()]
    recalls = [matrix[c, c] / matrix[c].sum() for c in present]
    precisions = [matrix[c, c] / max(1, matrix[:, c].sum()) for c in present]
    f1 = [2 * matrix[c, c] / (matrix[c].sum() + matrix[:, c].sum()) for c in present]
    agreement = np.trace(matrix) / images
    chance = float(matrix.sum(axis=0) @ matrix.sum(axis=1)) / images**2
    auc, precision = [], []
    for c in present:
        positive, negative = p[labels == c, c], p[labels != c, c]
        statistic = mannwhitneyu(positive.astype(float), negative.astype(float)).statistic
        auc.append(statistic / (len(positive) * len(negative)))
        # The precision at each threshold, weighted by the recall that it adds.
        area = 0.0
        for threshold in np.unique(positive):
            chosen = p[:, c] >= threshold
            area += np.mean(labels[chosen] == c) * np.mean(positive == threshold)
        precision.append(area)
    hot = np.eye(classes)[labels]
    normal = p / p.sum(axis=1, keepdims=True)
    confidence, right = p.max(axis=1), predicted == labels
    gap = 0.0
    for i in range(10):
        held = (confidence > i / 10) & (confidence <= (i + 1) / 10)
        if held.any():
            gap += held.mean() * abs(float(right[held].mean()) - float(confidence[held].mean()))
    found = {
        "accuracy": agreement,
        "balanced_accuracy": np.mean(recalls),
        "macro_precision": np.mean(precisions),
        "macro_f1": np.mean(f1),
        "kappa": (agreement - chance) / (1 - chance),
        "auc": np.mean(auc),
        "average_precision": np.mean(precision),
        "log_loss": -xlogy(hot, np.maximum(normal.astype(float), 1.1754943508222875e-38)).sum() / images,
        "brier_score": sum(float(np.sum((row - one) ** 2)) for row, one in zip(p, hot, strict=True)) / images,
        "calibration_error": gap,
    }
    if classes >= 4:
        k = min(5, classes // 2)
        found["top_k_accuracy"] = np.mean([label in np.argsort(row)[-k:] for label, row in zip(labels, p, strict=True)])
    return {name: float(value) for name, value in found.items()}

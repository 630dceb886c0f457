"""How well confidence and accuracy agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Calibration:
    """Confidence and accuracy in bins of equal width; empty bins have nan."""

    edges: np.ndarray  # float64 [bins + 1], 0..1
    images: np.ndarray  # int64 [bins]
    confidence: np.ndarray  # float64 [bins], mean confidence of the bin's images
    accuracy: np.ndarray  # float64 [bins], share of right predictions
    expected_error: float  # the expected calibration error, 0..1


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> Calibration:
    """The reliability diagram's numbers (Guo et al. 2017, arXiv:1706.04599, section 2).

    `confidence` float [N] in 0..1 is the probability of the predicted class, `right` bool [N]. A bin
    includes its upper edge (the paper's (low, high]); a confidence of 0 is in the first bin. The
    expected calibration error is the mean over images of |accuracy - confidence| of their bin.
    """
    confidence = np.asarray(confidence, dtype=np.float64)
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    images = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_confidence = np.bincount(place, weights=confidence, minlength=bins) / images
        accuracy = np.bincount(place, weights=right.astype(np.float64), minlength=bins) / images
    gaps = np.nan_to_num(np.abs(accuracy - mean_confidence))
    error = float(np.sum(images * gaps) / max(1, images.sum()))
    return Calibration(edges, images, mean_confidence, accuracy, error)

"""An extra BatchNormalization that has the correct statistics and changes nothing.

y = gamma (x - mu) / sqrt(sigma^2 + epsilon) + beta is the identity for gamma = sqrt(sigma^2 + epsilon)
and beta = mu, for any mu and sigma. They should be those of the layer's input: with wrong ones (the
default, or sigma^2 = 1 - epsilon), inference drifts as soon as training updates them.
"""

from __future__ import annotations

import numpy as np


def identity_batch_norm(mean: np.ndarray, variance: np.ndarray, epsilon: float) -> list[np.ndarray]:
    """[gamma, beta, moving mean, moving variance] of a BatchNormalization that returns its input. Exact.

    Args:
        mean, variance: [filters] true statistics of its input.
        epsilon: the layer's epsilon.
    """
    mean, variance = np.asarray(mean, np.float64), np.asarray(variance, np.float64)
    return [np.sqrt(variance + epsilon), mean, mean, variance]

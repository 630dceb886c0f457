"""The stem at inference on NumPy arrays, in float64. Calibration uses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def convolve(
    x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None, pad: tuple[int, int], stride: int
) -> np.ndarray:
    """[n, height, width, channels] -> [n, rows, columns, filters]: zero padding, then a valid convolution."""
    x = np.pad(x, ((0, 0), pad, pad, (0, 0)))
    side = kernel.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))[:, ::stride, ::stride]
    out = np.einsum("nrckuv,uvkf->nrcf", windows, kernel, optimize=True)
    return out if bias is None else out + bias


def batch_norm(x: np.ndarray, weights: Sequence[np.ndarray], epsilon: float) -> np.ndarray:
    """weights: gamma, beta, moving mean, moving variance."""
    gamma, beta, mean, variance = (np.asarray(w, np.float64) for w in weights)
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def run_chain(
    x: np.ndarray, chain: Sequence[tuple[str, str, dict[str, Any]]], norms: dict[str, Sequence[np.ndarray]], pool: bool
) -> np.ndarray:
    """Applies the layers between the first convolution and its readers (anatomy.Anatomy.chain).

    Args:
        norms: weights of the chain's BatchNormalization layers, by name.
        pool: False skips the max pool and the padding before it.
    """
    for place, (name, kind, config) in enumerate(chain):
        if kind == "BatchNormalization":
            x = batch_norm(x, norms[name], config["epsilon"])
        elif kind in ("Activation", "ReLU"):
            x = np.maximum(x, 0)
        elif kind == "ZeroPadding2D":
            follows_pool = place + 1 < len(chain) and chain[place + 1][1] == "MaxPooling2D"
            if pool or not follows_pool:
                (top, bottom), (left, right) = config["padding"]
                x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
        elif kind == "MaxPooling2D" and pool:
            size, stride = config["pool_size"][0], config["strides"][0]
            if config["padding"] == "same":  # only with stride 1
                side = (size - 1) // 2
                x = np.pad(
                    x, ((0, 0), (side, size - 1 - side), (side, size - 1 - side), (0, 0)), constant_values=-np.inf
                )
            windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
            x = windows[:, ::stride, ::stride].max((-2, -1))
    return x

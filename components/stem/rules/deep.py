"""Deep stems (ResNet-C and -D; He et al. 2018, arXiv 1812.01187): three 3x3 convolutions instead of one 7x7.

A deep stem does not keep the function, because there are no pretrained weights for the first two convolutions.
They are initialised (He normal), and their BatchNorms get the correct statistics. The third is fitted so that
its output is as close to the old stem's as the new features allow. It is then scaled to the old mean and spread
per filter, so that later layers see activations at the scale they were trained with.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ..forward import batch_norm, convolve

PAD = (1, 1)
SIDE = 3


@dataclasses.dataclass(frozen=True)
class DeepStem:
    """Weights of a deep stem.

    Attributes:
        hidden: for each convolution except the last, its kernel and its BatchNorm's four vectors.
        kernel, bias: of the last convolution.
        error: RMS error of its output, relative to the RMS of the old stem's output about its mean.
    """

    hidden: tuple[tuple[np.ndarray, list[np.ndarray]], ...]
    kernel: np.ndarray
    bias: np.ndarray
    error: float


def fit_deep(
    inputs: np.ndarray,
    target: np.ndarray,
    filters: tuple[int, ...],
    stride: int,
    epsilon: float,
    rng: np.random.Generator,
) -> DeepStem:
    """Initialises a deep stem and fits it to the old stem's output.

    Args:
        inputs: [n, height, width, channels], before zero padding.
        target: [n, rows, columns, last filters], the old convolution's output on the same images.
        filters: filters of the convolutions before the last; the first convolution has `stride`.
        epsilon: epsilon of their BatchNorms.
    """
    x, hidden = inputs, []
    for place, count in enumerate(filters):
        # Removes the scale of the inputs (0..255 or -1..1); otherwise the first variance would be in the thousands.
        gain = np.sqrt(2 / (SIDE * SIDE * x.shape[-1])) / max(np.sqrt(np.mean(x**2)), 1e-12)
        kernel = rng.normal(0, gain, (SIDE, SIDE, x.shape[-1], count))
        x = convolve(x, kernel, None, PAD, stride if place == 0 else 1)
        flat = x.reshape(-1, count)
        norm = [np.ones(count), np.zeros(count), flat.mean(0), flat.var(0)]
        hidden.append((kernel, norm))
        x = np.maximum(batch_norm(x, norm, epsilon), 0)
    kernel, bias = _fit_last(x, target, rng)
    out = convolve(x, kernel, bias, PAD, 1).reshape(-1, target.shape[-1])
    wanted = target.reshape(-1, target.shape[-1])
    gain = wanted.std(0) / np.maximum(out.std(0), 1e-12)
    kernel = kernel * gain
    bias = (bias - out.mean(0)) * gain + wanted.mean(0)
    out = (out - out.mean(0)) * gain + wanted.mean(0)
    spread = np.sqrt(np.mean((wanted - wanted.mean(0)) ** 2))
    error = float(np.sqrt(np.mean((out - wanted) ** 2)) / spread) if spread > 0 else 0.0
    return DeepStem(tuple(hidden), kernel, bias, error)


def _fit_last(
    x: np.ndarray, target: np.ndarray, rng: np.random.Generator, limit: int = 8000
) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression of the target on 3x3 patches of `x`, at up to `limit` positions."""
    padded = np.pad(x, ((0, 0), PAD, PAD, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE), axis=(1, 2))
    n, rows, columns = windows.shape[:3]
    picks = rng.permutation(n * rows * columns)[:limit]
    image, rest = np.divmod(picks, rows * columns)
    row, column = np.divmod(rest, columns)
    patches = np.moveaxis(windows[image, row, column], 1, 3).reshape(len(picks), -1)
    wanted = target[image, row, column]
    mean, wanted_mean = patches.mean(0), wanted.mean(0)
    centred = patches - mean
    moment = centred.T @ centred
    ridge = 1e-3 * max(np.trace(moment) / len(moment), 1e-30) * np.eye(len(moment))
    weights = np.linalg.solve(moment + ridge, centred.T @ (wanted - wanted_mean))
    kernel = weights.reshape(SIDE, SIDE, x.shape[-1], target.shape[-1])
    return kernel, wanted_mean - mean @ weights

"""Filters: adds filters without changing the function, or removes filters with the smallest change.

Wider (Net2Wider, Chen et al. 2015, arXiv 1511.05641): copy filters and everything that follows them per
channel (bias, BatchNorm, pooling keep copies equal), and divide the kernels that read them by the number of
copies. Exact at inference and in training mode. Copies would then always have equal gradients. Noise on the
readers that sums to zero over each group of copies breaks the tie and does not change the function.

Narrower: keep some filters and refit the layers that read them, so that their output from the kept
activations is close to their output from all. This is a linear least-squares problem.
"""

from __future__ import annotations

import numpy as np


def copies(old: int, new: int) -> np.ndarray:
    """[new] index of the old filter that each new filter copies: all in order, as evenly as possible."""
    return np.arange(new) % old


def widen_reader(
    kernel: np.ndarray, source: np.ndarray, noise: float = 0.0, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Kernel [h, w, old, out] of a layer that reads the filters -> [h, w, new, out], float64. Exact.

    Args:
        source: [new] index of the old filter that each new filter copies.
        noise: standard deviation of the zero-sum noise, relative to the kernel's standard deviation.
    """
    count = np.bincount(source, minlength=kernel.shape[2])[source]
    wide = np.asarray(kernel, np.float64)[:, :, source] / count[None, None, :, None]
    if noise and rng is not None:
        extra = rng.normal(0, noise * kernel.std(), wide.shape)
        for old in np.unique(source[count > 1]):
            group = np.flatnonzero(source == old)
            wide[:, :, group] += extra[:, :, group] - extra[:, :, group].mean(2, keepdims=True)
    return wide


def choose(activations: np.ndarray, importance: np.ndarray, keep: int) -> np.ndarray:
    """Indices (sorted) of the filters to keep: greedy selection of those that explain the others best.

    Pivoted Cholesky of the covariance, with each filter weighted by the kernels that read it. After each
    choice, the part of the other filters that it explains is subtracted.

    Args:
        activations: [samples, filters] input of the readers.
        importance: [filters] norm of the kernels that read each filter.
    """
    centred = (activations - activations.mean(0)) * importance
    covariance = centred.T @ centred / len(centred)
    chosen: list[int] = []
    for _ in range(keep):
        power = np.diag(covariance).copy()
        power[chosen] = -1
        gain = np.where(power > 1e-12, np.sum(covariance**2, axis=0) / np.maximum(power, 1e-12), np.minimum(power, 0))
        gain[chosen] = -np.inf
        best = int(np.argmax(gain))
        chosen.append(best)
        if power[best] > 1e-12:
            column = covariance[:, best]
            covariance = covariance - np.outer(column, column) / power[best]
    return np.sort(np.asarray(chosen))


def refit_reader(
    kernel: np.ndarray, keep: np.ndarray, activations: np.ndarray, rule: str = "least_squares"
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and shift of a 1x1 reader after filters are removed.

    Args:
        kernel: [1, 1, old, out].
        keep: [new] indices of the kept filters.
        activations: [samples, old].
        rule: `drop`; `mean` (adds the means of the dropped activations to the bias); `least_squares`
            (replaces each dropped activation by its best affine prediction from the kept ones).

    Returns:
        The kernel [1, 1, new, out] and the shift [out] to add to the reader's output. Exact only if the
        dropped activations are affine in the kept ones.
    """
    kernel = np.asarray(kernel, np.float64)
    gone = np.setdiff1d(np.arange(kernel.shape[2]), keep)
    kept_kernel = kernel[:, :, keep]
    if rule == "drop" or not len(gone):
        return kept_kernel, np.zeros(kernel.shape[3])
    mean = activations.mean(0)
    gone_kernel = kernel[0, 0, gone]
    if rule == "mean":
        return kept_kernel, mean[gone] @ gone_kernel
    centred = activations - mean
    inner = centred[:, keep].T @ centred[:, keep]
    ridge = 1e-6 * max(np.trace(inner) / len(keep), 1e-30) * np.eye(len(keep))
    predict = np.linalg.solve(inner + ridge, centred[:, keep].T @ centred[:, gone])
    shift = (mean[gone] - mean[keep] @ predict) @ gone_kernel
    return kept_kernel + (predict @ gone_kernel)[None, None], shift


def reader_error(
    kernel: np.ndarray, new: np.ndarray, shift: np.ndarray, keep: np.ndarray, activations: np.ndarray
) -> float:
    """Relative RMS error of a 1x1 reader's output (about its mean) after the change."""
    old_out = activations @ np.asarray(kernel, np.float64)[0, 0]
    new_out = activations[:, keep] @ new[0, 0] + shift
    spread = np.sqrt(np.mean((old_out - old_out.mean(0)) ** 2))
    return float(np.sqrt(np.mean((old_out - new_out) ** 2)) / spread) if spread > 0 else 0.0

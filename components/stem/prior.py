"""The 1/f prior, which is used if no images are given, and the moments of input patches.

Natural images have a power spectrum near 1/f^2 (amplitude 1/f; Field 1987). Their channels are correlated:
the prior uses a correlation of 0.9 between any two, as between neighbouring bands of natural scenes.
"""

from __future__ import annotations

import numpy as np

CORRELATION = 0.9
SPECTRUM_EXPONENT = 2.0


def natural_images(count: int, side: int, channels: int, rng: np.random.Generator) -> np.ndarray:
    """[count, side, side, channels] float64 with mean 0 and variance 1 per channel, power 1/f^2."""
    # The images are cropped from images of twice the side, because those wrap around at their borders.
    big = 2 * side
    frequency = np.hypot(np.fft.fftfreq(big)[:, None], np.fft.fftfreq(big)[None])
    frequency[0, 0] = np.inf
    amplitude = frequency ** (-SPECTRUM_EXPONENT / 2)
    white = rng.normal(size=(count, channels, big, big))
    shared = rng.normal(size=(count, 1, big, big))
    mixed = np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * white
    images = np.fft.ifft2(np.fft.fft2(mixed) * amplitude).real[:, :, :side, :side]
    images /= np.sqrt(np.mean(amplitude**2))
    return np.moveaxis(images, 1, 3)


def blend_moments(measured: np.ndarray, patches: int, prior: np.ndarray) -> np.ndarray:
    """Moments of few images, stabilised by the prior: the fewer patches relative to d, the larger its share.

    Args:
        measured: [d, d] moments of `patches` patches; if all are zero, the prior is returned unchanged.
        prior: [d, d]; it is scaled to the measured power.
    """
    power = np.trace(measured)
    if not power > 0:
        return prior
    share = len(measured) / (len(measured) + patches)
    return (1 - share) * measured + share * prior * power / np.trace(prior)


def patch_moments(inputs: np.ndarray, side: int, limit: int = 20_000, seed: int = 0) -> np.ndarray:
    """Second moments E[x x^T] of the patches that a convolution reads.

    Args:
        inputs: [n, height, width, channels]; images smaller than `side` are padded to it with zeros.
        side: side of the patches.
        limit: maximum number of patches; they are drawn at random.

    Returns:
        [d, d] float64, d = side * side * channels.
    """
    missing = [max(0, side - s) for s in inputs.shape[1:3]]
    inputs = np.pad(inputs, ((0, 0), *((m // 2, m - m // 2) for m in missing), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(inputs, (side, side), axis=(1, 2))
    n, rows, columns = windows.shape[:3]
    total = n * rows * columns
    rng = np.random.default_rng(seed)
    picks = np.arange(total) if total <= limit else np.sort(rng.choice(total, limit, replace=False))
    image, rest = np.divmod(picks, rows * columns)
    row, column = np.divmod(rest, columns)
    patches = np.moveaxis(windows[image, row, column], 1, 3).reshape(len(picks), -1).astype(np.float64)
    return patches.T @ patches / len(patches)

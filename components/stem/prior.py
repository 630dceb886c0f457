"""What images look like where none are given: the documented 1/f prior, and moments of input patches.

Natural images have a power spectrum near 1/f^2 (amplitude 1/f; Field 1987). Channels are correlated:
the prior takes a correlation of 0.9 between any two, as neighbouring bands of natural scenes have.
"""

from __future__ import annotations

import numpy as np

CORRELATION = 0.9
SPECTRUM_EXPONENT = 2.0


def natural_images(count: int, side: int, channels: int, rng: np.random.Generator) -> np.ndarray:
    """[count, side, side, channels] float64 of mean 0 and variance 1 a channel, power 1/f^2."""
    # Twice the side, then a corner: without it the image would wrap around at its borders.
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
    """Moments of few images, steadied by the prior's: the fewer patches for their size, the more of the prior.

    Args:
        measured: [d, d] moments of `patches` patches; all zero leaves the prior alone.
        prior: [d, d]; it is brought to the measured power.
    """
    power = np.trace(measured)
    if not power > 0:
        return prior
    share = len(measured) / (len(measured) + patches)
    return (1 - share) * measured + share * prior * power / np.trace(prior)


def patch_moments(inputs: np.ndarray, side: int, limit: int = 20_000, seed: int = 0) -> np.ndarray:
    """Second moments E[x x^T] of the patches a convolution sees.

    Args:
        inputs: [n, height, width, channels]; smaller ones than `side` are padded with zeros to it.
        side: of the patches.
        limit: at most this many patches are used, drawn evenly.

    Returns:
        [side * side * channels] squared, float64.
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

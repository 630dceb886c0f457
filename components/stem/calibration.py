"""The images that approximate rules are fitted to: the user's, or images from the 1/f prior."""

from __future__ import annotations

import dataclasses

import numpy as np

from .errors import StemError
from .preprocessing import Preprocessing
from .prior import blend_moments, natural_images, patch_moments
from .rules.channels import Channels
from .spec import GREY

PRIOR_COUNT, PRIOR_SIDE = 8, 64
MAX_IMAGES = 64


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The images for calibration.

    Attributes:
        inputs: the images as the new convolution reads them, before zero padding, float64
            [n, height, width, channels (+ 1)].
        prior: the same for the 1/f prior; the same array as `inputs` if no images are given.
        origin: where `inputs` come from, for the report.
    """

    inputs: np.ndarray
    prior: np.ndarray
    origin: str

    def moments(self, side: int) -> np.ndarray:
        """Second moments of the input patches; see patch_moments."""
        prior = patch_moments(self.prior, side)
        if self.inputs is self.prior:
            return prior
        n, height, width, _ = self.inputs.shape
        patches = n * max(1, height - side + 1) * max(1, width - side + 1)
        return blend_moments(patch_moments(self.inputs, side), patches, prior)


def check_images(images: np.ndarray, channels: Channels) -> np.ndarray:
    """Checks raw images [n, height, width, channels] and returns the first 64 in float64. Raises StemError."""
    images = np.asarray(images)
    expected = len(channels.bands)
    if images.ndim != 4 or images.shape[-1] != expected or not len(images):
        raise StemError(
            f"images must be an array [n, height, width, {expected}] of raw pixels ({', '.join(channels.bands)}), "
            f"not {images.shape}."
        )
    if not np.all(np.isfinite(images)):
        raise StemError("images contain values that are not finite (NaN or infinity): replace them.")
    return images[:MAX_IMAGES].astype(np.float64)


def calibrate(channels: Channels, source: Preprocessing, images: np.ndarray | None, seed: int) -> Calibration:
    """The user's images if given (the first 64), otherwise the prior."""
    prior = prior_inputs(channels, source, PRIOR_COUNT, PRIOR_SIDE, np.random.default_rng(seed))
    prior = _with_ones(prior, channels)
    if images is None:
        return Calibration(
            prior, prior, f"{PRIOR_COUNT} images of the 1/f prior, {PRIOR_SIDE}x{PRIOR_SIDE}, seed {seed}"
        )
    inputs = _with_ones(check_images(images, channels) * channels.scale + channels.offset, channels)
    return Calibration(inputs, prior, f"{len(inputs)} calibration images")


def _with_ones(inputs: np.ndarray, channels: Channels) -> np.ndarray:
    """Appends the constant-one channel, if the plan has one."""
    return np.concatenate([inputs, np.ones_like(inputs[..., :1])], axis=-1) if channels.needs_ones else inputs


def prior_inputs(
    channels: Channels, source: Preprocessing, count: int, side: int, rng: np.random.Generator
) -> np.ndarray:
    """1/f images with the mean and spread of each source channel over its training images (rescaled units)."""
    mean, std = source.statistics()
    names = list(dict.fromkeys(r or b for r, b in zip(channels.reads, channels.bands, strict=True)))
    images = natural_images(count, side, len(names), rng)
    out = []
    for read, band in zip(channels.reads, channels.bands, strict=True):
        plane = images[..., names.index(read or band)]
        if read in source.bands:
            c = source.bands.index(read)
            out.append(mean[c] + std[c] * plane)
        else:
            out.append((np.mean(mean) if read == GREY else 0.0) + np.mean(std) * plane)
    return np.stack(out, axis=-1)


def measure_bands(images: np.ndarray, bands: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each band over raw images [n, height, width, bands], for
    `StemSpec(band_statistics=...)`. Raises StemError if a band is constant."""
    images = np.asarray(images, np.float64)
    if images.ndim != 4 or images.shape[-1] != len(bands):
        raise StemError(f"images must be [n, height, width, {len(bands)}] ({', '.join(bands)}), not {images.shape}.")
    mean, std = images.mean((0, 1, 2)), images.std((0, 1, 2))
    flat = [b for b, s in zip(bands, std, strict=True) if not s > 0]
    if flat:
        raise StemError(f"Band(s) {', '.join(flat)} are constant in these images, so they cannot be normalised.")
    return {b: (float(m), float(s)) for b, m, s in zip(bands, mean, std, strict=True)}

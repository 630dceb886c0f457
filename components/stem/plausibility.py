"""Whether a preprocessing fits the checkpoint: the first BatchNormalization remembers what its network was fed with.

A BatchNormalization stores mean and variance of its input over the source's training images, one pair for each filter.
The source's own stem, applied to the user's images with the preprocessing in question, gives the same figures of these
images. Their distance is the mean over the filters of the Bhattacharyya distance of two normal distributions
(Bhattacharyya 1943; here with means m, M and deviations s, S):

    1/4 (m - M)^2 / (s^2 + S^2)  +  1/2 ln((s^2 + S^2) / (2 s S))

It is 0 for equal figures, 0.11 if all deviations differ by a factor of 2, 1 by a factor of 15.

Images may be darker, brighter or flatter than the source's, which is no fault. So it is also measured on the same
images with the mean and deviation of the source's training images in each channel (those of ImageNet, unless they are
given), and the smaller of the two distances counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from .anatomy import Anatomy, has_statistics, read_anatomy
from .preprocessing import PREPROCESSING, Preprocessing
from .rules.channels import plan_channels
from .source import Source, read_source
from .spec import COLOURS, StemSpec

# Measured; the figures are in README.md.
FACTOR = 2.0  # another preprocessing fits that many times as well
# Right preprocessings reach 0.3 where the source's own images are unusual. Then a wrong one can fit better by chance,
# but none comes close.
FLOOR, CLOSE = 0.15, 0.02  # above the one, if another one is below the other
FAR = 1.0  # in any case: all values are wrong by a factor of 15, or by several deviations
# The order of the colours: only if the images are close to the source's in one of them.
ORDER_FACTOR, ORDER_CLOSE = 2.0, 0.005

MAX_PIXELS = 16 * 224 * 224  # of all images together
DEAD = 1e-2  # filters with a deviation below this share of the median say nothing


@dataclasses.dataclass(frozen=True)
class Fit:
    """A preprocessing and its distance; `bands` is the network's order."""

    name: str
    bands: tuple[str, ...]
    distance: float


@dataclasses.dataclass(frozen=True)
class Plausibility:
    """How well a preprocessing fits.

    Attributes:
        given: the one in question; None if nothing could be compared.
        better: those that fit clearly better, best first.
        images: how many were used.
        colour: False if all channels of all images are the same, so that the order of colours cannot be told.
        unknown: why nothing could be compared, as a sentence; None if it could.
    """

    given: Fit | None
    better: tuple[Fit, ...] = ()
    images: int = 0
    colour: bool = True
    unknown: str | None = None

    @property
    def doubtful(self) -> bool:
        """Whether the preprocessing is probably another one."""
        return self.given is not None and (bool(self.better) or self.given.distance > FAR)

    def to_text(self) -> str:
        """The finding, in sentences."""
        if self.given is None:
            return f"Whether the source's preprocessing fits could not be checked: {self.unknown}"
        told = (
            f"distance {self.given.distance:.2g} between the source's stored statistics and those of {self.images} "
            "training images"
        )
        if not self.doubtful:
            return f"The source's preprocessing {self.given.name} is plausible ({told})."
        text = f"The source's preprocessing {self.given.name} is probably wrong ({told})."
        if self.better:
            listed = "; ".join(f"{fit.name} ({', '.join(fit.bands)}): {fit.distance:.2g}" for fit in self.better)
            text += f" These would fit better: {listed}."
        else:
            text += " None of the known ones fits better: the images, or the checkpoint, may have other values."
        if not self.colour:
            text += " These images have no colour, so whether it is RGB or BGR cannot be told."
        return text

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with `doubtful` and `text`."""
        return {**dataclasses.asdict(self), "doubtful": self.doubtful, "text": self.to_text()}


def check_plausibility(
    backbone: keras.Model, spec: StemSpec, images: np.ndarray, source: str | Preprocessing = "auto"
) -> Plausibility:
    """Compares the source's stored statistics with those of the user's images. Costs two passes of the stem.

    Args:
        backbone: the source, unchanged.
        spec: the stem that is planned; it says which channel of the images is which band of the source.
        images: raw images [n, height, width, channels] in spec.value_range; about 32 are enough.
        source: as for `modify_stem`.

    Returns:
        Plausibility. If it is doubtful, all known preprocessings have been compared.

    Raises:
        StemError: see read_source and plan_channels.
    """
    anatomy = read_anatomy(backbone)
    known = read_source(backbone, anatomy, source)
    channels = plan_channels(spec, known.preprocessing, known.constant)
    stored, reason = _stored(backbone, anatomy)
    if channels.lost:
        reason = f"the images do not have the source's band(s) {', '.join(channels.lost)}."
    if stored is None or reason is not None or not len(images):
        return Plausibility(None, unknown=reason or "there are no images.")
    images = np.asarray(images, np.float64)
    images = images[: max(1, MAX_PIXELS // int(np.prod(images.shape[1:3])))]
    seen = (images * channels.scale + channels.offset) @ channels.mix.T + channels.constant
    if spec.small_images:  # what is kept is the function of the source on the enlarged image
        seen = seen.repeat(2, axis=1).repeat(2, axis=2)
    own = known.preprocessing
    raw = (seen[..., : len(own.bands)] - np.asarray(own.offset)) / np.asarray(own.scale)
    pictures = (raw, _like_the_source(raw, own))

    def distance(one: Preprocessing) -> tuple[float, float]:
        """Of the images as they are, and with the brightness and contrast of the source's."""
        order = [own.bands.index(band) for band in one.bands]
        found = [_distance(_figures(backbone, anatomy, known, one.apply(x[..., order])), stored) for x in pictures]
        return found[0], found[1]

    colour = (
        bool(np.ptp(raw, axis=-1).max() > 1e-6 * max(1.0, float(np.abs(raw).max()))) if raw.shape[-1] > 1 else False
    )
    as_is, alike = distance(own)
    given = Fit(own.name, own.bands, min(as_is, alike))
    fits = []
    if given.distance > FLOOR:
        fits = [Fit(name, one.bands, min(distance(one))) for name, one in _others(own, colour).items()]
    elif colour and set(own.bands) == set(COLOURS):
        swapped = _swapped(own)
        there = distance(swapped)[0]
        if there < ORDER_CLOSE and as_is > ORDER_FACTOR * there:
            return Plausibility(
                Fit(own.name, own.bands, as_is), (Fit(own.name, swapped.bands, there),), len(images), colour
            )
    better = sorted((fit for fit in fits if fit.distance * FACTOR < given.distance), key=lambda fit: fit.distance)
    if given.distance <= FAR and not (better and better[0].distance < CLOSE):
        better = []
    return Plausibility(given, tuple(better[:3]), len(images), colour)


def _stored(backbone: keras.Model, anatomy: Anatomy) -> tuple[tuple[np.ndarray, np.ndarray] | None, str | None]:
    """Mean and deviation [filters] in the first BatchNormalization after the convolution, or why there are none."""
    if not anatomy.norms:
        return None, "no BatchNormalization follows the first convolution."
    layer = backbone.get_layer(anatomy.norms[0])
    if not has_statistics(layer):
        return None, f"{layer.name} has no statistics yet (random weights)."
    mean = np.asarray(keras.ops.convert_to_numpy(layer.moving_mean), np.float64)
    variance = np.asarray(keras.ops.convert_to_numpy(layer.moving_variance), np.float64)
    return (mean, np.sqrt(np.maximum(variance, 0))), None


def _figures(backbone: keras.Model, anatomy: Anatomy, known: Source, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation [filters] of the input of the first BatchNormalization, for what the convolution reads."""
    if known.constant:
        seen = np.concatenate([seen, np.ones_like(seen[..., :1])], axis=-1)
    pad = anatomy.padding
    x = keras.ops.convert_to_tensor(np.pad(seen, ((0, 0), pad, pad, (0, 0))).astype(np.float32))
    x = keras.ops.conv(x, np.asarray(anatomy.kernel, np.float32), strides=anatomy.stride, padding="valid")
    if anatomy.bias is not None:
        x = x + np.asarray(anatomy.bias, np.float32)
    for name, kind, _ in anatomy.chain:
        if kind == "BatchNormalization":
            break
        x = backbone.get_layer(name)(x)
    mean = keras.ops.mean(x, axis=(0, 1, 2))
    deviation = keras.ops.std(x - mean, axis=(0, 1, 2))
    return tuple(np.asarray(keras.ops.convert_to_numpy(v), np.float64) for v in (mean, deviation))  # type: ignore[return-value]


def _distance(found: tuple[np.ndarray, np.ndarray], stored: tuple[np.ndarray, np.ndarray]) -> float:
    (mean, deviation), (old_mean, old_deviation) = found, stored
    alive = old_deviation > DEAD * np.median(old_deviation)
    old_mean, old, mean = old_mean[alive], old_deviation[alive], mean[alive]
    new = np.maximum(deviation[alive], 1e-6 * old)
    both = old**2 + new**2
    return float(np.mean((mean - old_mean) ** 2 / both / 4 + np.log(both / (2 * old * new)) / 2))


def _like_the_source(raw: np.ndarray, source: Preprocessing) -> np.ndarray:
    """The images, each channel with the mean and deviation of the source's training images, 0..255."""
    mean, deviation = source.raw_statistics()
    own = raw.std((0, 1, 2))
    return (raw - raw.mean((0, 1, 2))) / np.where(own > 0, own, 1) * deviation + mean


def _others(own: Preprocessing, colour: bool) -> Mapping[str, Preprocessing]:
    """The preprocessings to compare with, by name; without colour, each in its usual order only."""
    if set(own.bands) == set(COLOURS):
        named = dict(PREPROCESSING)
        if colour:
            named |= {f"{name}, colours reversed": _swapped(one) for name, one in PREPROCESSING.items()}
        return {name: one for name, one in named.items() if not _same(one, own)}
    mean, deviation = own.raw_statistics()
    n = len(own.bands)
    named = {
        "values 0..255": Preprocessing("none", own.bands, (1.0,) * n, (0.0,) * n),
        "values 0..1": Preprocessing("unit", own.bands, (1 / 255,) * n, (0.0,) * n),
        "values -1..1": Preprocessing("tf", own.bands, (1 / 127.5,) * n, (-1.0,) * n),
        "mean 0 and deviation 1": Preprocessing(
            "standardised", own.bands, tuple(1 / deviation), tuple(-mean / deviation)
        ),
    }
    return {name: one for name, one in named.items() if not _same(one, own)}


def _swapped(one: Preprocessing) -> Preprocessing:
    """The same with red and blue exchanged in the network's order; each colour keeps its own constants."""
    return dataclasses.replace(
        one,
        bands=one.bands[::-1],
        scale=one.scale[::-1],
        offset=one.offset[::-1],
        mean=one.mean and one.mean[::-1],
        std=one.std and one.std[::-1],
    )


def _same(one: Preprocessing, other: Preprocessing) -> bool:
    return one.bands == other.bands and np.allclose(one.scale, other.scale) and np.allclose(one.offset, other.offset)

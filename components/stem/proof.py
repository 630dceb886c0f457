"""Proves a claim: compares the original and the modified network on images that the claim covers."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np

from .precision import full_precision
from .preprocessing import Preprocessing
from .prior import natural_images
from .rules.channels import Channels
from .source import Source
from .spec import GREY, StemSpec

SIDES = (64, 48)  # height and width of the probe, for networks that take any size
TOLERANCE = {"float64": 1e-10, "float32": 1e-4, "float16": 0.05, "bfloat16": 0.25}


@dataclasses.dataclass(frozen=True)
class Proof:
    """Result of a probe: `error` as in the report, `tolerance` for exact claims, `probe` describes the images."""

    error: float
    tolerance: float
    probe: str


def probe_pair(
    spec: StemSpec,
    channels: Channels,
    source: Preprocessing,
    sides: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The same images in the input formats of the original and of the modified network.

    Two images: one like a natural scene, one with independent noise in every pixel (which best reveals errors
    at borders and shifts by a pixel). If the claim covers only grey or repeated bands, so do the images.

    Args:
        sides: height and width for the original; the small-image stem gets half of them.

    Returns:
        The original's input (preprocessed, in its own channel order) and the new network's raw input in the
        declared value range, both float64.
    """
    height, width = (s // 2 for s in sides) if spec.small_images else sides
    n = len(source.bands)
    side = max(height, width)
    natural = np.clip(127.5 + 60 * natural_images(1, side, n, rng), 0, 255)[:, :height, :width]
    image = np.concatenate([natural, rng.uniform(0, 255, (1, height, width, n))])
    if GREY in channels.reads:
        image = np.repeat(image[..., :1], n, axis=-1)
    seen = source.apply(image)
    low, high = spec.value_range
    _, spread = source.statistics()
    raw = []
    for j, (band, read) in enumerate(zip(channels.bands, channels.reads, strict=True)):
        with_statistics = spec.normalise == "statistics" and any(s[0] == band for s in spec.statistics)
        if read is None:
            values = rng.normal(0, np.mean(spread), image.shape[:3])
            raw.append((values - channels.offset[j]) / channels.scale[j])
        elif with_statistics:  # equal after normalisation, not before
            values = (
                image[..., 0] * _mean(source.scale) + _mean(source.offset)
                if read == GREY
                else seen[..., source.bands.index(read)]
            )
            raw.append((values - channels.offset[j]) / channels.scale[j])
        else:
            plane = image[..., 0 if read == GREY else source.bands.index(read)]
            raw.append(low + plane * (high - low) / 255)
    if spec.small_images:
        seen = seen.repeat(2, axis=1).repeat(2, axis=2)
    return seen, np.stack(raw, axis=-1)


def prove(
    backbone: keras.Model,
    model: keras.Model,
    spec: StemSpec,
    channels: Channels,
    source: Source,
    inside: bool,
    exact: bool,
    seed: int,
) -> Proof:
    """Runs the probe through both networks. No weight changes."""
    rng = np.random.default_rng(seed + 1)
    shape = backbone.inputs[0].shape
    height, width = (s or default for s, default in zip(shape[1:3], SIDES, strict=True))
    if spec.small_images:
        height, width = height - height % 2, width - width % 2
    seen, raw = probe_pair(spec, channels, source.preprocessing, (height, width), rng)
    seen = source.network_input(seen)
    given = raw if inside else raw * channels.scale + channels.offset
    precision = keras.dtype_policies.get(model.get_layer("conv1_conv").dtype_policy).compute_dtype
    old = features(backbone, seen)
    new = features(model, given)
    error = _difference(old, new)
    # The network's inputs may have fewer bits than its compute dtype, and so may the values inside a
    # BatchNormalization: with PyTorch, Keras casts 64 bits to 32 there.
    inside_norms = keras.backend.result_type(precision, "float32")
    kinds = (precision, inside_norms, model.inputs[0].dtype, backbone.inputs[0].dtype)
    tolerance = max(TOLERANCE.get(kind, 0.25 if kind == precision else 0) for kind in kinds)
    if exact and error > tolerance and np.isfinite(error):
        # Measures how much the original network itself amplifies rounding.
        wobble = np.finfo("float64" if precision == "float64" else "float32").eps
        nudged = features(backbone, seen * (1 + wobble * rng.choice([-1.0, 1.0], seen.shape)))
        tolerance = min(max(tolerance, 30 * _difference(old, nudged)), 1e-2)
    probe = (
        f"2 images (1/f and noise) of {given.shape[1]}x{given.shape[2]}, {precision}"
        + (", upsampled by 2 for the original" if spec.small_images else "")
        + (", grey" if GREY in channels.reads else "")
    )
    return Proof(error, tolerance, probe)


def features(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """The network's features [n, ...] at inference, float64, before its Dense top if it has one.

    Computed in the network's full precision.
    """
    last = model.layers[-1]
    if isinstance(last, keras.layers.Dense):
        model = keras.Model(model.inputs, last.input)
    # `call`, not `__call__`, because a network built for one image size also works on any other.
    with full_precision():
        out = model.call(keras.ops.convert_to_tensor(x, dtype=model.inputs[0].dtype), training=False)
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(out, "float64" if _has64() else "float32")), np.float64)


def _has64() -> bool:
    # JAX has no float64 unless it is enabled, and warns when asked for it.
    return keras.config.floatx() == "float64" or keras.config.backend() != "jax"


def _difference(old: np.ndarray, new: np.ndarray) -> float:
    if old.shape != new.shape:  # a changed stride or pool: the feature maps differ in size
        old, new = (a.mean(tuple(range(1, a.ndim - 1))) if a.ndim > 2 else a for a in (old, new))
    scale = np.abs(old).max()
    if not (np.isfinite(old).all() and np.isfinite(new).all()):
        return float("nan")
    gap = np.abs(old - new).max()
    return float(gap / scale) if scale > 0 else float(gap)


def _mean(values: tuple[float, ...]) -> float:
    return values[0] if len(set(values)) == 1 else float(np.mean(values))

"""Applies the rules of a specification in their documented order. Works on arrays and builds no network."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from .anatomy import EXTRA_NORM, Anatomy
from .calibration import Calibration, calibrate
from .errors import StemError
from .forward import convolve, run_chain
from .preprocessing import Preprocessing
from .rebuild import EPSILON, Blueprint, deep_names
from .rules import batch_norm, deep, filters, kernel_size, small_images
from .rules.channels import Channels, mix_channels, plan_channels
from .source import Source
from .spec import StemSpec

_SAMPLES = 20_000  # positions used for a least-squares fit


@dataclasses.dataclass
class Design:
    """The plan of the new stem. Each rule changes it.

    Attributes:
        channels: the plan of the input channels.
        kernel, bias, padding, stride: of the convolution, after the rules so far.
        weights: the weights that differ from the source, by layer name, in the layer's order.
        rules: how a weight (`layer/weight`) or all weights of a layer were computed.
        initialised: layers with new weights.
        steps, approximations, dropped: see TransferReport.
        exact: whether all rules so far keep the function.
        output_statistics: mean and variance of the convolution's output per filter, if a rule has set them.
    """

    channels: Channels
    kernel: np.ndarray
    bias: np.ndarray | None
    padding: tuple[int, int]
    stride: int
    blueprint: Blueprint = dataclasses.field(init=False)
    weights: dict[str, list[np.ndarray]] = dataclasses.field(default_factory=dict)
    rules: dict[str, str] = dataclasses.field(default_factory=dict)
    initialised: set[str] = dataclasses.field(default_factory=set)
    steps: list[str] = dataclasses.field(default_factory=list)
    approximations: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    dropped: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    exact: bool = True
    output_statistics: tuple[np.ndarray, np.ndarray] | None = None

    def approximate(self, rule: str, measure: str, error: float) -> None:
        self.exact = False
        self.approximations.append({"rule": rule, "measure": measure, "error": error})


def design_stem(
    backbone: keras.Model,
    anatomy: Anatomy,
    spec: StemSpec,
    source: Source,
    images: np.ndarray | None,
    seed: int,
) -> Design:
    """Applies, in this order: channels, small images or stride, kernel, filters, deep stem, BatchNorm, pool."""
    origin = source.preprocessing
    channels = plan_channels(spec, origin, source.constant)
    design = Design(
        channels=channels,
        kernel=mix_channels(anatomy.kernel, channels),
        bias=None if anatomy.bias is None else np.asarray(anatomy.bias, np.float64),
        padding=anatomy.padding,
        stride=anatomy.stride,
        exact=channels.exact,
    )
    calibration = calibrate(channels, origin, images, seed)
    rng = np.random.default_rng(seed)
    _describe_channels(design, anatomy, origin, ones=channels.needs_ones and not spec.deep)
    _apply_small_images(design, anatomy, spec)
    _apply_kernel(design, anatomy, spec, calibration)
    _apply_filters(design, backbone, anatomy, spec, calibration, rng)
    hidden = _apply_deep(design, anatomy, spec, calibration, rng)
    _apply_batch_norm(design, backbone, anatomy, spec, calibration)
    if not spec.pool and anatomy.pool is not None:
        design.exact = False
        design.steps.append(f"max pool {anatomy.pool} removed: feature maps after it are twice as large")
    design.weights[anatomy.conv] = [design.kernel] + ([] if design.bias is None else [design.bias])
    design.blueprint = Blueprint(
        channels=len(channels.bands),
        scale=channels.scale,
        offset=channels.offset,
        ones=channels.needs_ones and not hidden,
        kernel=design.kernel.shape[0],
        filters=design.kernel.shape[3],
        stride=design.stride,
        padding=design.padding,
        extra_norm=spec.batch_norm,
        pool=spec.pool,
        deep=hidden,
    )
    return design


def _note(design: Design, anatomy: Anatomy, text: str) -> None:
    """Records a rule that changed the convolution's kernel."""
    key = f"{anatomy.conv}/kernel"
    design.rules[key] = f"{design.rules[key]}; {text}" if key in design.rules else text
    design.steps.append(text)


def _describe_channels(design: Design, anatomy: Anatomy, source: Preprocessing, *, ones: bool) -> None:
    channels = design.channels
    parts = [f"{band}: {rule}" for band, rule in zip(channels.bands, channels.rule, strict=True)]
    if ones:
        parts.append("constant-one channel: the remaining preprocessing shifts, so that borders are correct")
    _note(design, anatomy, "channels (" + "; ".join(parts) + ")")
    for band in channels.lost:
        design.dropped.append(
            {"name": f"{anatomy.conv}/kernel", "why": f"the slice of {band} (no input channel carries this band)"}
        )
    share = _power_of(anatomy.kernel, [source.bands.index(b) for b in channels.lost])
    if share > 0:
        design.approximate(f"without {', '.join(channels.lost)}", "dropped share of the kernel's power:", share)


def _power_of(kernel: np.ndarray, picked: list[int]) -> float:
    power = np.sum(np.asarray(kernel, np.float64) ** 2, axis=(0, 1, 3))
    return float(power[picked].sum() / power.sum()) if power.sum() > 0 else 0.0


def _apply_small_images(design: Design, anatomy: Anatomy, spec: StemSpec) -> None:
    if spec.small_images:
        if design.stride != 2:
            raise StemError(
                f"small_images needs a source whose first convolution has stride 2, but its stride is {design.stride}."
            )
        design.kernel, design.padding = small_images.collapse(design.kernel, design.padding)
        design.stride = 1
        side = design.kernel.shape[0]
        words = f"taps that read the same small pixel are added: {side}x{side}, stride 1, as if upsampled by 2"
        _note(design, anatomy, words)
    elif spec.stride is not None and spec.stride != design.stride:
        design.steps.append(f"stride {design.stride} -> {spec.stride}: keeps the weights' shapes, not the function")
        design.stride = spec.stride
        design.exact = False


def _apply_kernel(design: Design, anatomy: Anatomy, spec: StemSpec, calibration: Calibration) -> None:
    old = design.kernel.shape[0]
    if spec.kernel is None or spec.kernel == old:
        return
    if spec.kernel > old:
        design.kernel, design.padding = kernel_size.grow(design.kernel, design.padding, spec.kernel)
        _note(design, anatomy, f"kernel {old} -> {spec.kernel}: zeros added around it, padding adjusted")
        return
    moments = calibration.moments(old)
    if spec.shrink == "least_squares":
        smaller, padding = kernel_size.least_squares(design.kernel, design.padding, spec.kernel, moments)
    else:
        rule = getattr(kernel_size, spec.shrink)
        smaller, padding = rule(design.kernel, design.padding, spec.kernel)
    error = kernel_size.relative_error(design.kernel, design.padding, smaller, padding, moments)
    words = f"kernel {old} -> {spec.kernel} by {spec.shrink.replace('_', ' ')}"
    design.approximate(words, f"relative error of the convolution's output on {calibration.origin}:", error)
    design.dropped.append(
        {
            "name": f"{anatomy.conv}/kernel",
            "why": f"{old * old - spec.kernel * spec.kernel} of {old * old} taps of each filter ({words})",
        }
    )
    design.kernel, design.padding = smaller, padding
    _note(design, anatomy, words)


def _apply_filters(
    design: Design,
    backbone: keras.Model,
    anatomy: Anatomy,
    spec: StemSpec,
    calibration: Calibration,
    rng: np.random.Generator,
) -> None:
    old = design.kernel.shape[3]
    if spec.filters is None or spec.filters == old:
        return
    if anatomy.readers is None:
        adds = [name for name in anatomy.others if name.endswith("_add")]
        raise StemError(
            f"The number of filters of {anatomy.conv!r} can be changed only if convolutions alone read them; in "
            f"{backbone.name!r} {' and '.join(anatomy.others) or 'other layers'} read them."
            + (
                f" {adds[0]!r} is an identity shortcut: it adds the stem's output to that of the first block, which "
                f"has as many filters. Leave stem.filters at {old}, or use a ResNet of bottleneck blocks (ResNet50)."
                if adds
                else ""
            )
        )
    if spec.filters > old:
        _widen(design, backbone, anatomy, spec, rng)
    else:
        _narrow(design, backbone, anatomy, spec, calibration)


def _take(design: Design, backbone: keras.Model, anatomy: Anatomy, picks: np.ndarray, how: str) -> None:
    """Selects filters of the convolution and of the norms after it."""
    design.kernel = design.kernel[..., picks]
    if design.bias is not None:
        design.bias = design.bias[picks]
        design.rules[f"{anatomy.conv}/bias"] = how
    for name in anatomy.norms:
        design.weights[name] = [w[picks] for w in backbone.get_layer(name).get_weights()]
        design.rules[name] = how


def _widen(design: Design, backbone: keras.Model, anatomy: Anatomy, spec: StemSpec, rng: np.random.Generator) -> None:
    assert spec.filters is not None
    assert anatomy.readers is not None
    old = design.kernel.shape[3]
    picks = filters.copies(old, spec.filters)
    how = f"filters {old} -> {spec.filters}: filter i copies filter i mod {old}"
    _take(design, backbone, anatomy, picks, how)
    for name in anatomy.readers:
        kernel, *rest = backbone.get_layer(name).get_weights()
        design.weights[name] = [filters.widen_reader(kernel, picks, spec.noise, rng), *rest]
        design.rules[name] = "input slices divided by the number of copies" + (
            f", zero-sum noise of {spec.noise:g} standard deviations between copies" if spec.noise else ""
        )
    _note(design, anatomy, how)


def _narrow(design: Design, backbone: keras.Model, anatomy: Anatomy, spec: StemSpec, calibration: Calibration) -> None:
    assert spec.filters is not None
    assert anatomy.readers is not None
    old = design.kernel.shape[3]
    readers = {name: backbone.get_layer(name).get_weights() for name in anatomy.readers}
    if any(w[0].shape[:2] != (1, 1) for w in readers.values()):
        raise StemError(
            "Filters can be removed only if 1x1 convolutions read them, as in ResNet50 and every other network of "
            f"bottleneck blocks without a deep stem; here {', '.join(readers)} read them. Filters can be added."
        )
    norms = {name: backbone.get_layer(name).get_weights() for name in anatomy.norms}
    seen = run_chain(_conv_output(design, calibration), anatomy.chain, norms, spec.pool)
    seen = _sample(seen.reshape(-1, old))
    importance = np.sqrt(sum(np.sum(np.asarray(w[0], np.float64) ** 2, axis=(0, 1, 3)) for w in readers.values()))
    keep = filters.choose(seen, importance, spec.filters)
    gone = np.setdiff1d(np.arange(old), keep)
    _take(design, backbone, anatomy, keep, f"filters {old} -> {spec.filters}: kept those that explain the others best")
    words = f"filters {old} -> {spec.filters} by {spec.narrow.replace('_', ' ')}"
    errors = []
    for name, (kernel, *rest) in readers.items():
        new, shift = filters.refit_reader(kernel, keep, seen, spec.narrow)
        errors.append(filters.reader_error(kernel, new, shift, keep, seen))
        design.weights[name] = [new, rest[0] + shift] if rest else [new]
        design.rules[name] = words
        if not rest and np.any(shift):
            _shift_norm(design, backbone, anatomy, name, shift, words)
    design.approximate(words, f"relative error of the layers that read them on {calibration.origin}:", max(errors))
    design.dropped.append(
        {"name": f"{anatomy.conv}/kernel", "why": f"filters {', '.join(map(str, gone))}", "filters": gone.tolist()}
    )
    for name in (*anatomy.norms, *anatomy.readers):
        design.dropped.append({"name": name, "why": f"the weights of filters {', '.join(map(str, gone))}"})
    _note(design, anatomy, words)


def _shift_norm(
    design: Design, backbone: keras.Model, anatomy: Anatomy, reader: str, shift: np.ndarray, words: str
) -> None:
    """Adds `shift` to the output of a reader without bias: subtracts it from the next norm's moving mean."""
    norm = anatomy.reader_norms.get(reader)
    if norm is None:
        raise StemError(
            f"{reader!r} has neither a bias nor a BatchNormalization that can absorb the mean of the removed "
            "filters. Use narrow='drop'."
        )
    gamma, beta, mean, variance = backbone.get_layer(norm).get_weights()
    design.weights[norm] = [gamma, beta, mean - shift, variance]
    design.rules[norm] = f"moving mean absorbs the shift from {words}"


def _apply_deep(
    design: Design, anatomy: Anatomy, spec: StemSpec, calibration: Calibration, rng: np.random.Generator
) -> tuple[int, ...]:
    """Replaces the convolution. Returns the filters of the new ones before it; empty if the stem is not deep."""
    if not spec.deep:
        return ()
    if anatomy.deep:
        raise StemError(
            "The source has a deep stem already: leave deep out. Channels, kernel, stride and filters change the first "
            "of its three convolutions."
        )
    last = design.kernel.shape[3]
    hidden = spec.deep_filters or (max(1, last // 2),) * 2
    target = _conv_output(design, calibration)
    inputs = calibration.inputs[..., : len(design.channels.bands)]
    stem = deep.fit_deep(inputs, target, hidden, design.stride, EPSILON, rng)
    old = design.kernel.shape[0]
    for place, (kernel, norm) in enumerate(stem.hidden, start=1):
        _, conv, bn, _ = deep_names(place)
        design.weights[conv], design.weights[bn] = [kernel], norm
        design.rules[conv] = "He normal, scaled to the layer's input"
        design.rules[bn] = f"gamma 1, beta 0, statistics measured on {calibration.origin}"
        design.initialised |= {conv, bn}
    design.dropped.append({"name": f"{anatomy.conv}/kernel", "why": f"the {old}x{old} kernel (replaced by deep stem)"})
    design.kernel, design.padding = stem.kernel, deep.PAD
    design.output_statistics = _statistics(target)
    if design.bias is None:
        raise StemError("A deep stem needs a bias in the source's first convolution to keep the scale of activations.")
    design.bias = stem.bias
    words = f"deep stem of 3x3 convolutions with {hidden[0]}, {hidden[1]} and {last} filters"
    how = "fitted to the old stem's output, then scaled to its mean and standard deviation"
    design.rules[f"{anatomy.conv}/kernel"] = design.rules[f"{anatomy.conv}/bias"] = f"{words}: {how}"
    design.steps.append(f"{words}: does not keep the function; the last one is {how}")
    design.approximate(words, f"relative error of its output on {calibration.origin}:", stem.error)
    return hidden


def _apply_batch_norm(
    design: Design, backbone: keras.Model, anatomy: Anatomy, spec: StemSpec, calibration: Calibration
) -> None:
    if not spec.batch_norm:
        return
    if EXTRA_NORM in anatomy.norms:
        raise StemError(
            f"{backbone.name!r} already has the extra BatchNormalization {EXTRA_NORM!r}: leave batch_norm out."
        )
    following = anatomy.chain[0][0] if anatomy.chain and anatomy.chain[0][1] == "BatchNormalization" else None
    if following:
        weights = design.weights.get(following) or backbone.get_layer(following).get_weights()
        mean, variance = weights[2], weights[3]
        origin = f"statistics of {following}"
    else:
        mean, variance = design.output_statistics or _statistics(_conv_output(design, calibration))
        origin = f"statistics measured on {calibration.origin}"
    design.weights[EXTRA_NORM] = batch_norm.identity_batch_norm(mean, variance, EPSILON)
    design.rules[EXTRA_NORM] = f"identity at inference: {origin}; gamma and beta undo them"
    design.steps.append(f"extra BatchNormalization {EXTRA_NORM} ({origin})")


def _conv_output(design: Design, calibration: Calibration) -> np.ndarray:
    return convolve(calibration.inputs, design.kernel, design.bias, design.padding, design.stride)


def _statistics(out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return out.mean((0, 1, 2)), out.var((0, 1, 2))


def _sample(rows: np.ndarray) -> np.ndarray:
    return rows[:: max(1, len(rows) // _SAMPLES)]

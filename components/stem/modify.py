"""`modify_stem`: changes the first layer of a pretrained ResNet and proves what is kept."""

from __future__ import annotations

import dataclasses
import json

import keras
import numpy as np

from .anatomy import Anatomy, has_statistics, read_anatomy
from .checkpoint.values import refuse_impossible
from .design import Design, design_stem
from .errors import StemError
from .fate import fate
from .preprocessing import Preprocessing
from .proof import Proof, prove
from .rebuild import carry_over, rebuild
from .report import TransferReport
from .rules.channels import Channels
from .source import Source, read_source
from .spec import GREY, StemSpec

UNTRAINED = (
    "But the source was never trained (all its BatchNormalization statistics are the initial ones): there is nothing "
    "yet that it knows."
)


@dataclasses.dataclass(frozen=True)
class StemResult:
    """Result of `modify_stem`.

    Attributes:
        model: the new network: from raw pixels [n, height, width, channels] to the backbone's output.
        report: what is kept.
        stem_layers: layers to train if only the stem is trained: the first convolution, and every layer
            with new or derived weights.
    """

    model: keras.Model
    report: TransferReport
    stem_layers: tuple[str, ...]


def modify_stem(
    backbone: keras.Model,
    spec: StemSpec,
    *,
    preprocessing: str = "inside",
    source: str | Preprocessing = "auto",
    images: np.ndarray | None = None,
    seed: int = 0,
) -> StemResult:
    """Changes the stem of a ResNet and keeps as much of its function as possible.

    Args:
        backbone: a network as keras.applications builds it (ResNet50/101/152, V1 or V2), with or without
            its top; it is not changed.
        spec: the stem to build.
        preprocessing: `inside`: the new network takes raw pixels in `spec.value_range`. `outside`: the caller
            first applies the report's input.scale and input.offset to them.
        source: the preprocessing the backbone was trained with: `auto` (V1: caffe, V2: tf), one of
            PREPROCESSING by name, or a Preprocessing.
        images: raw images [n, height, width, channels] in the new network's format, to calibrate approximate
            rules; without them, the documented 1/f prior is used.
        seed: seed of the noise that breaks ties, the new weights, the prior and the probe.

    Returns:
        StemResult. Every weight that the spec does not touch is bit-identical to the backbone's.

    Raises:
        StemError: if the change is impossible, or if the probe refutes a claim of exactness.
    """
    if not isinstance(spec, StemSpec):
        raise StemError(f"spec must be a StemSpec, not {type(spec).__name__}.")
    if preprocessing not in ("inside", "outside"):
        raise StemError(f"preprocessing must be 'inside' or 'outside', not {preprocessing!r}.")
    anatomy = read_anatomy(backbone)
    for layer in backbone.layers:
        values = {one.name: keras.ops.convert_to_numpy(one) for one in layer.weights}
        refuse_impossible(values, layer.name, backbone.name)
    known = read_source(backbone, anatomy, source)
    design = design_stem(backbone, anatomy, spec, known, images, seed)
    blueprint = design.blueprint
    if preprocessing == "outside":
        blueprint = dataclasses.replace(blueprint, scale=None, offset=None)
    model = rebuild(backbone, anatomy, blueprint)
    carry_over(backbone, model, design.weights)
    proof = prove(backbone, model, spec, design.channels, known, preprocessing == "inside", design.exact, seed)
    report = _report(backbone, model, anatomy, spec, known, design, proof, preprocessing)
    if report.claim == "exact" and not proof.error <= proof.tolerance:
        raise StemError(
            f"This stem change should keep the function of {backbone.name!r} exactly, but on {proof.probe} the final "
            f"features differ by {proof.error:.2g} of the largest feature (allowed: {proof.tolerance:.2g}). "
            + (
                f"This is a bug in the library: please report it with the specification {spec.to_dict()}."
                if np.isfinite(proof.error)
                else "Its weights are finite, but so large that its features are not: the checkpoint is of a training "
                "that diverged, or model.source is not the preprocessing that it was trained with."
            )
        )
    model.about = json.dumps({"spec": spec.to_dict(), "report": report.to_dict()})
    changed = {w["name"].split("/")[0] for w in report.weights if w["origin"] != "identical"} | {anatomy.conv}
    return StemResult(model, report, tuple(layer.name for layer in model.layers if layer.name in changed))


def _report(
    backbone: keras.Model,
    model: keras.Model,
    anatomy: Anatomy,
    spec: StemSpec,
    known: Source,
    design: Design,
    proof: Proof,
    preprocessing: str,
) -> TransferReport:
    channels = design.channels
    trained = _is_trained(backbone)
    return TransferReport(
        claim="exact" if design.exact else "approximate",
        error=proof.error,
        tolerance=proof.tolerance if design.exact else None,
        about=_about(design, channels, spec) + ("" if trained else f" {UNTRAINED}"),
        probe=proof.probe,
        input={
            "channels": len(channels.bands),
            "bands": list(channels.bands),
            "value_range": list(spec.value_range),
            "preprocessing": preprocessing,
            "scale": [float(s) for s in channels.scale],
            "offset": [float(o) for o in channels.offset],
        },
        source={
            "name": backbone.name,
            "family": anatomy.family,
            "preprocessing": known.preprocessing.name,
            "decided": known.decided,
            "trained": trained,
            "bands": list(known.preprocessing.bands),
            "scale": [float(s) for s in known.preprocessing.scale],
            "offset": [float(o) for o in known.preprocessing.offset],
            "became": fate(channels, known.preprocessing),
        },
        spec=spec.to_dict(),
        steps=tuple(design.steps),
        approximations=tuple(design.approximations),
        weights=tuple(_weights(backbone, model, design)),
        dropped=tuple(design.dropped),
        old_kernel=anatomy.kernel,
        new_kernel=design.weights[anatomy.conv][0],
    )


def _is_trained(backbone: keras.Model) -> bool:
    """False if all BatchNormalization statistics are the initial ones, as in a network with random weights."""
    norms = [layer for layer in backbone.layers if isinstance(layer, keras.layers.BatchNormalization)]
    return not norms or any(has_statistics(layer) for layer in norms)


def _about(design: Design, channels: Channels, spec: StemSpec) -> str:
    if not design.exact:
        return "The source's function changes; the error below shows by how much."
    inputs = "any image"
    if GREY in channels.reads:
        inputs = "grey images, compared with the original on the same grey in all its channels"
        if len(channels.bands) > 1:
            inputs += " (with any values in the extra bands)" if None in channels.reads else " (all channels equal)"
    elif len(set(channels.reads)) < len([r for r in channels.reads if r]):
        inputs = "images whose channels repeat the source's channels in turn"
    elif None in channels.reads:
        inputs = "any image, with any values in the extra bands"
    if spec.small_images:
        inputs += ", compared with the original on the image upsampled by 2 (nearest neighbour)"
    if spec.normalise == "statistics":
        inputs += ", after each band is normalised to the source's mean and standard deviation"
    return f"The source's function is kept on {inputs}."


def _weights(backbone: keras.Model, model: keras.Model, design: Design) -> list[dict[str, object]]:
    old_layers = {layer.name: layer for layer in backbone.layers}
    entries = []
    for layer in model.layers:
        old = {w.name: w for w in old_layers[layer.name].weights} if layer.name in old_layers else {}
        for weight in layer.weights:
            name = f"{layer.name}/{weight.name}"
            entry: dict[str, object] = {
                "name": name,
                "shape": [int(s) for s in weight.shape],
                "origin": "identical",
                "rule": "copied",
            }
            if layer.name in design.weights and not _same(old.get(weight.name), weight):
                entry["origin"] = "initialised" if layer.name in design.initialised else "derived"
                entry["rule"] = design.rules.get(name) or design.rules[layer.name]
            entries.append(entry)
    return entries


def _same(old: keras.Variable | None, new: keras.Variable) -> bool:
    if old is None or tuple(old.shape) != tuple(new.shape):
        return False
    a, b = (np.ascontiguousarray(keras.ops.convert_to_numpy(v)) for v in (old, new))
    return a.tobytes() == b.tobytes()

"""A whole model from a file: what it does to the pixels in front of its ResNet.

Nothing is assumed of a layer that is not known here: the file is refused, with the layer's name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .checkpoint.config import Node
from .checkpoint.layout import FIRST, STEM_FILTERS
from .checkpoint.names import present_name
from .checkpoint.operations import operation_of, without_stack
from .errors import StemError

# They pass their input on at inference.
INACTIVE = {
    *("InputLayer", "Identity", "ActivityRegularization", "RandomErasing"),
    *("Dropout", "SpatialDropout2D", "AlphaDropout", "GaussianDropout", "GaussianNoise"),
    *("RandomBrightness", "RandomColorJitter", "RandomContrast", "RandomGrayscale", "RandomHue", "RandomSaturation"),
    *("RandomFlip", "RandomRotation", "RandomShear", "RandomTranslation", "RandomZoom"),
    *("RandomGaussianBlur", "RandomSharpness", "RandomInvert", "RandomPosterization", "RandomColorDegeneration"),
    *("RandomElasticTransform", "RandomPerspective", "RandAugment", "AugMix", "MixUp", "CutMix"),
}
EPSILON = 1e-7  # keras.config.epsilon(), the smallest standard deviation of a Normalization layer


@dataclasses.dataclass(frozen=True)
class Front:
    """What the layers in front of a ResNet do to raw pixels: source_input[c] = scale[c] * raw[c] + offset[c].

    Attributes:
        scale, offset: one number per channel of the ResNet.
        layers: these layers, as a report names them.
        reverse: they also reverse the order of the channels, so that the ResNet's first one is the image's last.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    layers: str
    reverse: bool = False


@dataclasses.dataclass(frozen=True)
class Placed:
    """A layer, and the names of the models that it is in, from the outermost one's child on."""

    node: Node
    path: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Found:
    """The model with the first convolution.

    Attributes:
        model: with its path.
        first: the name of the first convolution.
        before: the layers from the input to it.
    """

    model: Placed
    first: str
    before: tuple[Placed, ...]


def find_resnet(root: Node, file: str) -> Found | None:
    """The (nested) model with a ResNet's first convolution, and all layers in front of it; None if there is none.

    Raises:
        StemError: there are several, or the way from the input to it is not a chain of layers.
    """
    found = list(_search(root, ()))
    if len(found) > 1:
        where = ", ".join(repr("/".join(model.path) or model.node.name) for model, _ in found)
        raise StemError(
            f"{file!r} contains {len(found)} ResNets ({where}). Save the one that you want alone, as in "
            "model.get_layer(name).save('resnet.keras')."
        )
    if not found:
        return None
    model, first = found[0]
    before = (*before_model(root, model.path, file), *_before(model.node, model.path, first, file))
    return Found(model, first, before)


def _search(model: Node, path: tuple[str, ...]) -> Iterator[tuple[Placed, str]]:
    first = first_convolution(model)
    if first:
        yield Placed(model, path), first
    for node in model.nodes or ():
        yield from _search(node, (*path, node.name))


def before_model(root: Node, path: tuple[str, ...], file: str) -> tuple[Placed, ...]:
    """The layers from the outermost input to a model inside."""
    found: list[Placed] = []
    model = root
    for depth, name in enumerate(path):
        found += _before(model, path[:depth], name, file)
        model = model.child(name)
    return tuple(found)


def first_convolution(model: Node) -> str | None:
    """The layer that is a ResNet's first convolution by its name, or else the only 7x7 one of 64 filters."""
    layers = [node for node in model.nodes or () if node.kind == "Conv2D"]
    large = [node.name for node in layers if _numbers(node.config.get("kernel_size")).tolist() == [7.0, 7.0]]
    for node in layers:
        if node.name == FIRST or (present_name(node.name) == FIRST and node.name in large):
            return node.name
    large = [name for name in large if model.child(name).config.get("filters") == STEM_FILTERS]
    return large[0] if len(large) == 1 else None


def _before(model: Node, path: tuple[str, ...], name: str, file: str) -> list[Placed]:
    """The layers from a model's input to one of its layers, without that one."""
    found: list[Placed] = []
    here, seen = model.child(name).inputs, {name}
    while here:
        if len(set(here)) > 1:
            raise StemError(
                f"{file!r}: the layer in front of {name!r} reads several others ({', '.join(here)}), not an image."
            )
        node = next((node for node in model.nodes or () if node.name == here[0]), None)
        if node is None or node.name in seen:
            what = "is not in the file's configuration" if node is None else "reads itself"
            raise StemError(f"{file!r}: the layer {here[0]!r} in front of {name!r} {what}.")
        seen.add(node.name)
        node = without_stack(model, node)
        found.append(Placed(node, path))
        here = node.inputs
    return [part for placed in reversed(found) for part in _parts(placed, file)]


def _parts(placed: Placed, file: str) -> list[Placed]:
    """A layer, or those of a model that stands in front of the ResNet."""
    node = placed.node
    if node.nodes is None or not node.outputs:
        return [placed]
    if len(set(node.outputs)) > 1:
        raise StemError(f"{file!r}: the model {node.name!r} in front of the ResNet has several outputs.")
    path = (*placed.path, node.name)
    end = node.child(node.outputs[0])
    return [*_before(node, path, end.name, file), *_parts(Placed(end, path), file)]


def read_front(
    layers: tuple[Placed, ...],
    channels: int,
    file: str,
    inner: str,
    statistics: Callable[[Placed], tuple[np.ndarray, np.ndarray]],
) -> Front | None:
    """What the layers between input and zero padding do to the pixels; None: nothing.

    Args:
        layers: from the input to the first convolution.
        channels: of the first convolution.
        file, inner: names of the file and of the ResNet in it, for the message.
        statistics: reads mean and variance of an adapted Normalization layer.

    Raises:
        StemError: a layer is not known here.
    """
    scale, offset, told, reverse = np.ones(channels), np.zeros(channels), [], False
    for layer in layers:
        kind = layer.node.kind
        if kind in INACTIVE or (kind == "ZeroPadding2D" and layer is layers[-1]):
            continue
        told.append(f"{layer.node.class_name} {layer.node.name!r}")
        if operation_of(layer.node) == ("reverse", None):
            scale, offset, reverse = scale[::-1], offset[::-1], not reverse
            continue
        factor, shift = _affine(layer, channels, file, inner, statistics)
        scale, offset = scale * factor, offset * factor + shift
    return Front(tuple(scale.tolist()), tuple(offset.tolist()), ", ".join(told), reverse) if told else None


def _affine(
    layer: Placed,
    channels: int,
    file: str,
    inner: str,
    statistics: Callable[[Placed], tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Scale and offset of one layer, one number per channel."""
    kind, config = layer.node.kind, layer.node.config
    try:
        if kind == "Rescaling":
            return _each(_numbers(config["scale"]), channels), _each(_numbers(config.get("offset", 0.0)), channels)
        if kind == "Normalization" and not config.get("invert") and _last_axis(config.get("axis", -1)):
            if config.get("mean") is None:
                mean, variance = statistics(layer)
            else:
                mean, variance = _numbers(config["mean"]), _numbers(config["variance"])
            mean, variance = _each(mean, channels), _each(variance, channels)
            deviation = np.maximum(np.sqrt(variance), EPSILON)
            return 1 / deviation, -mean / deviation
        operation = operation_of(layer.node)
        if operation is not None:
            value = _each(np.asarray(operation[1]), channels)
            return (np.ones(channels), value) if operation[0] == "add" else (value, np.zeros(channels))
    except (ValueError, KeyError, TypeError):  # other values in different places of the image
        pass
    raise StemError(
        f"{file!r}: the layer {layer.node.name!r} ({layer.node.class_name}) is in front of the ResNet, and what it "
        "does to the pixels is not known here. Known are Rescaling, Normalization, preprocess_input, and layers that "
        "do nothing at inference. "
        f"Save the network behind it alone, as in model.get_layer({inner!r}).save('resnet.keras'), and give its "
        "preprocessing as source (model.source in a configuration)."
    )


def _last_axis(axis: Any) -> bool:
    return axis in (None, -1, 3, [], [-1], [3])


def _numbers(value: Any) -> np.ndarray:
    """The numbers of a setting: Keras writes arrays as lists, or as objects with a value."""
    if isinstance(value, dict):
        inner = value.get("config", value)
        value = inner.get("value", value.get("items")) if isinstance(inner, dict) else inner
    return np.asarray(value, np.float64)


def _each(value: np.ndarray, channels: int) -> np.ndarray:
    """One number per channel. Raises ValueError if the values differ along another axis than the last."""
    last = value.shape[-1] if value.ndim else 1
    if value.size not in (1, channels) or value.size != last or not np.isfinite(value).all():
        raise ValueError(value.shape)
    return np.broadcast_to(value.reshape(-1), channels)

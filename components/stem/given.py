"""A whole model from a file: what it does to the pixels in front of its ResNet, and where that is not Keras's own.

Nothing is assumed of a layer that is not known here: the file is refused, with the layer's name.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import keras
import numpy as np

from .anatomy import CONV, sources_of
from .errors import StemError

# They pass their input on at inference.
_INACTIVE = {
    *("InputLayer", "Identity", "ActivityRegularization", "RandomErasing"),
    *("Dropout", "SpatialDropout2D", "AlphaDropout", "GaussianDropout", "GaussianNoise"),
    *("RandomBrightness", "RandomColorJitter", "RandomContrast", "RandomGrayscale", "RandomHue", "RandomSaturation"),
    *("RandomFlip", "RandomRotation", "RandomShear", "RandomTranslation", "RandomZoom"),
    *("RandomGaussianBlur", "RandomSharpness"),
}
# What decides nothing about the answers of a trained layer.
_WITHOUT_EFFECT = {
    *("name", "trainable", "dtype", "seed", "data_format", "batch_shape", "ragged", "sparse", "optional"),
    *("momentum", "synchronized", "renorm", "renorm_clipping", "renorm_momentum"),
}
_ENDINGS_WITHOUT_EFFECT = ("_initializer", "_regularizer", "_constraint", "_lora_rank", "quantization_config")


@dataclasses.dataclass(frozen=True)
class Front:
    """What the layers in front of a ResNet do to raw pixels: source_input[c] = scale[c] * raw[c] + offset[c].

    Attributes:
        scale, offset: one number per channel.
        layers: these layers, as a report names them.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    layers: str


def find_resnet(model: keras.Model) -> tuple[keras.Model, list[keras.layers.Layer]] | None:
    """The (nested) Functional model with the layer conv1_conv, and all layers in front of it; None if there is none.

    Raises:
        StemError: the way from the input to it is not a chain of layers.
    """
    if any(layer.name == CONV for layer in model.layers):
        return model, _before(model, CONV)
    for layer in model.layers:
        found = find_resnet(layer) if isinstance(layer, keras.Model) else None
        if found:
            return found[0], [*_before(model, layer.name), *found[1]]
    return None


def _before(model: keras.Model, name: str) -> list[keras.layers.Layer]:
    """The layers from a model's input to one of its layers, without that one."""
    if isinstance(model, keras.Sequential):
        names = [layer.name for layer in model.layers]
        return [part for layer in model.layers[: names.index(name)] for part in _parts(layer)]
    inputs, found = _graph(model), []
    here = inputs[name]
    while here:
        if len(set(here)) > 1:
            raise StemError(f"The layer in front of {name!r} reads several others ({', '.join(here)}), not an image.")
        layer = model.get_layer(here[0])
        found.append(layer)
        here = inputs[here[0]]
    return [part for layer in reversed(found) for part in _parts(layer)]


def _parts(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """A layer, or those of a model that stands in front of the ResNet."""
    if not isinstance(layer, keras.Model):
        return [layer]
    return [*_before(layer, layer.layers[-1].name), *_parts(layer.layers[-1])]


def _graph(model: keras.Model) -> dict[str, list[str]]:
    """Names of each layer's input layers."""
    return {entry["name"]: sources_of(entry["inbound_nodes"]) for entry in model.get_config()["layers"]}


def read_front(layers: list[keras.layers.Layer], channels: int, file: str, inner: str) -> Front | None:
    """What the layers between input and zero padding do to the pixels; None: nothing.

    Args:
        layers: from the input to the first convolution.
        channels: of the first convolution.
        file, inner: names of the file and of the ResNet in it, for the message.

    Raises:
        StemError: a layer is not known here.
    """
    scale, offset, told = np.ones(channels), np.zeros(channels), []
    for layer in layers:
        kind = type(layer).__name__
        if kind in _INACTIVE or (kind == "ZeroPadding2D" and layer is layers[-1]):
            continue
        factor, shift = _affine(layer, channels, file, inner)
        scale, offset = scale * factor, offset * factor + shift
        told.append(f"{kind} {layer.name!r}")
    return Front(tuple(scale.tolist()), tuple(offset.tolist()), ", ".join(told)) if told else None


def _affine(layer: keras.layers.Layer, channels: int, file: str, inner: str) -> tuple[np.ndarray, np.ndarray]:
    """Scale and offset of a Rescaling or Normalization layer, one number per channel."""
    kind = type(layer).__name__
    try:
        if kind == "Rescaling":
            return _each(layer.scale, channels), _each(layer.offset, channels)
        if kind == "Normalization" and not layer.invert:
            mean, variance = _each(layer.mean, channels), _each(layer.variance, channels)
            deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
            return 1 / deviation, -mean / deviation
    except ValueError:  # other values in different places of the image
        pass
    raise StemError(
        f"{file!r}: the layer {layer.name!r} ({kind}) is in front of the ResNet, and what it does to the pixels is not "
        "known here. Known are Rescaling, Normalization, and layers that do nothing at inference. Save the network "
        f"behind it alone, as in model.get_layer({inner!r}).save('resnet.keras'), and give its preprocessing as source."
    )


def _each(value: Any, channels: int) -> np.ndarray:
    """One number per channel. Raises ValueError if the value has another shape."""
    flat = np.asarray(keras.ops.convert_to_numpy(value), np.float64).reshape(-1)
    if flat.size not in (1, channels):
        raise ValueError(flat.shape)
    return np.broadcast_to(flat, channels)


def with_settings_of(stock: keras.Model, given: keras.Model, file: str) -> keras.Model:
    """The stock network with the given one's settings of its layers: strides, epsilon and others.

    Raises:
        StemError: a layer of the given network is of another kind, or reads other layers.
    """
    ours, theirs = _graph(stock), _graph(given)
    same = dict(zip(_unnamed(given), _unnamed(stock), strict=False))
    theirs = {same.get(name, name): [same.get(one, one) for one in sources] for name, sources in theirs.items()}
    layers = {same.get(layer.name, layer.name): layer for layer in given.layers}
    config, changed = stock.get_config(), False
    for entry in config["layers"]:
        name = entry["name"]
        if entry["class_name"] == "InputLayer" or name not in layers:
            continue
        if type(layers[name]).__name__ != entry["class_name"]:
            kind = type(layers[name]).__name__
            raise StemError(f"{file!r}: the layer {name!r} is a {kind}, in Keras's network a {entry['class_name']}.")
        reads, expected = _through_inactive(name, theirs, layers), set(ours[name])
        if {one for one in expected if one in layers} and reads != expected:
            raise StemError(
                f"{file!r}: the layer {name!r} reads {', '.join(sorted(reads))}, in Keras's network "
                f"{', '.join(sorted(expected))}: this is another network."
            )
        settings = layers[name].get_config()
        for key, value in entry["config"].items():
            if key in _WITHOUT_EFFECT or key.endswith(_ENDINGS_WITHOUT_EFFECT) or key not in settings:
                continue
            if _plain(key, settings[key]) != _plain(key, value):
                entry["config"][key] = settings[key]
                changed = True
    return type(stock).from_config(config) if changed else stock


def _unnamed(model: keras.Model) -> list[str]:
    """The layers whose names Keras counts up in a process, in their order: the pools in the shortcuts of V2."""
    return [layer.name for layer in model.layers if re.fullmatch(r"max_pooling2d(_\d+)?", layer.name)]


def _through_inactive(name: str, graph: dict[str, list[str]], layers: dict[str, keras.layers.Layer]) -> set[str]:
    """The layers that a layer reads, through those that pass their input on."""
    found = set()
    for source in graph[name]:
        while type(layers[source]).__name__ in _INACTIVE - {"InputLayer"} and graph[source]:
            source = graph[source][0]
        found.add(source)
    return found


def _plain(key: str, value: Any) -> Any:
    """A setting in one form: Keras 2 wrote an axis as a list, and tuples are lists in a file."""
    plain = json.loads(json.dumps(value, default=str))
    if key == "axis":
        plain = plain[0] if isinstance(plain, list) else plain
        return 3 if plain == -1 else plain
    return plain


def refuse_not_finite(network: keras.Model, file: str) -> None:
    """Raises StemError if a weight is NaN or infinite."""
    for layer in network.layers:
        for weight in layer.weights:
            if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
                raise StemError(
                    f"{file!r}: the weight {weight.name!r} of the layer {layer.name!r} has values that are NaN or "
                    "infinite. Give a checkpoint of a training that did not diverge."
                )

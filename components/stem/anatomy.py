"""Reads a network: which layers are its stem, and which layers read what the stem makes."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from .errors import StemError

CONV = "conv1_conv"
# Names of the layers this library puts between the input and the padding, and after the convolution.
RESCALE, FIRST, ONES, JOIN, EXTRA_NORM = "stem_rescale", "stem_first", "stem_ones", "stem_join", "stem_bn"
OWN_LAYERS = (RESCALE, FIRST, ONES, JOIN)
_PASS = {"Activation", "ReLU", "ZeroPadding2D", "MaxPooling2D"}


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """The stem of a keras.applications ResNet.

    Attributes:
        family: `V1` (BatchNorm and ReLU right after the first convolution) or `V2`.
        input, pad, conv: names of the layers from the input to the first convolution.
        before: names of the layers between input and padding that this library put there (a network it made).
        constant: the last channel that the convolution reads is the constant one of such a network.
        chain: (name, class, config) of the layers from the convolution to its readers, in order; each
            works channel by channel.
        readers: names of the convolutions that read the last of the chain; None where something else does.
        reader_norms: the BatchNormalization right after a reader, by the reader's name, where there is one.
        kernel: [side, side, channels, filters]; bias: [filters], or None.
        padding: zeros before and after each side. stride: of the first convolution.
        pool: name of the stem's max pool, or None.
    """

    family: str
    input: str
    pad: str
    conv: str
    before: tuple[str, ...]
    constant: bool
    chain: tuple[tuple[str, str, dict[str, Any]], ...]
    readers: tuple[str, ...] | None
    reader_norms: dict[str, str]
    kernel: np.ndarray
    bias: np.ndarray | None
    padding: tuple[int, int]
    stride: int
    pool: str | None

    @property
    def norms(self) -> tuple[str, ...]:
        """Names of the chain's BatchNormalization layers."""
        return tuple(name for name, kind, _ in self.chain if kind == "BatchNormalization")


def read_anatomy(backbone: keras.Model) -> Anatomy:
    """Finds the stem. Raises StemError where `backbone` is not a keras.applications ResNet (V1 or V2)."""
    if not isinstance(backbone, keras.Model):
        raise StemError(f"modify_stem takes a Keras model, not {type(backbone).__name__}.")
    try:
        layers = {entry["name"]: entry for entry in backbone.get_config()["layers"]}
    except (KeyError, TypeError, NotImplementedError):
        layers = {}
    if CONV not in layers:
        inner = [
            layer.name
            for layer in getattr(backbone, "layers", [])
            if isinstance(layer, keras.Model) and any(part.name == CONV for part in layer.layers)
        ]
        hint = f" It holds one, though: give model.get_layer({inner[0]!r})." if inner else ""
        raise StemError(
            f"{backbone.name!r} is not a keras.applications ResNet: it has no layer {CONV!r}.{hint} "
            "ResNet50, ResNet101, ResNet152 and their V2 are understood."
        )
    inputs = {name: _sources(entry["inbound_nodes"]) for name, entry in layers.items()}
    pad = inputs[CONV][0]
    before, first = _back_to_input(inputs, pad)
    if layers[pad]["class_name"] != "ZeroPadding2D" or first is None or layers[first]["class_name"] != "InputLayer":
        raise StemError(
            f"The stem of {backbone.name!r} is not the stock one (input, zero padding, {CONV}), so its preprocessing "
            "is unknown. Give the network as keras.applications builds it (restem.stem.load_backbone does)."
        )
    config = layers[CONV]["config"]
    if config.get("data_format") == "channels_first":
        raise StemError("Only channels_last networks are understood: call keras.config.set_image_data_format first.")
    chain, readers = _follow(layers, inputs)
    conv = backbone.get_layer(CONV).get_weights()
    (top, bottom), (left, right) = _pairs(layers[pad]["config"]["padding"])
    if (top, bottom) != (left, right) or config["kernel_size"][0] != config["kernel_size"][1]:
        raise StemError(f"The first convolution of {backbone.name!r} is not square in kernel and padding.")
    return Anatomy(
        family="V1" if "conv1_bn" in layers else "V2",
        input=first,
        pad=pad,
        conv=CONV,
        before=before,
        constant=JOIN in before,
        chain=chain,
        readers=readers,
        reader_norms={
            reader: name
            for reader in readers or ()
            for name, sources in inputs.items()
            if sources == [reader] and layers[name]["class_name"] == "BatchNormalization"
        },
        kernel=conv[0],
        bias=conv[1] if config["use_bias"] else None,
        padding=(top, bottom),
        stride=config["strides"][0],
        pool=next((name for name, kind, _ in chain if kind == "MaxPooling2D"), None),
    )


def _back_to_input(inputs: dict[str, list[str]], pad: str) -> tuple[tuple[str, ...], str | None]:
    """From the padding back through this library's own layers; the last name is the first foreign one."""
    before: list[str] = []
    here = inputs[pad][:1]
    while here and here[0] in OWN_LAYERS:
        before.append(here[0])
        before += [other for other in inputs[here[0]][1:] if other not in before]
        here = inputs[here[0]][:1]
    if JOIN in before:  # the constant's own layers hang on the side
        before += [name for name in (FIRST, ONES) if name in inputs and name not in before]
    return tuple(before), here[0] if here else None


def _follow(
    layers: dict[str, Any], inputs: dict[str, list[str]]
) -> tuple[tuple[tuple[str, str, dict[str, Any]], ...], tuple[str, ...] | None]:
    """From the first convolution through layers that keep channels apart, to the convolutions that mix them."""
    chain: list[tuple[str, str, dict[str, Any]]] = []
    here = CONV
    while True:
        after = [name for name, sources in inputs.items() if here in sources]
        kinds = {layers[name]["class_name"] for name in after}
        if kinds == {"Conv2D"}:
            return tuple(chain), tuple(after)
        if len(after) != 1 or not kinds <= _PASS | {"BatchNormalization"}:
            return tuple(chain), None
        here = after[0]
        chain.append((here, layers[here]["class_name"], layers[here]["config"]))


def _sources(nodes: Any) -> list[str]:
    """Names of the layers whose outputs a layer takes, from the serialized nodes of a Functional model."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            history = value.get("keras_history")
            if history:
                found.append(history[0])
            else:
                for item in value.values():
                    walk(item)
        elif isinstance(value, (list, tuple)):
            for item in value:
                walk(item)

    walk(nodes)
    return found


def _pairs(padding: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    if isinstance(padding, int):
        return (padding, padding), (padding, padding)
    rows, columns = padding
    return tuple(rows), tuple(columns)

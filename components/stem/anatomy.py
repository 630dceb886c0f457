"""Reads a network: which layers form its stem, and which layers read the stem's output."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from .errors import StemError
from .spec import BACKBONES

CONV, SECOND = "conv1_conv", "conv1_2_conv"  # the second one of a deep stem
# Names of the layers that this library adds between the input and the padding, and after the convolution.
RESCALE, FIRST, ONES, JOIN, EXTRA_NORM = "stem_rescale", "stem_first", "stem_ones", "stem_join", "stem_bn"
OWN_LAYERS = (RESCALE, FIRST, ONES, JOIN)
_PASS = {"Activation", "ReLU", "ZeroPadding2D", "MaxPooling2D"}


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """The stem of a ResNet whose layers have the names of keras.applications.

    Attributes:
        family: `V1` (BatchNorm and ReLU right after the first convolution) or `V2`.
        input, pad, conv: names of the layers from the input to the first convolution.
        before: names of the layers that this library added between input and padding, if it made the network.
        constant: True if the convolution's last input channel is the constant-one channel of such a network.
        chain: (name, class, config) of the layers from the convolution to its readers, in order; each
            works on every channel separately.
        readers: names of the convolutions that read the end of the chain; None if other layers read it, too.
        others: these other layers; the first block of a ResNet18 adds the stem's output to its own.
        reader_norms: the BatchNormalization right after a reader, if there is one, by the reader's name.
        kernel: [side, side, channels, filters]; bias: [filters], or None.
        padding: zeros before and after the image, in height and in width.
        stride: stride of the first convolution.
        pool: name of the stem's max pool, or None.
        pool_pad: name of the zero padding in front of it, or None.
        deep: other convolutions of a deep stem read the first one, up to the max pool.
    """

    family: str
    input: str
    pad: str
    conv: str
    before: tuple[str, ...]
    constant: bool
    chain: tuple[tuple[str, str, dict[str, Any]], ...]
    readers: tuple[str, ...] | None
    others: tuple[str, ...]
    reader_norms: dict[str, str]
    kernel: np.ndarray
    bias: np.ndarray | None
    padding: tuple[int, int]
    stride: int
    pool: str | None
    pool_pad: str | None
    deep: bool

    @property
    def norms(self) -> tuple[str, ...]:
        """Names of the chain's BatchNormalization layers."""
        return tuple(name for name, kind, _ in self.chain if kind == "BatchNormalization")


def has_statistics(norm: keras.layers.BatchNormalization) -> bool:
    """False if a BatchNormalization's statistics are the initial ones, as in a network that was never trained."""
    mean, variance = (keras.ops.convert_to_numpy(one) for one in (norm.moving_mean, norm.moving_variance))
    return not (np.all(mean == 0) and np.all(variance == 1))


def read_anatomy(backbone: keras.Model) -> Anatomy:
    """Finds the stem. Raises StemError if `backbone` is not a ResNet as `load_backbone` loads it."""
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
        hint = f" It contains one: pass model.get_layer({inner[0]!r})." if inner else ""
        raise StemError(
            f"{backbone.name!r} is not a ResNet with the layer names of keras.applications: it has no layer {CONV!r}."
            f"{hint} "
            f"Supported: {', '.join(BACKBONES)}, as restem.stem.load_backbone loads them."
        )
    inputs = {name: sources_of(entry["inbound_nodes"]) for name, entry in layers.items()}
    pad = inputs[CONV][0]
    before, first = _back_to_input(inputs, pad)
    if layers[pad]["class_name"] != "ZeroPadding2D" or first is None or layers[first]["class_name"] != "InputLayer":
        raise StemError(
            f"The stem of {backbone.name!r} is not the stock one (input, zero padding, {CONV}), so its preprocessing "
            "is unknown. Pass the network as keras.applications builds it (restem.stem.load_backbone does this)."
        )
    config = layers[CONV]["config"]
    if config.get("data_format") == "channels_first":
        raise StemError(
            "Only channels_last networks are supported. Call keras.config.set_image_data_format('channels_last') "
            "before you build the network."
        )
    chain, readers, others = _follow(layers, inputs)
    pool, pool_pad, deep = _pool(layers, inputs, chain, readers)
    conv = backbone.get_layer(CONV).get_weights()
    (top, bottom), (left, right) = _pairs(layers[pad]["config"]["padding"])
    if (top, bottom) != (left, right) or config["kernel_size"][0] != config["kernel_size"][1]:
        raise StemError(f"The first convolution of {backbone.name!r} must have a square kernel and square padding.")
    return Anatomy(
        family="V1" if "conv1_bn" in layers else "V2",
        input=first,
        pad=pad,
        conv=CONV,
        before=before,
        constant=JOIN in before,
        chain=chain,
        readers=readers,
        others=others,
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
        pool=pool,
        pool_pad=pool_pad,
        deep=deep,
    )


def _back_to_input(inputs: dict[str, list[str]], pad: str) -> tuple[tuple[str, ...], str | None]:
    """Goes back from the padding through this library's own layers: their names, and the layer before them."""
    before: list[str] = []
    here = inputs[pad][:1]
    while here and here[0] in OWN_LAYERS:
        before.append(here[0])
        before += [other for other in inputs[here[0]][1:] if other not in before]
        here = inputs[here[0]][:1]
    if JOIN in before:  # the layers of the constant-one channel are a side branch
        before += [name for name in (FIRST, ONES) if name in inputs and name not in before]
    return tuple(before), here[0] if here else None


def _pool(
    layers: dict[str, Any],
    inputs: dict[str, list[str]],
    chain: tuple[tuple[str, str, dict[str, Any]], ...],
    readers: tuple[str, ...] | None,
) -> tuple[str | None, str | None, bool]:
    """The stem's max pool, the padding in front of it, and whether further convolutions are between."""
    pool = next((name for name, kind, _ in chain if kind == "MaxPooling2D"), None)
    deep = SECOND in layers
    after = list(readers or ())
    while deep and pool is None and len(after) == 1:  # several layers read the input of the first block
        here = after[0]
        pool = here if layers[here]["class_name"] == "MaxPooling2D" else None
        after = [name for name, sources in inputs.items() if here in sources]
    before = inputs[pool][0] if pool else None
    pad = before if before and layers[before]["class_name"] == "ZeroPadding2D" else None
    return pool, pad, deep


def _follow(
    layers: dict[str, Any], inputs: dict[str, list[str]]
) -> tuple[tuple[tuple[str, str, dict[str, Any]], ...], tuple[str, ...] | None, tuple[str, ...]]:
    """Follows the layers that keep channels separate, from the first convolution to those that mix channels."""
    chain: list[tuple[str, str, dict[str, Any]]] = []
    here = CONV
    while True:
        after = [name for name, sources in inputs.items() if here in sources]
        kinds = {layers[name]["class_name"] for name in after}
        if kinds == {"Conv2D"}:
            return tuple(chain), tuple(after), ()
        if len(after) != 1 or not kinds <= _PASS | {"BatchNormalization"}:
            return tuple(chain), None, tuple(after)
        here = after[0]
        chain.append((here, layers[here]["class_name"], layers[here]["config"]))


def sources_of(nodes: Any) -> list[str]:
    """Names of a layer's input layers, from the serialized nodes of a Functional model."""
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

"""Compares the network in a configuration with the stock one: each layer's place, class and settings."""

from __future__ import annotations

from typing import Any

from ..errors import StemError
from ..given import INACTIVE, Found
from .config import Node
from .layout import FIRST, PAD, Layout, Part
from .names import present_name

# What decides nothing about the answers of a trained layer. Keras 1 and 2 wrote more of this.
_WITHOUT_EFFECT = {
    *("name", "trainable", "dtype", "seed", "data_format", "batch_shape", "ragged", "sparse", "optional"),
    *("momentum", "synchronized", "renorm", "renorm_clipping", "renorm_momentum", "fused", "virtual_batch_size"),
    *(
        "batch_input_shape",
        "batch_size",
        "input_dtype",
        "noise_shape",
        "autocast",
        "build_config",
        "activity_regularizer",
    ),
    *("adjustment", "_keras_shape", "input_spec", "experimental_autocast"),
}
_ENDINGS_WITHOUT_EFFECT = (
    "_initializer",
    "_regularizer",
    "_constraint",
    "lora_rank",  # .keras and .weights.h5 have the kernel with it; in .h5 the shapes differ
    "quantization_config",
    "lora_alpha",
)
# What a setting is if a file of an older Keras does not have it.
_DEFAULTS = {
    **{"use_bias": True, "groups": 1, "dilation_rate": [1, 1], "activation": "linear", "epsilon": 1e-3},
    **{"center": True, "scale": True, "axis": -1, "strides": [1, 1], "padding": "valid"},
}
_ACTIVATIONS = {
    *("linear", "relu", "relu6", "elu", "selu", "tanh", "sigmoid", "softplus", "softsign", "swish", "silu", "gelu"),
    "softmax",
}
MAX_SIZE = 10_000  # of a kernel, stride or padding
_NORMS = {"BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization"}


def compare(found: Found, layout: Layout, file: str) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """The file's layer for each layer of the stock network, and the settings in which they differ.

    Returns:
        names: the file's name of each layer, by the stock name.
        changes: the file's values of the settings that differ, by the stock name.

    Raises:
        StemError: a layer is missing, is of another class, or reads other layers.
    """
    nodes = {node.name: _canonical(node) for node in found.model.node.nodes or ()}
    first = nodes[found.first]
    pad = next(iter(_through_inactive(first, nodes)), "")
    if pad not in nodes or nodes[pad].kind != "ZeroPadding2D":
        what = f"a {nodes[pad].kind}" if pad in nodes else "nothing"
        raise StemError(
            f"{file!r}: the first convolution {found.first!r} reads {what}, in Keras's network a ZeroPadding2D: this "
            "is another network."
        )
    names = {PAD: pad, FIRST: found.first}
    changes: dict[str, dict[str, Any]] = {}
    named = {present_name(name) or name: name for name in nodes}
    free = {name: _through_inactive(node, nodes) for name, node in nodes.items() if name not in (pad, found.first)}
    for part in layout.parts:
        if part.name not in names:
            expected = {names[source] for source in part.inputs}
            name = _partner(part, expected, named, nodes, free, file)
            if name is None and part.name == "pool1_pad":  # Keras before 2.2 pooled without padding
                names[part.name] = names[part.inputs[0]]
                changes[part.name] = {"padding": [[0, 0], [0, 0]]}
                continue
            if name is None:
                raise StemError(
                    f"{file!r} does not contain {layout.backbone}: it has no layer like {part.name!r} ({part.kind}) "
                    f"that reads {', '.join(sorted(expected))}."
                )
            del free[name]
            names[part.name] = name
        differences = _differences(part, nodes[names[part.name]], first, file)
        if differences:
            changes[part.name] = differences
    return names, changes


def _partner(
    part: Part,
    expected: set[str],
    named: dict[str, str],
    nodes: dict[str, Node],
    free: dict[str, set[str]],
    file: str,
) -> str | None:
    """The file's layer for one of the stock network: by its name, or else by its class, size and place."""
    name = named.get(part.name)
    if name in free:
        if nodes[name].kind != part.kind:
            raise StemError(
                f"{file!r}: the layer {name!r} is a {nodes[name].class_name}, in Keras's network a {part.kind}."
            )
        if free[name] != expected:
            raise StemError(
                f"{file!r}: the layer {name!r} reads {', '.join(sorted(free[name]))}, in Keras's network "
                f"{', '.join(sorted(expected))}: this is another network."
            )
        return name
    fits = [
        other
        for other, reads in free.items()
        if reads == expected and nodes[other].kind == part.kind and _same_size(part, nodes[other])
    ]
    if len(fits) > 1:
        raise StemError(f"{file!r}: {' and '.join(fits)} may both be Keras's {part.name!r}: this is another network.")
    return fits[0] if fits else None


def _same_size(part: Part, node: Node) -> bool:
    keys = {"filters", "kernel_size"} & set(part.settings)
    return all(_plain(key, node.config.get(key)) == part.settings[key] for key in keys)


def _through_inactive(node: Node, nodes: dict[str, Node]) -> set[str]:
    """The layers that a layer reads, through those that pass their input on."""
    found = set()
    for source in node.inputs:
        seen = {source}
        while source in nodes and nodes[source].kind in INACTIVE - {"InputLayer"} and nodes[source].inputs:
            source = nodes[source].inputs[0]
            if source in seen:
                break
            seen.add(source)
        found.add(source)
    return found


def _canonical(node: Node) -> Node:
    """A layer under the class with which keras.applications would build it."""
    config = node.config
    if node.kind in _NORMS:
        return _replaced(node, "BatchNormalization", config)
    plain = not config.get("negative_slope") and not config.get("threshold") and config.get("max_value") is None
    if node.kind == "ReLU" and plain:
        return _replaced(node, "Activation", {"activation": "relu"})
    return node


def _replaced(node: Node, kind: str, config: dict[str, Any]) -> Node:
    return Node(node.name, kind, config, node.inputs, node.nodes, node.sequential, node.outputs)


def _differences(part: Part, node: Node, first: Node, file: str) -> dict[str, Any]:
    for key, value in node.config.items():
        known = key in part.settings or key in _WITHOUT_EFFECT or key.endswith(_ENDINGS_WITHOUT_EFFECT)
        if not known and value not in (None, False, [], {}):
            raise StemError(
                f"{file!r}: the layer {node.name!r} has the setting {key}={value!r}, which is not known here."
            )
    found = {}
    channels_first = first.config.get("data_format") == "channels_first"
    for key, stock in part.settings.items():
        if key in ("filters", "kernel_size") and key not in node.config:
            raise StemError(f"{file!r}: the layer {node.name!r} has no setting {key!r}.")
        value = _plain(key, node.config.get(key, _DEFAULTS.get(key, stock)))
        if key == "axis":
            # A network of channels-first images has the same weights.
            value = 3 if value == -1 or (value == 1 and channels_first) else value
        if key == "activation" and not (isinstance(value, str) and value in _ACTIVATIONS):
            raise StemError(f"{file!r}: the layer {node.name!r} has an activation of its own ({value!r:.80}).")
        if isinstance(stock, float) and isinstance(value, (int, float)):
            different = abs(value - stock) > 1e-6 * abs(stock)
        else:
            different = value != stock
        if different:
            if key == "axis" or not _like(value, stock):
                raise StemError(
                    f"{file!r}: the layer {node.name!r} has {key}={value!r:.80}, Keras's network {stock!r}."
                )
            if part.name == FIRST and key == "padding":
                raise StemError(
                    f"{file!r}: the first convolution pads its input itself ({value!r}), Keras's network does not: "
                    "this is another network."
                )
            found[key] = value
    return found


def _like(value: Any, stock: Any) -> bool:
    """Whether a value may be one of this setting, by its type and size."""
    if isinstance(stock, list):
        same = isinstance(value, list) and len(value) == len(stock)
        return same and all(_like(part, other) for part, other in zip(value, stock, strict=True))
    if isinstance(stock, (bool, str)) or isinstance(value, bool):
        return type(value) is type(stock)
    if isinstance(stock, float):
        return isinstance(value, (int, float)) and 0 < value < 1e6
    return isinstance(value, int) and 0 <= value <= MAX_SIZE


def _plain(key: str, value: Any) -> Any:
    """A setting in one form: sizes as pairs, an axis as a number (Keras 2 wrote a list)."""
    if key == "axis" and isinstance(value, list) and len(value) == 1:
        return value[0]
    if key in ("kernel_size", "strides", "dilation_rate", "pool_size") and isinstance(value, int):
        return [value, value]
    if key == "padding" and isinstance(value, str):
        return value.lower()
    if key == "padding" and isinstance(value, int):
        return [[value, value], [value, value]]
    if key == "padding" and isinstance(value, list) and all(isinstance(part, int) for part in value):
        return [[part, part] for part in value]
    if key == "activation" and value is None:
        return "linear"
    return value

"""Reads a network that this library made from a file: its layers are built-in ones, all others are refused."""

from __future__ import annotations

import json
from typing import Any

from .checkpoint.examined import Examined
from .checkpoint.hdf5 import opened, read_tensor
from .checkpoint.match import of_node
from .checkpoint.values import WEIGHTED, refuse_impossible
from .checkpoint.whole import ENTRY
from .errors import StemError
from .given import Placed
from .saved import StemModel

_LAYERS = {
    *("InputLayer", "Rescaling", "Cropping2D", "Concatenate", "ZeroPadding2D", "Conv2D", "BatchNormalization"),
    *("Activation", "Add", "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D"),
    "Dense",
}
_VALUES = {"DTypePolicy", "FloatDTypePolicy", "Policy", "__keras_tensor__", "__numpy__", "__tuple__"}
_NOT_NEEDED = ("_initializer", "_regularizer", "_constraint")


def load_own(found: Examined) -> StemModel:
    """The modified network in a file, with its weights; it is built from checked settings and from no other class.

    Raises:
        StemError: the file has layers that this library does not use, or does not have all weights.
    """
    file = str(found.path)
    assert found.root is not None
    assert found.storage is not None
    raw = _search(json.loads(found.storage.config or ""))
    node = found.root
    for name in found.own_path:
        node = node.child(name)
    try:
        clean = _checked(raw)
        values = {}
        with opened(found.path, found.kind) as weights:
            for child in node.nodes or ():
                if child.class_name in WEIGHTED:
                    stored = of_node(found.storage, found.root, Placed(child, found.own_path), file)
                    values[child.name] = {tensor.role: read_tensor(weights, tensor) for tensor in stored.tensors}
                    kernel = next(iter(values[child.name].values()))
                    if kernel.shape[-1] != child.config.get("filters", child.config.get("units", kernel.shape[-1])):
                        raise ValueError(f"the layer {child.name!r} and its weights differ in size")
        model = StemModel.from_config(clean)
        for layer in model.layers:
            if layer.weights:
                given = values[layer.name]
                positions = all(role.isdigit() for role in given)
                arrays = [*given.values()] if positions else [given[w.name] for w in layer.weights]
                names = [weight.name for weight in layer.weights]
                refuse_impossible(dict(zip(names, arrays, strict=True)), layer.name, file)
                layer.set_weights(arrays)
        return model
    except StemError:
        raise
    except Exception as error:  # Keras has many for settings that contradict each other
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise StemError(f"{file!r} does not contain a network that this library made: {first}.") from error


def _search(value: Any) -> Any:
    """The configuration with this library's report."""
    if isinstance(value, dict):
        if isinstance(value.get(ENTRY), dict) and "report" in value[ENTRY]:
            return value
        value = list(value.values())
    if isinstance(value, list):
        return next((found for item in value if (found := _search(item)) is not None), None)
    return None


def _checked(value: Any, key: str = "") -> Any:
    """A configuration without what a trained network does not need. Raises ValueError for any other class."""
    if key == ENTRY:
        return value
    if isinstance(value, dict):
        kind, module = value.get("class_name"), value.get("module")
        if kind is not None:
            if kind not in _LAYERS | _VALUES:
                raise ValueError(f"it has a {kind!s:.60}")
            if module is not None and str(module).split(".")[0] not in ("keras", "builtins"):
                raise ValueError(f"it has a class of {module!s:.60}")
        return {
            name: None if name == "registered_name" else _checked(part, name)
            for name, part in value.items()
            if not name.endswith(_NOT_NEEDED)
        }
    if isinstance(value, list):
        return [_checked(part) for part in value]
    return value

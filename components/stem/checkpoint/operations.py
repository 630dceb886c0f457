"""Arithmetic with constants in front of a network, as `preprocess_input` leaves it in a model's configuration.

Keras 2 writes TFOpLambda and SlicingOpLambda with the name of TensorFlow's function, Keras 3 its own operations.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .config import Node

_KERAS2 = {
    **{"nn.bias_add": "add", "math.add": "add", "__operators__.add": "add"},
    **{"math.subtract": "subtract", "math.multiply": "multiply", "math.truediv": "divide", "math.divide": "divide"},
    **{"__operators__.getitem": "getitem", "cast": "cast"},
}
_KERAS3 = {
    **{"Add": "add", "Subtract": "subtract", "Multiply": "multiply", "TrueDivide": "divide", "Divide": "divide"},
    **{"GetItem": "getitem", "Cast": "cast"},
}
_ALL = {"start": None, "stop": None, "step": None}
_REVERSED = {"start": None, "stop": None, "step": -1}


_STACKED = object()  # how a layer is called that puts the channels together again in the reverse order


def without_stack(model: Node, node: Node) -> Node:
    """Keras 3 reverses channels by taking each one and stacking them: such a layer then reads their source."""
    taken = [part for name in node.inputs for part in model.nodes or () if part.name == name]
    if node.kind != "Stack" or node.config.get("axis") != -1 or {part.kind for part in taken} != {"GetItem"}:
        return node
    try:
        calls = [part.calls[0] for part in taken]
        places = [call["args"][1][1] for call in calls]
        whole = all(len(part.calls) == 1 and _slice(part.calls[0]["args"][1][0]) == "..." for part in taken)
        channels = {call["args"][0]["config"]["shape"][-1] for call in calls}
        sources = {source for part in taken for source in part.inputs}
        if whole and len(sources) == 1 and channels == {len(taken)} and places == list(range(len(taken)))[::-1]:
            return dataclasses.replace(node, inputs=tuple(sources), calls=_STACKED)
    except (KeyError, TypeError, IndexError, AttributeError):
        pass
    return node


def operation_of(node: Node) -> tuple[str, Any] | None:
    """add, multiply or reverse, with the constant; None if the layer does something else."""
    if node.calls is _STACKED:
        return "reverse", None
    try:
        if node.kind in ("TFOpLambda", "SlicingOpLambda"):
            name = _KERAS2[node.config["function"]]
            ((_, _, _, arguments),) = node.calls
            found = {key: value for key, value in arguments.items() if value is not None and key != "name"}
            if found.get("data_format", "NHWC") != "NHWC":
                return None
            found.pop("data_format", None)
        elif node.kind in _KERAS3:
            name = _KERAS3[node.kind]
            (call,) = node.calls
            first, *rest = call["args"]
            if first["class_name"] != "__keras_tensor__" or len(rest) + len(call["kwargs"]) > 1:
                return None
            found = {**call["kwargs"], **({"y": rest[0]} if rest else {})}
            if name == "cast":  # an operation of its own, with the type in its configuration
                found = {"dtype": node.config.get("dtype")}
        else:
            return None
        if name == "cast":
            return ("multiply", 1.0) if str(next(iter(found.values()), "")).startswith(("float32", "float64")) else None
        (value,) = found.values()
        return _meaning(name, value)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _meaning(name: str, value: Any) -> tuple[str, Any] | None:
    if name == "getitem":
        *before, last = [_slice(part) for part in _items(value)]
        every = before == ["..."] or (before == [_ALL] * 3)
        return ("reverse", None) if every and last == _REVERSED else None
    number = np.asarray(_items(value), np.float64)
    if name in ("add", "subtract"):
        return "add", number if name == "add" else -number
    return "multiply", number if name == "multiply" else 1 / number


def _items(value: Any) -> Any:
    """The value inside Keras's descriptions of tensors, arrays and tuples."""
    if isinstance(value, dict):
        inner = value.get("config", value)
        return _items(inner.get("value", inner.get("items"))) if isinstance(inner, dict) else _items(inner)
    return value


def _slice(part: Any) -> Any:
    if part == "..." or (isinstance(part, dict) and part.get("class_name") == "__ellipsis__"):
        return "..."
    inner = part.get("config", part)
    return {key: inner.get(key) for key in _ALL}

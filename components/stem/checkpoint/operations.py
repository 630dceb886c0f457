"""Arithmetic with constants in front of a network, as `preprocess_input` leaves it in a model's configuration.

Keras 2 writes TFOpLambda and SlicingOpLambda with the name of TensorFlow's function, Keras 3 its own operations.
"""

from __future__ import annotations

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


def operation_of(node: Node) -> tuple[str, Any] | None:
    """add, multiply or reverse, with the constant; None if the layer does something else."""
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

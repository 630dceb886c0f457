"""What stands behind the ResNet in a file, and whether it is one classifier that can be kept."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..given import INACTIVE, Found, Placed
from .config import Node

TOP = "predictions"


@dataclasses.dataclass(frozen=True)
class Head:
    """The layers behind a ResNet.

    Attributes:
        told: a description of each, without those that do nothing at inference.
        dense: the only Dense layer, if the head is average pooling and this layer; else None.
        activation: of the answers.
    """

    told: tuple[str, ...]
    dense: Placed | None
    activation: str


def read_head(root: Node, found: Found, end: str) -> Head:
    """The layers behind the layer `end` of the ResNet, up to the outermost model's output."""
    chain: list[Placed] | None = _behind(found.model.node, found.model.path, end)
    model, path = root, found.model.path
    parents = [(root, ())]
    for name in path:
        model = model.child(name)
        parents.append((model, (*parents[-1][1], name)))  # type: ignore[arg-type]
    for (parent, where), name in zip(reversed(parents[:-1]), reversed(path), strict=True):
        more = _behind(parent, where, name)
        chain = None if chain is None or more is None else chain + more
    if chain is None:
        return Head(("several branches",), None, "")
    active = [placed for placed in chain if placed.node.kind not in INACTIVE]
    kinds = [placed.node.kind for placed in active]
    told = tuple(describe(placed.node) for placed in active)
    simple = kinds[:2] == ["GlobalAveragePooling2D", "Dense"] and not active[0].node.config.get("keepdims")
    last = active[2:]
    if not simple or len(last) > 1 or (last and last[0].node.kind not in ("Activation", "Softmax")):
        return Head(told, None, "")
    activation: Any = active[1].node.config.get("activation") or "linear"
    if last:
        axis = last[0].node.config.get("axis", -1)
        after = "softmax" if last[0].node.kind == "Softmax" else last[0].node.config.get("activation")
        activation = after if activation == "linear" and axis in (-1, 1, [-1], [1]) else None
    if activation not in ("linear", "softmax", "sigmoid"):
        return Head(told, None, "")
    return Head(told, active[1], activation)


def describe(node: Node) -> str:
    units = node.config.get("units")
    return f"{node.class_name} {node.name!r}" + (f" ({units})" if isinstance(units, int) else "")


def _behind(model: Node, path: tuple[str, ...], end: str) -> list[Placed] | None:
    """The chain of layers behind one of a model; None if it branches."""
    found: list[Placed] = []
    here = end
    while True:
        readers = [node for node in model.nodes or () if here in node.inputs]
        if not readers:
            return found if here in model.outputs or not model.outputs else None
        if len(readers) > 1 or len(set(readers[0].inputs)) > 1 or here in model.outputs or len(found) > 1000:
            return None
        node = readers[0]
        if node.nodes is None:
            found.append(Placed(node, path))
        else:
            inner = (*path, node.name)
            starts = [child for child in node.nodes if child.kind == "InputLayer"]
            if node.sequential and node.nodes:
                found += [Placed(child, inner) for child in node.nodes]
            elif len(starts) == 1:
                more = _behind(node, inner, starts[0].name)
                if more is None:
                    return None
                found += more
            else:
                return None
        here = node.name

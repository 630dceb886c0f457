"""A model's configuration in JSON, of Keras 2 and 3, as plain layers. No layer is built, and no class is imported."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

DEPTH = 20  # of models inside models
_KERAS = ("keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras", "builtins")


@dataclasses.dataclass(frozen=True)
class Node:
    """A layer, or a model with its layers.

    Attributes:
        name: of the layer.
        kind: its class, as in Conv2D. A class that is not Keras's own has its package in front: my>Layer.
        config: its settings, as they are in the file.
        inputs: the names of the layers that it reads.
        nodes: the layers of a model, in the file's order; None for a layer.
        sequential: each layer of the model reads the one before.
        outputs: the layers whose output is the model's.
        calls: how the layer is called, as it is in the file.
    """

    name: str
    kind: str
    config: dict[str, Any]
    inputs: tuple[str, ...]
    nodes: tuple[Node, ...] | None = None
    sequential: bool = False
    outputs: tuple[str, ...] = ()
    calls: Any = None

    def child(self, name: str) -> Node:
        return next(node for node in self.nodes or () if node.name == name)

    @property
    def class_name(self) -> str:
        return self.kind.rpartition(">")[2]


def parse(text: str) -> Node | None:
    """The model of a configuration; None if its layers are not in it (a subclassed model).

    Raises:
        ValueError: the text is not such a configuration.
    """
    try:
        data = json.loads(text)
        return _node(data, 0)
    except (RecursionError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"its configuration is not one of a Keras model ({type(error).__name__})") from None


def _node(data: dict[str, Any], depth: int) -> Node | None:
    if depth > DEPTH:
        raise ValueError(f"its configuration has more than {DEPTH} models inside each other")
    config = data["config"]
    if isinstance(config, list):  # a Sequential of Keras 2.0
        config = {"layers": config}
    kind = _kind(data)
    name = str(data.get("name") or config.get("name") or kind)
    inputs = tuple(_sources(data.get("inbound_nodes") or []))
    layers = config.get("layers")
    if not isinstance(layers, list):
        return None if depth == 0 else Node(name, kind, config, inputs, calls=data.get("inbound_nodes"))
    nodes = tuple(node for entry in layers if (node := _node(entry, depth + 1)) is not None)
    rest = {key: value for key, value in config.items() if key != "layers"}
    sequential = "output_layers" not in config
    if sequential:
        nodes = tuple(
            dataclasses.replace(node, inputs=(nodes[place - 1].name,) if place else ())
            for place, node in enumerate(nodes)
        )
        outputs: tuple[str, ...] = (nodes[-1].name,) if nodes else ()
    else:
        outputs = tuple(_sources(config["output_layers"]))
    if len({node.name for node in nodes}) != len(nodes):
        raise ValueError(f"two layers of {name!r} have the same name")
    return Node(name, kind, rest, inputs, nodes, sequential, outputs, data.get("inbound_nodes"))


def _kind(data: dict[str, Any]) -> str:
    """The class; with its package if it is not Keras's."""
    name = str(data["class_name"])
    module, registered = data.get("module"), data.get("registered_name")
    if isinstance(registered, str) and ">" in registered:
        return name if registered.partition(">")[0] in ("keras", "restem") else registered
    if module is not None and str(module).split(".")[0] not in _KERAS and not str(module).startswith(_KERAS):
        return f"{module}>{name}"
    if module is None and "module" in data and registered:
        return f"custom>{name}"
    return name.removeprefix("keras>")


def _sources(value: Any) -> list[str]:
    """Names of the layers that are read: Keras 3's keras_history, or Keras 2's [name, node, tensor, arguments]."""
    found: list[str] = []

    def walk(item: Any) -> None:
        if isinstance(item, dict):
            history = item.get("keras_history")
            if isinstance(history, list):
                found.append(str(history[0]))
            else:
                for part in item.values():
                    walk(part)
        elif isinstance(item, list):
            if _is_tensor(item):
                if item[0] != "_CONSTANT_VALUE":
                    found.append(item[0])
                for part in item[3:]:
                    walk(part)
            else:
                for part in item:
                    walk(part)

    walk(value)
    return found


def _is_tensor(item: list[Any]) -> bool:
    return len(item) >= 3 and isinstance(item[0], str) and all(isinstance(part, int) for part in item[1:2])


def snake(name: str) -> str:
    """As Keras names the groups of a file: its class in snake case (keras.src.utils.naming.to_snake_case)."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()

"""A checkpoint with a configuration: a whole model, or one that this library made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import StemError
from ..given import INACTIVE, Found, Placed, before_model, read_front
from . import hdf5
from .config import Node
from .examined import MAX_CHANNELS, Examined, channels_of, chosen, layouts, of_keras, top_of
from .form import KNOWN
from .hdf5 import Storage, Tensor
from .head import TOP, Head, read_head
from .layout import FIRST, Layout
from .match import arranged, of_node
from .names import present_name
from .settings import compare

ENTRY = "restem"  # of a configuration of a network that this library made


def examine_whole(path: Path, kind: str, storage: Storage, root: Node, found: Found, expected: str | None) -> Examined:
    file = str(path)
    nodes = found.model.node.nodes or ()
    names = {name for node in nodes if (name := present_name(node.name))}
    layout = (
        chosen(file, names, expected) if FIRST in names and len(names) > 1 else _by_structure(file, found, expected)
    )
    mapping, changes = compare(found, layout, file)
    tensors = {}
    for part in layout.weighted:
        stored = of_node(storage, root, Placed(found.model.node.child(mapping[part.name]), found.model.path), file)
        known = changes.get(part.name, {})
        tensors[part.name], _ = arranged(part, stored, known, file, layout.backbone, known=True)
    channels = channels_of(tensors, file)
    head = read_head(root, found, mapping[layout.end])

    def statistics(placed: Placed) -> tuple[np.ndarray, np.ndarray]:
        stored = of_node(storage, root, placed, file)
        if not all(len(shape) <= 1 and shape <= (MAX_CHANNELS,) for shape in stored.shapes()[:2]):
            raise ValueError(stored.shapes())
        with hdf5.opened(path, kind) as weights:
            mean, variance = (hdf5.read_tensor(weights, tensor) for tensor in stored.tensors[:2])
        return mean, variance

    front = read_front(found.before, channels, file, found.model.node.name, statistics)
    if front and nodes[0].config.get("data_format") == "channels_first" and len(set(front.scale + front.offset)) > 2:
        raise StemError(f"{file!r}: layers in front of a ResNet of channels-first images are not known here.")
    classes = _add_top(tensors, changes, storage, root, head, layout, file)
    assumed = [*_training_told(root, found, storage.version), *_precision_told(found)]
    left = [f"the layers behind the ResNet: {', '.join(head.told)}"] if head.told else []
    left += ["the optimizer's state"] if storage.config and "training_config" in storage.config else []
    return of_keras(
        path,
        kind,
        storage,
        whole=True,
        backbone=layout.backbone,
        tensors=tensors,
        changes=changes,
        channels=channels,
        features=layout.features,
        classes=classes,
        front=front,
        left_out=tuple(left),
        assumed=tuple(assumed),
        root=root,
    )


def _training_told(root: Node, found: Found, version: str) -> list[str]:
    """Keras 2 does at inference what a layer does in training, if it is called so. Keras 3 does not."""
    if not version.startswith(("1.", "2.")):
        return []
    nodes, model = [], root
    for name in found.model.path:
        model = model.child(name)
        nodes.append(model)
    nodes += [node for node in model.nodes or () if node.kind == "BatchNormalization"]
    called = [node.name for node in nodes if _calls_training(node.calls)]
    if not called:
        return []
    return [
        f"The model calls {called[0]!r} with training=True, so in Keras {version} its BatchNormalization takes the "
        "statistics of the images at hand. The stored statistics are taken here: the model's own answers are others."
    ]


def _calls_training(calls: Any) -> bool:
    """Whether training=True is among the arguments of a call, as it is in a configuration."""
    if isinstance(calls, dict):
        return calls.get("training") is True or any(map(_calls_training, calls.values()))
    return isinstance(calls, list) and any(map(_calls_training, calls))


def _precision_told(found: Found) -> list[str]:
    given = found.model.node.child(found.first).config.get("dtype")
    policy = given.get("config", {}).get("name") if isinstance(given, dict) else given
    if not isinstance(policy, str) or "float16" not in policy:
        return []
    return [
        f"The model computes in {policy:.40}. The same weights are used here in 32 bits: the model's own answers "
        "differ by its rounding, about 0.001 for float16 and 0.01 for bfloat16."
    ]


def _by_structure(file: str, found: Found, expected: str | None) -> Layout:
    """The stock network that a configuration with other names has the structure of."""
    errors = []
    # The largest first: a smaller network may be the beginning of a larger one.
    for layout in sorted(layouts(expected), key=lambda one: -len(one.parts)):
        try:
            compare(found, layout, file)
            return layout
        except StemError as error:
            errors.append((layout.backbone != expected, error))
    raise min(errors, key=lambda entry: entry[0])[1]


def _add_top(
    tensors: dict[str, dict[str, Tensor]],
    changes: dict[str, dict[str, Any]],
    storage: Storage,
    root: Node,
    head: Head,
    layout: Layout,
    file: str,
) -> int | None:
    """Adds the classifier's tensors, if it is one that include_top can keep; gives its classes."""
    if head.dense is None:
        return None
    stored = of_node(storage, root, head.dense, file)
    top = top_of(stored, layout.features)
    if top is None:
        return None
    tensors[TOP] = top
    changes[TOP] = {"activation": head.activation, "use_bias": len(top) == 2}
    return top["kernel"].shape[1]


def find_own(node: Node, path: tuple[str, ...]) -> tuple[Node, tuple[str, ...]] | None:
    """The network that this library made, in a configuration."""
    entry = node.config.get(ENTRY)
    if isinstance(entry, dict) and "report" in entry and node.nodes is not None:
        return node, path
    found = (find_own(child, (*path, child.name)) for child in node.nodes or () if child.nodes is not None)
    return next((one for one in found if one is not None), None)


def examine_own(path: Path, kind: str, storage: Storage, root: Node, node: Node, where: tuple[str, ...]) -> Examined:
    active = [one.node for one in before_model(root, where, str(path)) if one.node.kind not in INACTIVE]
    if active:
        raise StemError(
            f"{str(path)!r}: the layer {active[0].name!r} ({active[0].class_name}) is in front of a network that this "
            f"library made, whose preprocessing is inside it. Save that network alone, as in "
            f"model.get_layer({where[-1]!r}).save('resnet.keras')."
        )
    known = {name.lower(): name for name in KNOWN}
    channels = node.config[ENTRY]["report"]["input"]["channels"]
    return of_keras(
        path,
        kind,
        storage,
        whole=True,
        backbone=known.get(node.name, node.name),
        tensors={},
        changes={},
        channels=channels if isinstance(channels, int) else 0,
        own=node.config[ENTRY],
        own_path=where,
        root=root,
    )

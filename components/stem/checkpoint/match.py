"""Which stored tensors belong to which layer: by the file's names, by its configuration, or by order and shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import StemError
from ..given import Placed
from .config import Node, snake
from .hdf5 import Storage, Stored, Tensor
from .layout import FIRST, STEM_FILTERS, Layout, Part
from .names import present_name

CONTAINERS = ("layers", "_layer_checkpoint_dependencies")  # Keras 2.16 and 3; Keras 2.12 to 2.15


def nearest(names: set[str], backbones: Iterable[Layout]) -> tuple[Layout, list[str], list[str]]:
    """The stock network whose layers are most like these names, the names that are missing, and those too many."""

    def compared(layout: Layout) -> tuple[Layout, list[str], list[str]]:
        own = [part.name for part in layout.weighted]
        return layout, [name for name in own if name not in names], sorted(names - set(own))

    return min(map(compared, backbones), key=lambda found: len(found[1]) + len(found[2]))


def by_names(storage: Storage, file: str) -> dict[str, Stored] | None:
    """The layers of the only ResNet in the file by their present names; None if the file has no such names.

    Raises:
        StemError: the file has several.
    """
    alone = {layer.container for layer in storage.layers}
    counts = {name: sum(layer.container == name for layer in storage.layers) for name in alone}
    found: dict[str, dict[str, Stored]] = {}
    for layer in storage.layers:
        name = present_name(layer.name or "")
        if name is None:
            continue
        if layer.name == "conv1" and (len(layer.tensors[0].shape) != 4 or layer.tensors[0].shape[:2] != (7, 7)):
            continue
        # A renamed layer of Keras 1 or 2 is in a group of its own, whose tensors have the old name.
        where = "" if storage.by_name and counts[layer.container] == 1 else layer.container
        if name in found.setdefault(where, {}):
            raise StemError(_several(file, [where or "the outermost model"] * 2))
        found[where][name] = layer
    resnets = {where: layers for where, layers in found.items() if FIRST in layers}
    if len(resnets) > 1:
        raise StemError(_several(file, [where or "the outermost model" for where in resnets]))
    return next(iter(resnets.values()), None)


def _several(file: str, where: list[str]) -> str:
    return (
        f"{file!r} contains {len(where)} ResNets (in {', '.join(where)}). Save the one that you want alone, as in "
        "model.get_layer(name).save('resnet.keras')."
    )


def by_order(storage: Storage, layouts: Iterable[Layout]) -> tuple[Layout, dict[str, Stored], list[Stored]] | None:
    """The layers of a file without names, by their order within their class, and by their shapes.

    Returns:
        The layout, its layers, and the file's convolutions and normalisations in front of them; None: nothing fits.
    """
    for container in dict.fromkeys(layer.container for layer in storage.layers):
        layers = [layer for layer in storage.layers if layer.container == container]
        convolutions = [layer for layer in layers if len(layer.tensors[0].shape) == 4]
        norms = [
            layer
            for layer in layers
            if len(layer.tensors) == 4 and len({*layer.shapes()}) == 1 == len(layer.shapes()[0])
        ]
        starts = [place for place, layer in enumerate(convolutions) if layer.tensors[0].shape[:2] == (7, 7)]
        if len(starts) != 1:
            continue
        behind = convolutions[starts[0] :]
        # The largest first: a smaller network's shapes may be the beginning of a larger one's.
        for layout in sorted(layouts, key=lambda one: -len(one.parts)):
            for parts in (layout.weighted, layout.other_order()):
                found = _in_order([part for part in parts if part.kind == "Conv2D"], behind)
                for skip in range(len(norms) + 1) if found else ():
                    more = _in_order([part for part in parts if part.kind != "Conv2D"], norms[skip:])
                    # One of the stem's size stands behind its convolution, where the stock network has none.
                    if more and all(norm.shapes()[0] != (STEM_FILTERS,) for norm in norms[:skip]):
                        return layout, found | more, [*convolutions[: starts[0]], *norms[:skip]]
    return None


def _in_order(parts: list[Part], layers: list[Stored]) -> dict[str, Stored]:
    if len(layers) < len(parts) or not all(_fits(part, layer) for part, layer in zip(parts, layers, strict=False)):
        return {}
    return {part.name: layer for part, layer in zip(parts, layers, strict=False)}


def _fits(part: Part, layer: Stored) -> bool:
    wanted, given = [*part.shapes().values()], [*layer.shapes()]
    if part.name == FIRST and len(given[0]) == 4:
        wanted[0] = (*wanted[0][:2], given[0][2], wanted[0][3])
    return given == wanted or (part.kind == "Conv2D" and given == wanted[:1])


def of_node(storage: Storage, root: Node, placed: Placed, file: str) -> Stored:
    """The stored tensors of one layer of the configuration.

    Raises:
        StemError: there are none, or several.
    """
    found = list(_candidates(storage, root, placed))
    if len(found) != 1:
        what = "no weights" if not found else f"weights in {len(found)} places"
        raise StemError(
            f"{file!r}: it has {what} for the layer {placed.node.name!r} of its configuration. The file may be "
            "incomplete: save the model again."
        )
    return found[0]


def _candidates(storage: Storage, root: Node, placed: Placed) -> Iterator[Stored]:
    name = placed.node.name
    if not storage.by_name:
        for attribute in CONTAINERS:
            place = _place(root, placed, attribute)
            yield from (layer for layer in storage.layers if (layer.container, layer.kind, layer.number) == place)
        return
    if not placed.path:
        own = [layer for layer in storage.layers if not layer.container and layer.name == name]
        yield from own or [layer for layer in storage.layers if layer.container == name]
        return
    group = [layer for layer in storage.layers if layer.container == placed.path[0]]
    # A model with a single layer with weights looks like a layer.
    group += [layer for layer in storage.layers if not layer.container and layer.name == placed.path[0]]
    exact = [layer for layer in group if layer.name == name]
    counted = re.compile(re.escape(name) + r"_\d+")
    yield from exact or [layer for layer in group if counted.fullmatch(layer.name or "")]


def _place(root: Node, placed: Placed, attribute: str) -> tuple[str, str, int]:
    """Container, class and count of a layer in the format of .weights.h5."""
    model, container = root, attribute
    for name in placed.path:
        kind, number = _counted(model, name)
        container = f"{container}/{kind}{f'_{number}' if number else ''}/{attribute}"
        model = model.child(name)
    return container, *_counted(model, placed.node.name)


def _counted(model: Node, name: str) -> tuple[str, int]:
    counts: dict[str, int] = {}
    for node in model.nodes or ():
        kind = snake(node.class_name)
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        if node.name == name:
            return kind, number
    raise KeyError(name)


def arranged(
    part: Part, stored: Stored, changes: dict[str, Any], file: str, backbone: str, known: bool
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of one layer by their role, and what its settings must be for them.

    Args:
        changes: the file's settings that differ from the stock ones.
        known: the settings are known; otherwise a missing bias means that there is none.

    Raises:
        StemError: the shapes are not those of the layer.
    """
    roles = [tensor.role for tensor in stored.tensors]
    changes = dict(changes)
    if part.kind == "Conv2D" and not known and len(roles) in (1, 2) and (len(roles) == 2) != part.settings["use_bias"]:
        changes["use_bias"] = len(roles) == 2
    if (
        part.kind == "BatchNormalization"
        and not known
        and set(roles) <= {"gamma", "beta", "moving_mean", "moving_variance"}
    ):
        changes |= {key: False for key, role in {"scale": "gamma", "center": "beta"}.items() if role not in roles}
    wanted = part.shapes(changes)
    given = dict(zip(roles, stored.tensors, strict=True))
    if set(given) != set(wanted) and len(given) == len(wanted) and all(role.isdigit() for role in roles):
        given = dict(zip(wanted, stored.tensors, strict=True))
    shapes = {role: tensor.shape for role, tensor in given.items()}
    if part.name == FIRST and shapes.get("kernel", ())[:2] == wanted["kernel"][:2] and len(shapes["kernel"]) == 4:
        wanted["kernel"] = (*wanted["kernel"][:2], shapes["kernel"][2], wanted["kernel"][3])
    if shapes != wanted:
        kernel, stock = shapes.get("kernel"), wanted.get("kernel")
        torch = kernel is not None and stock is not None and kernel[2:] == stock[:2] and kernel[:1] == stock[3:]
        hint = (
            " Its kernels are in the order of PyTorch and Theano (filters first): transpose them by (2, 3, 1, 0)."
            if torch
            else " Give a checkpoint of the unmodified network."
        )
        raise StemError(
            f"{file!r}: the weights of {stored.name or part.name!r} have shapes {[*shapes.values()]}, but a stock "
            f"{backbone} has {[*wanted.values()]}.{hint}"
        )
    return {role: given[role] for role in wanted}, changes

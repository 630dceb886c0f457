"""Looks at a checkpoint: what it holds, which tensors would be taken, what is left out, and what must be assumed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import StemError
from ..given import INACTIVE, Found, Front, Placed, before_model, find_resnet, read_front
from . import config, formats, hdf5
from .config import Node
from .head import TOP, Head, read_head
from .hdf5 import Storage, Stored, Tensor
from .layout import BLOCKS, EPSILON, FIRST, Layout, layout_of
from .match import arranged, by_names, by_order, nearest, of_node
from .names import is_old, other_family, present_name
from .settings import compare

ENTRY = "restem"  # of a configuration of a network that this library made
MAX_CHANNELS = 4096
OLD_EPSILON = 1e-3
_FORMATS = {
    (formats.ARCHIVE, True): "Keras archive (.keras)",
    (formats.FOLDER, True): "folder of a Keras archive",
    (formats.HDF5, True): "whole model in HDF5 (.h5)",
    (formats.HDF5, False): "weights in HDF5",
}


@dataclasses.dataclass(frozen=True)
class Examined:
    """A checkpoint of a stock ResNet, as far as its names, shapes and configuration say.

    Attributes:
        path, kind: the file, and how it is opened.
        format, framework: in words.
        backbone: the name of the stock network.
        tensors: the tensors of each layer, by the stock name and the role, in Keras's order.
        changes: the settings that differ from the stock ones, by layer.
        channels: of the first convolution.
        features: of the last layer.
        classes: of the classifier that `include_top` keeps; None if there is none.
        front: what the file's layers do to the pixels; None: nothing.
        unsure: why the preprocessing cannot be known; '' if Keras's convention is the natural assumption.
        left_out: what of the file is not taken.
        assumed: what the file does not say, and what is assumed.
        own: the report of a network that this library made, or None; then tensors are empty.
        own_path: the models that it is inside.
    """

    path: Path
    kind: str
    format: str
    framework: str
    backbone: str
    tensors: dict[str, dict[str, Tensor]]
    changes: dict[str, dict[str, Any]]
    channels: int
    features: int
    classes: int | None
    front: Front | None
    unsure: str
    left_out: tuple[str, ...]
    assumed: tuple[str, ...]
    own: dict[str, Any] | None = None
    own_path: tuple[str, ...] = ()
    root: Node | None = None
    storage: Storage | None = None


def examine(path: Path, backbone: str | None = None) -> Examined:
    """Looks at a checkpoint without reading more of its tensors than those of a Normalization layer.

    Args:
        path: of the file.
        backbone: the network that is expected; None: any of the stock ones.

    Raises:
        StemError: the file is damaged, of a format that is not read, or holds another network.
    """
    kind = formats.recognise(path)
    try:
        storage = hdf5.read_storage(path, kind)
        root = config.parse(storage.config) if storage.config else None
        if storage.backend == "theano":
            raise StemError(
                f"{str(path)!r} was written by Keras with Theano, whose kernels are flipped. Save it with TensorFlow."
            )
        own = _own(root, ()) if root else None
        if own and root:
            return _of_own(path, kind, storage, root, *own)
        found = find_resnet(root, str(path)) if root else None
        if root and not found:
            raise _no_resnet(path, storage)
        if root and found:
            return _whole(path, kind, storage, root, found, backbone)
        return _weights(path, kind, storage, backbone)
    except hdf5.ERRORS as error:
        if isinstance(error, StemError):
            raise
        raise formats.damaged(path, error) from None


def _framework(storage: Storage) -> str:
    if storage.version:
        return f"Keras {storage.version}"
    if storage.by_name:
        return "Keras"
    return "Keras 3" if any(layer.name for layer in storage.layers) else "Keras 2.12 to 3.5"


def _own(node: Node, path: tuple[str, ...]) -> tuple[Node, tuple[str, ...]] | None:
    """The network that this library made, in a configuration."""
    entry = node.config.get(ENTRY)
    if isinstance(entry, dict) and "report" in entry and node.nodes is not None:
        return node, path
    found = (_own(child, (*path, child.name)) for child in node.nodes or () if child.nodes is not None)
    return next((one for one in found if one is not None), None)


def _of_own(
    path: Path, kind: str, storage: Storage, root: Node, node: Node, where: tuple[str, ...]
) -> Examined:
    active = [one.node for one in before_model(root, where, str(path)) if one.node.kind not in INACTIVE]
    if active:
        raise StemError(
            f"{str(path)!r}: the layer {active[0].name!r} ({active[0].class_name}) is in front of a network that this "
            f"library made, whose preprocessing is inside it. Save that network alone, as in "
            f"model.get_layer({where[-1]!r}).save('resnet.keras')."
        )
    known = {name.lower(): name for name in BLOCKS}
    channels = node.config[ENTRY]["report"]["input"]["channels"]
    return Examined(
        path,
        kind,
        _FORMATS[kind, True],
        _framework(storage),
        known.get(node.name, node.name),
        {},
        {},
        channels if isinstance(channels, int) else 0,
        0,
        None,
        None,
        "",
        (),
        (),
        node.config[ENTRY],
        where,
        root,
        storage,
    )


def _no_resnet(path: Path, storage: Storage) -> StemError:
    names = {layer.name or "" for layer in storage.layers} | {layer.container for layer in storage.layers}
    family = other_family(names)
    seen = f": it is a {family}" if family else f" (no layer {FIRST!r})"
    wrapped = f'"{FIRST}"' in (storage.config or "")
    hint = (
        " A layer with that name is inside another layer (such as TimeDistributed): save the ResNet alone."
        if wrapped
        else f" Supported are {', '.join(BLOCKS)}."
    )
    return StemError(f"{str(path)!r} contains no keras.applications ResNet{seen}.{hint}")


def _layouts(backbone: str | None, channels: int = 3) -> list[Layout]:
    # The expected one last: if nothing fits, the message names the first of the nearest.
    names = sorted(BLOCKS, key=lambda name: name != backbone)
    return [layout_of(name, channels) for name in names]


def _whole(path: Path, kind: str, storage: Storage, root: Node, found: Found, expected: str | None) -> Examined:
    file = str(path)
    nodes = found.model.node.nodes or ()
    names = {name for node in nodes if (name := present_name(node.name))}
    layout = _chosen(file, names, expected) if FIRST in names and len(names) > 1 else _by_structure(file, found, expected)
    mapping, changes = compare(found, layout, file)
    tensors = {}
    for part in layout.weighted:
        stored = of_node(storage, root, Placed(found.model.node.child(mapping[part.name]), found.model.path), file)
        known = changes.get(part.name, {})
        tensors[part.name], _ = arranged(part, stored, known, file, layout.backbone, known=True)
    channels = _channels(tensors, file)
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
    left = [f"the layers behind the ResNet: {', '.join(head.told)}"] if head.told else []
    left += ["the optimizer's state"] if storage.config and "training_config" in storage.config else []
    return Examined(
        path,
        kind,
        _FORMATS[kind, True],
        _framework(storage),
        layout.backbone,
        tensors,
        changes,
        channels,
        layout.features,
        classes,
        front,
        "",
        tuple(left),
        (),
        root=root,
        storage=storage,
    )


def _chosen(file: str, names: set[str], expected: str | None) -> Layout:
    """The stock network with exactly these names of convolutions and BatchNormalizations."""
    layout, missing, extra = nearest(names, _layouts(expected))
    if not missing and not extra:
        return layout
    if expected:
        layout, missing, extra = nearest(names, [layout_of(expected)])
    start = f"{file!r} does not contain {layout.backbone}" if expected else f"{file!r} contains no stock ResNet"
    if not expected:
        start += f"; compared with {layout.backbone}"
    what = (
        f"{len(missing)} layer(s) are missing, the first is {missing[0]!r}"
        if missing
        else f"it has {len(extra)} layer(s) too many, the first is {extra[0]!r}"
    )
    raise StemError(f"{start}: {what}. Supported are {', '.join(BLOCKS)}.")


def _by_structure(file: str, found: Found, expected: str | None) -> Layout:
    """The stock network that a configuration with other names has the structure of."""
    errors = []
    # The largest first: a smaller network may be the beginning of a larger one.
    for layout in sorted(_layouts(expected), key=lambda one: -len(one.parts)):
        try:
            compare(found, layout, file)
            return layout
        except StemError as error:
            errors.append((layout.backbone != expected, error))
    raise min(errors, key=lambda entry: entry[0])[1]


def _channels(tensors: dict[str, dict[str, Tensor]], file: str) -> int:
    channels = tensors[FIRST]["kernel"].shape[2]
    if not 1 <= channels <= MAX_CHANNELS:
        raise StemError(f"{file!r}: its first convolution declares {channels} channels (allowed: 1 to {MAX_CHANNELS}).")
    return channels


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
    top = _top(stored, layout.features)
    if top is None:
        return None
    tensors[TOP] = top
    changes[TOP] = {"activation": head.activation, "use_bias": len(top) == 2}
    return top["kernel"].shape[1]


def _top(stored: Stored, features: int) -> dict[str, Tensor] | None:
    shapes = stored.shapes()
    if not shapes or len(shapes[0]) != 2 or shapes[0][0] != features or shapes[1:] not in ((), (shapes[0][1:],)):
        return None
    return dict(zip(("kernel", "bias"), stored.tensors, strict=False))


def _weights(path: Path, kind: str, storage: Storage, expected: str | None) -> Examined:
    """A file with weights alone."""
    file = str(path)
    if not storage.layers:
        raise StemError(f"{file!r} contains no weights in one of Keras's formats.")
    assumed = []
    named = by_names(storage, file)
    ahead: list[Stored] = []
    if named:
        layout = _chosen(file, set(named), expected)
    else:
        ordered = by_order(storage, [layout_of(name) for name in BLOCKS])
        if ordered is None:
            raise _other_network(file, storage, expected)
        layout, named, ahead = ordered
        assumed.append(
            "The file does not name its layers: they are matched by their order and shapes, which fit "
            f"{layout.backbone} in every layer."
        )
    tensors, changes = {}, {}
    for part in layout.weighted:
        tensors[part.name], changed = arranged(part, named[part.name], {}, file, layout.backbone, known=False)
        if changed:
            changes[part.name] = changed
    old = [part.name for part in layout.weighted if is_old(named[part.name].name or "")]
    if old:
        for part in layout.parts:
            if part.kind == "BatchNormalization":
                changes[part.name] = {**changes.get(part.name, {}), "epsilon": OLD_EPSILON}
    without = sum("use_bias" in change for change in changes.values())
    if without:
        assumed.append(f"{without} convolutions differ from Keras's network in having a bias or not; this is kept.")
    assumed.append(_settings_told(layout, bool(old)))
    taken = {id(stored) for stored in named.values()}
    left = [stored for stored in storage.layers if id(stored) not in taken]
    channels = _channels(tensors, file)
    dense = [stored for stored in left if len(stored.tensors[0].shape) == 2]
    classes = None
    top = _top(dense[0], layout.features) if len(dense) == 1 else None
    if top is not None:
        classes, tensors[TOP] = top["kernel"].shape[1], top
        changes[TOP] = {"activation": "softmax", "use_bias": len(top) == 2}
        assumed.append("If the classifier is kept: average pooling in front of it, and softmax behind it.")
    told = [_told(stored) for stored in left if stored.tensors]
    unsure = _unsure(storage, named[FIRST], left, ahead, channels)
    if storage.config is not None:
        unsure = "the model is of a class of its own, and its configuration does not say what is in front of the ResNet"
    return Examined(
        path,
        kind,
        _FORMATS[kind, storage.config is not None] + ("" if storage.config is None else ", of a class of its own"),
        _framework(storage),
        layout.backbone,
        tensors,
        changes,
        channels,
        layout.features,
        classes,
        None,
        unsure,
        (f"other layers with weights: {', '.join(told[:12])}{', ...' if len(told) > 12 else ''}",) if told else (),
        tuple(assumed),
        storage=storage,
    )


def _settings_told(layout: Layout, old: bool) -> str:
    epsilon = OLD_EPSILON if old else EPSILON
    why = "the value of the Keras versions with these layer names" if old else "Keras's"
    where = "the 3x3 convolution" if layout.backbone.endswith("V2") else "the first 1x1 convolution (not v1.5's 3x3)"
    return (
        f"The file has no settings. Assumed are those of Keras's {layout.backbone}: the stride of a stage in {where}, "
        f"BatchNormalization with an epsilon of {epsilon:g} ({why}), and its padding and pooling. If the network had "
        "others, save the whole model with model.save()."
    )


# Classes that mostly stand in front of a network, in the form that has no names.
_SUSPECTS = {
    *("rescaling", "normalization", "lambda", "tf_op_lambda", "slicing_op_lambda", "resizing", "center_crop"),
    *("get_item", "true_divide", "divide", "subtract", "multiply"),
}


def _told(stored: Stored) -> str:
    return f"{stored.name or stored.kind} {'x'.join(map(str, stored.tensors[0].shape)) or 'number'}"


def _unsure(storage: Storage, first: Stored, left: list[Stored], ahead: list[Stored], channels: int) -> str:
    """Why layers in front of the ResNet may have changed its input; '' if nothing in the file points to them."""
    found = [_told(stored) for stored in ahead]
    for stored in left:
        shapes = stored.shapes()
        dense = len(shapes[0]) == 2
        if not dense and stored not in ahead and any(shape[-1:] == (channels,) for shape in shapes):
            found.append(_told(stored))
    place = first.container or first.name
    if storage.by_name and place in storage.order:
        before = storage.order[: storage.order.index(place)]
        inactive = tuple(config.snake(kind) for kind in INACTIVE)
        quiet = (*inactive, "input", "conv1_pad", "zero_padding2d")
        found += [name for name in before if not name.startswith(quiet) and name not in {s.name for s in left}]
    found += [_told(stored) for stored in left if stored.kind in _SUSPECTS and _told(stored) not in found]
    found += [kind for container, kind in storage.empty if kind in _SUSPECTS and first.container.startswith(container)]
    if not found:
        return ""
    return (
        f"the file has layers that may stand in front of the ResNet ({', '.join(dict.fromkeys(found))}), and weights alone "
        "do not say what they do to the pixels"
    )


def _other_network(file: str, storage: Storage, expected: str | None) -> StemError:
    names = {layer.name or "" for layer in storage.layers}
    large = [t.shape for layer in storage.layers for t in layer.tensors if len(t.shape) == 4 and t.shape[:2] == (7, 7)]
    convolutions = sum(len(layer.tensors[0].shape) == 4 for layer in storage.layers)
    family = other_family(names)
    if family:
        what = f"it looks like a {family}"
    elif len(large) != 1:
        what = f"expected one 7x7 convolution, found {len(large)}"
    else:
        wanted = {len([p for p in layout_of(n).parts if p.kind == "Conv2D"]): n for n in reversed(BLOCKS)}
        close = wanted.get(convolutions)
        what = f"it has {convolutions} convolutions, " + (
            f"as many as {close}, but other shapes or another order" if close else "as many as none of them"
        )
    return StemError(
        f"{file!r} contains no stock ResNet{f' and so no {expected}' if expected else ''}: {what}. Supported are "
        f"{', '.join(BLOCKS)}."
    )



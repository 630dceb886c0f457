"""A checkpoint with weights alone: what its names and shapes say, and what must be assumed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ..errors import StemError
from ..given import INACTIVE
from . import config
from .examined import Examined, channels_of, chosen, of_keras, top_of
from .hdf5 import Storage, Stored
from .head import TOP
from .layers_without import unpadded_pool
from .layout import BLOCKS, EPSILON, FIRST, Layout, layout_of
from .match import arranged, by_names, by_order
from .names import is_old, other_family

OLD_EPSILON = 1e-3


def examine_weights(path: Path, kind: str, storage: Storage, expected: str | None) -> Examined:
    """A file with weights alone."""
    file = str(path)
    if not storage.layers:
        raise StemError(f"{file!r} contains no weights in one of Keras's formats.")
    assumed = []
    family = other_family({layer.name or "" for layer in storage.layers})
    named = by_names(storage, file)
    ahead: list[Stored] = []
    if named:
        layout = chosen(file, set(named), expected)
    else:
        ordered = None if family else by_order(storage, [layout_of(name) for name in BLOCKS])
        if ordered is None:
            raise _other_network(file, storage, expected)
        layout, named, ahead = ordered
        assumed.append(
            "The file does not name its layers: they are matched by their order and shapes, which fit "
            f"{layout.backbone} in every layer."
        )
    old = any(is_old(named[part.name].name or "") for part in layout.weighted)
    unpadded = unpadded_pool(storage, named[FIRST], layout, old, file)
    tensors, changes = {}, {}
    for part in layout.weighted:
        tensors[part.name], changed = arranged(part, named[part.name], {}, file, layout.backbone, known=False)
        if changed:
            changes[part.name] = changed
    if unpadded:
        changes["pool1_pad"] = {"padding": [[0, 0], [0, 0]]}
        assumed.append("The file lists no padding in front of the max pool, as in Keras 2.0: so it pools without one.")
    if old:
        for part in layout.parts:
            if part.kind == "BatchNormalization":
                changes[part.name] = {**changes.get(part.name, {}), "epsilon": OLD_EPSILON}
    without = sum("use_bias" in change for change in changes.values())
    if without:
        assumed.append(f"{without} convolutions differ from Keras's network in having a bias or not; this is kept.")
    assumed.append(_settings_told(layout, old))
    taken = {id(stored) for stored in named.values()}
    left = [stored for stored in storage.layers if id(stored) not in taken]
    channels = channels_of(tensors, file)
    dense = [stored for stored in left if len(stored.tensors[0].shape) == 2]
    classes = None
    top = top_of(dense[0], layout.features) if len(dense) == 1 else None
    if top is not None:
        classes, tensors[TOP] = top["kernel"].shape[1], top
        changes[TOP] = {"activation": "softmax", "use_bias": len(top) == 2}
        assumed.append("If the classifier is kept: average pooling in front of it, and softmax behind it.")
    told = [_told(stored) for stored in left if stored.tensors]
    unsure = _unsure(storage, named[FIRST], left, ahead, channels)
    if storage.config is not None:
        unsure = "the model is of a class of its own, and its configuration does not say what is in front of the ResNet"
    left_out = f"other layers with weights: {', '.join(told[:12])}{', ...' if len(told) > 12 else ''}"
    whole = storage.config is not None
    found = of_keras(
        path,
        kind,
        storage,
        whole=whole,
        backbone=layout.backbone,
        tensors=tensors,
        changes=changes,
        channels=channels,
        features=layout.features,
        classes=classes,
        unsure=unsure,
        left_out=(left_out,) if told else (),
        assumed=tuple(assumed),
    )
    return dataclasses.replace(found, format=f"{found.format}, of a class of its own") if whole else found


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
        f"the file has layers that may stand in front of the ResNet ({', '.join(dict.fromkeys(found))}), and weights "
        "alone do not say what they do to the pixels"
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

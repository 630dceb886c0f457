"""The result of a look at a checkpoint, and what whole models and weights alone have in common."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ..errors import StemError
from ..given import Front
from . import formats
from .config import Node
from .form import KNOWN, known_layout
from .hdf5 import Storage, Stored, Tensor
from .layout import FIRST, Layout
from .match import nearest

MAX_CHANNELS = 4096
FORMATS = {
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
    features: int = 0
    classes: int | None = None
    front: Front | None = None
    unsure: str = ""
    left_out: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    own: dict[str, Any] | None = None
    own_path: tuple[str, ...] = ()
    root: Node | None = None
    storage: Storage | None = None
    described: Any = None  # of a network in PyTorch's form, see pytorch.py and hub.py


def framework(storage: Storage) -> str:
    if storage.version:
        return f"Keras {storage.version}"
    if storage.by_name:
        return "Keras"
    return "Keras 3" if any(layer.name for layer in storage.layers) else "Keras 2.12 to 3.5"


def of_keras(path: Path, kind: str, storage: Storage, *, whole: bool, **found: Any) -> Examined:
    """What was found in a file of Keras's: a whole model, or weights alone. `found`: the other fields."""
    told = {"format": FORMATS[kind, whole], "framework": framework(storage)}
    return Examined(path=path, kind=kind, storage=storage, **{**told, **found})


def layouts(backbone: str | None, channels: int = 3) -> list[Layout]:
    # The expected one last: if nothing fits, the message names the first of the nearest.
    names = sorted(KNOWN, key=lambda name: name != backbone)
    return [known_layout(name, channels) for name in names]


def chosen(file: str, names: set[str], expected: str | None) -> Layout:
    """The stock network with exactly these names of convolutions and BatchNormalizations."""
    layout, missing, extra = nearest(names, layouts(expected))
    if not missing and not extra:
        return layout
    if expected:
        layout, missing, extra = nearest(names, [known_layout(expected)])
    start = f"{file!r} does not contain {layout.backbone}" if expected else f"{file!r} contains no stock ResNet"
    if not expected:
        start += f"; compared with {layout.backbone}"
    what = (
        f"{len(missing)} layer(s) are missing, the first is {missing[0]!r}"
        if missing
        else f"it has {len(extra)} layer(s) too many, the first is {extra[0]!r}"
    )
    raise StemError(f"{start}: {what}. Supported are {', '.join(KNOWN)}.")


def channels_of(tensors: dict[str, dict[str, Tensor]], file: str) -> int:
    channels = tensors[FIRST]["kernel"].shape[2]
    if not 1 <= channels <= MAX_CHANNELS:
        raise StemError(f"{file!r}: its first convolution declares {channels} channels (allowed: 1 to {MAX_CHANNELS}).")
    return channels


def top_of(stored: Stored, features: int) -> dict[str, Tensor] | None:
    shapes = stored.shapes()
    if any(tensor.whole_numbers for tensor in stored.tensors):  # quantised: the second one may be its scale
        return None
    if not shapes or len(shapes[0]) != 2 or shapes[0][0] != features or shapes[1:] not in ((), (shapes[0][1:],)):
        return None
    return dict(zip(("kernel", "bias"), stored.tensors, strict=False))

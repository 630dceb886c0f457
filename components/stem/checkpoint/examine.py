"""Looks at a checkpoint: what it holds, which tensors would be taken, what is left out, and what must be assumed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ..errors import StemError
from ..given import find_resnet
from . import config, formats, hdf5, hub
from .examined import Examined
from .form import KNOWN, OTHERS
from .hdf5 import Storage
from .layout import FIRST
from .names import other_family
from .pytorch import examine_pytorch
from .weights import examine_weights
from .whole import examine_own, examine_whole, find_own


def examine(path: Path, backbone: str | None = None) -> Examined:
    """Looks at a checkpoint without reading more of its tensors than those of a Normalization layer.

    Args:
        path: of the file.
        backbone: the network that is expected; None: any of the stock ones.

    Raises:
        StemError: the file is damaged, of a format that is not read, or holds another network.
    """
    hub.refuse_online(str(path))
    kind = formats.recognise(path)
    if kind in (formats.SAFETENSORS, formats.TORCH):
        return examine_pytorch(path, kind)
    try:
        path, kind = hub.folder_of(path, kind)
        storage = hdf5.read_storage(path, kind)
        if hub.backbone_of(storage.config):
            return hub.examine_hub(path, kind, storage)
        root = config.parse(storage.config) if storage.config else None
        if storage.backend == "theano":
            raise StemError(
                f"{str(path)!r} was written by Keras with Theano, whose kernels are flipped. Save it with TensorFlow."
            )
        own = find_own(root, ()) if root else None
        if own and root:
            return examine_own(path, kind, storage, root, *own)
        found = find_resnet(root, str(path)) if root else None
        if root and not found:
            raise _no_resnet(path, storage)
        if root and found:
            return _asked(examine_whole(path, kind, storage, root, found, backbone))
        hub.refuse_weights_alone(storage, str(path))
        return _asked(examine_weights(path, kind, storage, backbone))
    except hdf5.ERRORS as error:
        if isinstance(error, StemError):
            raise
        raise formats.damaged(path, error) from None


def _asked(found: Examined) -> Examined:
    """Keras's convention is assumed only for networks that Keras trained."""
    if found.backbone not in OTHERS or found.front or found.unsure:
        return found
    return dataclasses.replace(
        found, unsure=f"keras.applications has no {found.backbone}, and so no convention for its preprocessing"
    )


def _no_resnet(path: Path, storage: Storage) -> StemError:
    names = {layer.name or "" for layer in storage.layers} | {layer.container for layer in storage.layers}
    family = other_family(names)
    seen = f": it is a {family}" if family else f" (no layer {FIRST!r})"
    wrapped = f'"{FIRST}"' in (storage.config or "")
    hint = (
        " A layer with that name is inside another layer (such as TimeDistributed): save the ResNet alone."
        if wrapped
        else f" Supported are {', '.join(KNOWN)}."
    )
    return StemError(f"{str(path)!r} contains no keras.applications ResNet{seen}.{hint}")

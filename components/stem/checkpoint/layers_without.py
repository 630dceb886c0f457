"""The layers without weights that a file of weights lists: they tell Keras's networks from others of the same shapes.

Weights alone do not say how a network pads and pools. Keras writes the names, or the number, of its padding and pooling
layers too, if the ResNet is the outermost model; inside another one, the format of Keras 1 and 2 leaves them out.
"""

from __future__ import annotations

from ..errors import StemError
from . import config
from .hdf5 import Storage, Stored
from .layout import BLOCKS, Layout

_AT_THE_END = ("avg", "average", "global")  # in the names of pools that are not the stem's


def unpadded_pool(storage: Storage, first: Stored, layout: Layout, old: bool, file: str) -> bool:
    """Compares the padding and pooling layers that the file lists with those of the stock network.

    Args:
        first: the first convolution.
        old: the layers have Keras 2.0's names.

    Returns:
        The file has no padding in front of the max pool, as Keras 2.0's network.

    Raises:
        StemError: they are those of another network.
    """
    counts = _listed(storage, first)
    if layout.backbone not in BLOCKS or counts is None:
        return False
    pads, pools = counts
    kinds = [part.kind for part in layout.parts]
    expected = kinds.count("ZeroPadding2D")
    if old and pads == expected - 1:
        return True
    # Named pools: the one of the stem alone, because the others have names of Keras's choice.
    wanted = kinds.count("MaxPooling2D")
    if pads != expected or (pools != wanted if not storage.by_name else pools < 1 or _taken(storage)):
        raise StemError(
            f"{file!r} has the weights of a {layout.backbone}, but lists {pads} padding and {pools} pooling layer(s), "
            f"and Keras's network has {expected} and {wanted}: it pads, pools or strides in another way, as the "
            "ResNets of PyTorch, KerasHub, KerasCV and others do, and weights alone do not say how. Give the file that "
            "it was made from (.safetensors, .pth, a preset's folder), or the whole model, as model.save and "
            "restem stem --out write it."
        )
    return False


def _listed(storage: Storage, first: Stored) -> tuple[int, int] | None:
    """The padding and pooling layers beside the first convolution; None: the file lists no layers without weights."""
    if not storage.by_name:
        beside = [kind for container, kind in storage.empty if container == first.container]
        counts = [beside.count(config.snake(kind)) for kind in ("ZeroPadding2D", "MaxPooling2D")]
        return (counts[0], counts[1]) if beside else None
    if first.container:
        return None
    weighted = {layer.name for layer in storage.layers} | {layer.container for layer in storage.layers}
    others = [name.lower() for name in storage.order if name not in weighted]
    pads = [name for name in others if "pad" in name]
    pools = [name for name in others if "pool" in name and name not in pads and not any(x in name for x in _AT_THE_END)]
    return (len(pads), len(pools)) if pads or pools else None


def _taken(storage: Storage) -> bool:
    return "pool1_take" in storage.order

"""The values of a checkpoint's weights: read, and refused if they cannot be those of a trained network."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import StemError
from ..given import Placed
from .examined import Examined
from .hdf5 import opened, read_tensor
from .match import of_node
from .pytorch import read_state


def read_values(found: Examined) -> dict[str, np.ndarray]:
    """The weights of a network in PyTorch's form, with Keras's names and shapes: by `layer/role`.

    Raises:
        StemError: the file is damaged, or has impossible values.
    """
    if found.storage is None:
        values = read_state(found)
    else:
        values = {}
        with opened(found.path, found.kind) as file:
            for layer, tensors in found.tensors.items():
                values |= {f"{layer}/{role}": read_tensor(file, tensor) for role, tensor in tensors.items()}
                if "kernel" in tensors and "bias" not in tensors:
                    values[f"{layer}/bias"] = np.zeros(tensors["kernel"].shape[-1], np.float32)
    for name, value in values.items():
        layer, _, role = name.rpartition("/")
        refuse_impossible({role: value}, layer, str(found.path))
    return values


def check_values(found: Examined) -> None:
    """Reads all weights of a checkpoint and keeps none: about a second for 100 MB.

    Raises:
        StemError: the file is damaged, or a weight is NaN or infinite, or a variance is negative.
    """
    file = str(found.path)
    if found.described is not None:
        read_values(found)
        return
    with opened(found.path, found.kind) as weights:
        if found.own is None:
            for layer, tensors in found.tensors.items():
                for role, tensor in tensors.items():
                    refuse_impossible({role: read_tensor(weights, tensor)}, layer, file)
            return
        assert found.root is not None
        assert found.storage is not None
        node = found.root
        for name in found.own_path:
            node = node.child(name)
        for child in node.nodes or ():
            if child.class_name in WEIGHTED:
                stored = of_node(found.storage, found.root, Placed(child, found.own_path), file)
                names = ROLES[child.class_name]
                for place, tensor in enumerate(stored.tensors):
                    # The format of .weights.h5 has their positions alone.
                    named = tensor.role.isdigit() and place < len(names)
                    role = names[place] if named else tensor.role
                    refuse_impossible({role: read_tensor(weights, tensor)}, child.name, file)


# The weights of the layers of a network that this library made, in Keras's order.
ROLES = {
    "Conv2D": ("kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Dense": ("kernel", "bias"),
}
WEIGHTED = set(ROLES)


def refuse_impossible(values: Mapping[str, np.ndarray], layer: str, file: str) -> None:
    """Raises StemError if a weight is NaN or infinite, or a variance is negative."""
    for name, value in values.items():
        if not np.isfinite(value).all():
            raise StemError(
                f"{file!r}: the weight {name!r} of the layer {layer!r} has values that are NaN or infinite. Give a "
                "checkpoint of a training that did not diverge."
            )
        if name == "moving_variance" and value.min() < 0:
            raise StemError(
                f"{file!r}: the variance of the layer {layer!r} is negative, so the file is damaged, or its tensors "
                "are not those of this layer."
            )

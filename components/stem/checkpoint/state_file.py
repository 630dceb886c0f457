"""The tensors of a state dict in a file: of safetensors, or of torch.save.

A .safetensors file is read by the library safetensors. Files of torch.save are pickles: torch.load reads them with
weights_only=True, which refuses everything but tensors, if PyTorch is installed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import StemError
from .state import MARK, Shape, torchvision_names

# Beside the parts of a Lightning or training checkpoint, the dictionaries that hold the network.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "ema_state_dict", "state_dict_ema")
_FLOATS = ("F16", "BF16", "F32", "F64")
_DEPTH = 4  # of dictionaries inside each other


def read_shapes(path: Path) -> dict[str, Shape]:
    """The shapes in a .safetensors file, from its header alone.

    Raises:
        StemError: it is damaged, or the library safetensors is missing.
    """
    with _opened(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - it is no dict


def read_safetensors(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Tensors of a .safetensors file as float32.

    Raises:
        StemError: it is damaged, or the library safetensors is missing.
    """
    with _opened(path) as file:
        held = set(file.keys())
        for name in names:
            if name in held and file.get_slice(name).get_dtype() not in _FLOATS:
                raise _quantised(path, name, file.get_slice(name).get_dtype())
        return {name: np.asarray(file.get_tensor(name), np.float32) for name in names if name in held}


def _quantised(path: Path, name: str, kind: object) -> StemError:
    return StemError(
        f"{str(path)!r}: {name} has values of the type {kind}: it is quantised. Give the checkpoint from before the "
        "quantisation."
    )


def _opened(path: Path) -> Any:
    try:
        import safetensors
    except ModuleNotFoundError:
        raise StemError(
            f"{str(path)!r} is a safetensors file, and the package safetensors is missing: pip install safetensors"
        ) from None
    try:
        return safetensors.safe_open(str(path), framework="numpy")
    except (safetensors.SafetensorError, OSError) as error:
        raise StemError(f"{str(path)!r} is damaged or incomplete: {error}. Copy or download it again.") from None


def read_pickle(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file of torch.save as float32; nothing but tensors is unpickled.

    Raises:
        StemError: PyTorch is missing, or the file holds more than tensors and plain values.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise StemError(
            f"{str(path)!r} is a PyTorch file. Its pickle is read by PyTorch alone, which is not installed: pip "
            "install torch, or save the tensors there: safetensors.torch.save_file(model.state_dict(), FILE)."
        ) from None
    try:
        loaded = torch.load(str(path), map_location="cpu", weights_only=True)
    except Exception as error:
        text = str(error).strip() or type(error).__name__
        needs = re.search(r"GLOBAL ([\w.]+)", text)
        first = f"it needs {needs[1]}" if needs else text.splitlines()[0][:300].rstrip(".")
        raise StemError(
            f"{str(path)!r} cannot be read with torch.load(weights_only=True), which runs no code: {first}. Where it "
            "was made, load it and save its state_dict() alone."
        ) from None
    tensors: dict[str, np.ndarray] = {}

    def collect(value: Any, above: str, depth: int) -> None:
        for key, one in value.items():
            if isinstance(one, torch.Tensor):
                if one.is_quantized or (one.ndim > 1 and not one.is_floating_point()):
                    raise _quantised(path, f"{above}{key}", one.dtype)
                tensors[f"{above}{key}"] = one.float().numpy()
            elif isinstance(one, Mapping) and depth and (key in WRAPPERS or _holds_network(one)):
                collect(one, f"{above}{key}.", depth - 1)

    if not isinstance(loaded, Mapping):
        raise StemError(f"{str(path)!r} holds a {type(loaded).__name__}, not a state dict. Save model.state_dict().")
    collect(loaded, "", _DEPTH)
    return tensors


def _holds_network(value: Mapping[Any, Any]) -> bool:
    """Whether a dictionary of any name has a ResNet's tensors, as those of a student and a teacher."""
    names = [name for name in value if isinstance(name, str)]
    return any(name == MARK or name.endswith(f".{MARK}") for name in torchvision_names(names))

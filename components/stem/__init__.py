"""Changes the stem (the first convolution) of a pretrained ResNet and reports what is kept.

Needs only Keras 3 and NumPy (matplotlib for the picture): this folder can be copied and used alone.
Importing it is cheap, because Keras is imported only when it is needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .errors import StemError
from .spec import BACKBONES, StemSpec

if TYPE_CHECKING:
    from .calibration import measure_bands
    from .load import load_backbone
    from .modify import StemResult, modify_stem
    from .preprocessing import PREPROCESSING, Preprocessing
    from .report import TransferReport
    from .saved import describe
    from .write import save_network

_MODULES = {
    "PREPROCESSING": "preprocessing",
    "Preprocessing": "preprocessing",
    "StemResult": "modify",
    "TransferReport": "report",
    "describe": "saved",
    "load_backbone": "load",
    "measure_bands": "calibration",
    "modify_stem": "modify",
    "save_network": "write",
}

__all__ = [
    "BACKBONES",
    "PREPROCESSING",
    "Preprocessing",
    "StemError",
    "StemResult",
    "StemSpec",
    "TransferReport",
    "describe",
    "load_backbone",
    "measure_bands",
    "modify_stem",
    "save_network",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Another first layer for a pretrained ResNet, and a report of what was kept.

Keras 3 and NumPy only (matplotlib for the picture): this folder may be copied out and used alone.
Importing it is cheap; Keras is imported when a network is touched.
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

_HOMES = {
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
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

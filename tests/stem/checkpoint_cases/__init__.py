"""Checkpoint files of different make: what people have, and what becomes of each."""

from .case import BLOCKS, CASES, WIDTH, Case
from .hostile import hostile
from .refused import refused
from .weights import weights_by_count, weights_with_names
from .whole import whole_models

__all__ = ["BLOCKS", "WIDTH", "make_cases"]


def make_cases() -> list[Case]:
    """All cases; the small networks must already be the stock ones."""
    if not CASES:
        for part in (weights_with_names, weights_by_count, whole_models, refused, hostile):
            part()
    return CASES

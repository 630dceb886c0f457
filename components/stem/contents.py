"""Checks that a checkpoint is one of a backbone, before anything long starts: without Keras, from names and shapes."""

from __future__ import annotations

from pathlib import Path

from .checkpoint.examine import examine
from .checkpoint.examined import Examined
from .checkpoint.form import FORMS, KNOWN
from .checkpoint.layout import BLOCKS
from .checkpoint.values import check_values
from .errors import StemError


def check_contents(path: Path, name: str) -> Examined:
    """Examines a checkpoint with the values of its weights, and refuses it if it is not one of this backbone.

    Args:
        path: any file; what it is is decided by its content.
        name: one of BACKBONES.

    Raises:
        StemError: the file is damaged, of a format that is not read, or holds another network or impossible values.
    """
    found = examine(path, name)
    refuse_other(found, name)
    check_values(found)
    return found


def refuse_other(found: Examined, name: str) -> None:
    """Raises StemError if a checkpoint is one of another stock network than this one."""
    if found.backbone == name or found.backbone not in KNOWN:
        return
    have, expected = (sum(BLOCKS.get(one) or FORMS[one][1]) for one in (found.backbone, name))
    raise StemError(
        f"{str(found.path)!r} does not contain {name}: it is a {'modified ' if found.own else ''}{found.backbone}"
        + (f". It has {have} blocks, expected {expected}." if have != expected else ".")
    )

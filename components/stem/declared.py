"""Whether a checkpoint and the source's preprocessing belong together: before anything long starts, without Keras."""

from __future__ import annotations

import json
from typing import Any

from .checkpoint.examined import Examined
from .checkpoint.summary import to_dict
from .errors import StemError
from .preprocessing import PREPROCESSING, Preprocessing


def declared_source(found: Examined, source: str | Preprocessing) -> str:
    """The preprocessing that `read_source` will find, and who says so.

    Args:
        found: the file.
        source: as for `modify_stem`.

    Raises:
        StemError: the file has other channels than the source, or is one of this library that cannot be used again.
    """
    if found.own:
        return _own(found, source)
    if source == "auto":
        return to_dict(found)["preprocessing"]["told"]
    given = PREPROCESSING[source] if isinstance(source, str) else source
    if found.channels != len(given.bands):
        raise StemError(
            f"the first convolution in {str(found.path)!r} reads {found.channels} channel(s), but the source "
            f"{given.name} has {len(given.bands)} ({', '.join(given.bands)}). Give all of its bands in the network's "
            "order: {bands: [...], scale: 1, offset: 0}; its input is scale * raw + offset, raw 0..255."
        )
    return f"{given.name} ({', '.join(given.bands)}), as given in model.source"


def _own(found: Examined, source: str | Preprocessing) -> str:
    if source != "auto":
        raise StemError(f"{str(found.path)!r} was made by this library and has its own preprocessing: use source auto.")
    config = found.storage.config if found.storage else None
    about = _search(json.loads(config)) if config else None
    if about and (about.get("spec") or {}).get("deep"):
        raise StemError(
            f"{str(found.path)!r} has a deep stem, which cannot be changed again. Use it as it is "
            "(restem.stem.load_backbone), or give the source from which it was made."
        )
    return to_dict(found)["preprocessing"]["told"]


def _search(value: Any) -> dict[str, Any] | None:
    """This library's entry in a configuration."""
    if isinstance(value, dict):
        entry = value.get("restem")
        if isinstance(entry, dict) and "report" in entry:
            return entry
        value = list(value.values())
    if isinstance(value, list):
        return next((found for item in value if (found := _search(item)) is not None), None)
    return None

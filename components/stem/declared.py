"""What a checkpoint's file says of its input: before anything long starts, without Keras and without a network."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py

from .contents import holds_model, read_contents
from .errors import StemError
from .preprocessing import Preprocessing
from .spec import COLOURS

OWN = "restem"  # saved.ENTRY, which loads Keras
FRONT = ("Rescaling", "Normalization")


def declared_source(path: Path, name: str, source: str | Preprocessing) -> str:
    """The preprocessing that `read_source` will find, and who says so, as the end of a sentence.

    Args:
        path: `.weights.h5`, `.h5` or `.keras`, checked by `check_contents`.
        name: one of BACKBONES.
        source: as for `modify_stem`.

    Raises:
        StemError: the file has other channels than the source, or is one of this library that cannot be used again.
    """
    config = _config(path)
    own = _find(config, lambda entry: isinstance(entry.get(OWN), dict) and "report" in entry[OWN])
    if own is not None:
        return _own(str(path), own[OWN], source)
    conv = _find(config, lambda entry: (entry.get("config") or {}).get("name") == "conv1_conv")
    channels = _channels(path, conv)
    layers = [kind for kind in FRONT if _find(config, lambda entry, kind=kind: entry.get("class_name") == kind)]
    bands = source.bands if isinstance(source, Preprocessing) else COLOURS
    grey = source == "auto" and channels == 1 and bool(layers)
    if channels is not None and channels != len(bands) and not grey:
        raise StemError(
            f"The first convolution in {str(path)!r} reads {channels} channel(s), and nothing in the file names them; "
            f"expected are {len(bands)} ({', '.join(bands)}). Set source to their names and numbers, as in source: "
            "{bands: [...], scale: 1, offset: 0}, "
            f"with {channels} band(s) in the network's order; its input is scale * raw + offset, raw 0..255."
        )
    if isinstance(source, Preprocessing):
        return f"as given: {', '.join(source.bands)}"
    if source != "auto":
        return f"{source} (as given)"
    if layers:
        return f"from the file: its layers {', '.join(layers)}"
    usual = "tf" if name.endswith("V2") else "caffe"
    return (
        f"{usual} (assumed: Keras's convention of {name}, because the weights do not say it; to check: ask who trained "
        "them; restem run compares the stored statistics with your images)"
    )


def _own(file: str, about: dict[str, Any], source: str | Preprocessing) -> str:
    if source != "auto":
        raise StemError(f"{file!r} was made by this library and has its own preprocessing: use source auto.")
    if (about.get("spec") or {}).get("deep"):
        raise StemError(
            f"{file!r} has a deep stem, which cannot be changed again. Use it as it is (restem.stem.load_backbone), or "
            "give the source from which it was made."
        )
    return f"from the report in the file: {', '.join(about['report']['input']['bands'])}"


def _config(path: Path) -> Any:
    """The configuration of a whole model; None for weights alone."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    if not holds_model(path):
        return None
    with h5py.File(path, "r") as file:
        return json.loads(file.attrs["model_config"])


def _channels(path: Path, conv: dict[str, Any] | None) -> int | None:
    """Channels of the first convolution; None if the file does not say them."""
    if path.suffix != ".keras":
        return read_contents(path).channels
    shape = ((conv or {}).get("build_config") or {}).get("input_shape")
    return shape[-1] if shape else None


def _find(value: Any, suits: Any) -> dict[str, Any] | None:
    """The first mapping in a configuration that suits, depth first."""
    if isinstance(value, dict):
        if suits(value):
            return value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            found = _find(item, suits)
            if found is not None:
                return found
    return None

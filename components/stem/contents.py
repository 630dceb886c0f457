"""What a checkpoint holds, by its names and shapes alone: without Keras, in milliseconds, whatever its size."""

from __future__ import annotations

import dataclasses
import re
import zipfile
from pathlib import Path

import h5py

from .errors import StemError

# Convolutions of the stock networks, V1 and V2: the first, three in each block, and one in the shortcut of each stage.
CONVOLUTIONS = {"50": 1 + 3 * 16 + 4, "101": 1 + 3 * 33 + 4, "152": 1 + 3 * 50 + 4}
_NAMES = re.compile(r'"(conv1_conv|conv\d_block\d+_[0-3]_conv)"')
CONFIG, CONFIG_BYTES = "config.json", 1 << 26


@dataclasses.dataclass(frozen=True)
class Contents:
    """Number of convolutions, channels of the first one, classes of the top (None: no top)."""

    convolutions: int
    channels: int
    classes: int | None


def check_contents(path: Path, name: str) -> None:
    """Checks that a checkpoint may be one of this backbone, before anything long starts.

    Args:
        path: `.weights.h5`, `.h5` or `.keras`.
        name: one of BACKBONES.

    Raises:
        StemError: the file is damaged, or holds another network.
    """
    try:
        if path.suffix == ".keras":
            found = _named(_config(path))
        elif holds_model(path):
            with h5py.File(path, "r") as file:
                found = _named(str(file.attrs["model_config"]))
        else:
            found = read_contents(path).convolutions
    except (OSError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise StemError(f"{str(path)!r} is damaged or incomplete: {str(error).splitlines()[0]}.") from None
    expected = CONVOLUTIONS[name.removeprefix("ResNet").removesuffix("V2")]
    if not found:
        raise StemError(f"{str(path)!r} contains no keras.applications ResNet (no layer 'conv1_conv').")
    if found != expected:
        fits = [f"ResNet{depth}" for depth, number in CONVOLUTIONS.items() if number == found]
        other = f": it is a {fits[0]} or {fits[0]}V2" if fits else ""
        raise StemError(
            f"{str(path)!r} does not contain {name}{other}. It has {found} convolutions, expected {expected}."
        )


def _config(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(CONFIG).file_size > CONFIG_BYTES:
            raise ValueError(f"its {CONFIG} has more than {CONFIG_BYTES:,} bytes")
        return archive.read(CONFIG).decode("utf-8")


def _named(config: str) -> int:
    """The number of a ResNet's convolutions in a model's configuration; 0 without the first one."""
    names = set(_NAMES.findall(config))
    return len(names) if "conv1_conv" in names else 0


def holds_model(path: Path) -> bool:
    """Whether an HDF5 file holds a whole model, not weights alone."""
    with h5py.File(path, "r") as file:
        return "model_config" in file.attrs


def read_contents(path: Path) -> Contents:
    """Reads the shapes of weights: the 7x7 kernel belongs to the first convolution, the matrix to the top.

    Raises:
        StemError: there is not exactly one 7x7 kernel.
    """
    kernels: list[tuple[int, ...]] = []
    convolutions = 0
    matrices: list[tuple[int, ...]] = []

    def look(_: str, item: object) -> None:
        nonlocal convolutions
        if isinstance(item, h5py.Dataset):
            convolutions += item.ndim == 4
            if item.ndim == 4 and item.shape[:2] == (7, 7):
                kernels.append(item.shape)
            elif item.ndim == 2:
                matrices.append(item.shape)

    with h5py.File(path, "r") as file:
        file.visititems(look)
    if len(kernels) != 1:
        raise StemError(f"{str(path)!r} contains no stock ResNet: expected one 7x7 convolution, found {len(kernels)}.")
    return Contents(convolutions, int(kernels[0][2]), int(matrices[0][1]) if matrices else None)

"""The tensors in an HDF5 file, or in the one member of a .keras archive that has them.

Only names and shapes are read at first. Links out of the file, virtual and external datasets are never followed, and no
archive is unpacked: an uncompressed member is read where it lies in the archive.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from ..errors import StemError
from .formats import ARCHIVE, CONFIG, FOLDER, METADATA, WEIGHTS, damaged

TEXT_BYTES = 1 << 26  # of a configuration, and of one attribute
OBJECTS = 200_000
UNPACKED_BYTES = 1 << 28  # a compressed member is unpacked in memory
EXPANSION = 100  # how many times its stored size a compressed array may have
ERRORS = (
    OSError,
    KeyError,
    IndexError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    ValueError,
    TypeError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    struct.error,
)


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One array: where it is, what it is (`kernel`, or its position `0` if nothing says it), and its shape.

    `whole_numbers`: its values are integers, as those of a quantised layer.
    """

    path: str
    role: str
    shape: tuple[int, ...]
    whole_numbers: bool = False


@dataclasses.dataclass(frozen=True)
class Stored:
    """The tensors of one layer.

    Attributes:
        container: the model that the layer is part of: the name of its group, or '' for the outermost one.
        name: the layer's name, or None if the file does not say it.
        kind, number: class in snake case and count, as in conv2d_12 (files in the format of .weights.h5); else ''.
        tensors: in the file's order.
    """

    container: str
    name: str | None
    kind: str
    number: int
    tensors: tuple[Tensor, ...]

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tensor.shape for tensor in self.tensors)


@dataclasses.dataclass(frozen=True)
class Storage:
    """All layers with tensors, and what the file says of itself.

    Attributes:
        by_name: the format of Keras 1 and 2 (.h5), whose groups have the layers' names.
        order: in that format, the names of the outermost model's layers, those without tensors too.
        empty: in the other format, (container, class in snake case) of the layers without tensors.
        config: the model's configuration in JSON, or None.
        version: of Keras, or ''.
        backend: that of Keras 1 and 2, or ''.
    """

    layers: tuple[Stored, ...]
    by_name: bool
    order: tuple[str, ...]
    empty: tuple[tuple[str, str], ...]
    config: str | None
    version: str
    backend: str


class _Member(io.RawIOBase):
    """An uncompressed member of a zip archive as a file."""

    def __init__(self, file: Any, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._size - self._at))
        self._file.seek(self._start + self._at)
        count = self._file.readinto(view[:wanted])
        self._at += count
        return count


@contextlib.contextmanager
def opened(path: Path, kind: str) -> Iterator[h5py.File]:
    """The HDF5 file of a checkpoint, for reading.

    Raises:
        StemError: it is damaged; also for what fails inside the `with` block because of the file.
    """
    try:
        if kind == ARCHIVE:
            with (
                zipfile.ZipFile(path) as archive,
                open(path, "rb") as file,
                h5py.File(_member(archive, file), "r") as weights,
            ):
                yield weights
        else:
            with h5py.File(path / WEIGHTS if kind == FOLDER else path, "r") as weights:
                yield weights
    except StemError:
        raise
    except _QuantisedError as error:
        raise StemError(f"{str(path)!r}: {error}") from None
    except ERRORS as error:
        raise damaged(path, error) from None


class _QuantisedError(ValueError):
    """A tensor of a layer whose weights are integers with a scale."""


def _member(archive: zipfile.ZipFile, file: Any) -> io.IOBase:
    info = archive.getinfo(WEIGHTS)
    if info.flag_bits & 1:
        raise ValueError(f"its member {WEIGHTS} is encrypted")
    if info.compress_type != zipfile.ZIP_STORED:
        if info.file_size > UNPACKED_BYTES:
            raise ValueError(
                f"its member {WEIGHTS} is compressed and has {info.file_size:,} bytes unpacked (allowed: "
                f"{UNPACKED_BYTES:,}; Keras itself does not compress it)"
            )
        with archive.open(info) as packed:
            return io.BytesIO(packed.read(UNPACKED_BYTES))
    file.seek(info.header_offset)
    name, extra = struct.unpack("<HH", file.read(30)[26:30])
    start = info.header_offset + 30 + name + extra
    file.seek(start)
    left, check = info.file_size, 0
    while left:
        block = file.read(min(left, 1 << 20))
        if not block:
            raise ValueError(f"its member {WEIGHTS} ends after {info.file_size - left:,} of {info.file_size:,} bytes")
        check, left = zlib.crc32(block, check), left - len(block)
    if check != info.CRC:
        raise ValueError(f"the checksum of its member {WEIGHTS} is wrong")
    return _Member(file, start, info.file_size)


def read_storage(path: Path, kind: str) -> Storage:
    """Names and shapes of all tensors, and the configuration. Raises StemError if the file is damaged."""
    with opened(path, kind) as file:
        config, version = _config_beside(path, kind)
        if kind in (ARCHIVE, FOLDER):
            layers, empty = _counted(*_datasets(file))
            return Storage(layers, False, (), empty, config, version, "")
        root = file["model_weights"] if isinstance(file.get("model_weights"), h5py.Group) else file
        if "model_config" in file.attrs:
            config = _attribute(file, "model_config")[0]
        version = next((v for g in (root, file) for v in _attribute(g, "keras_version")), "")
        backend = next((v for g in (root, file) for v in _attribute(g, "backend")), "")
        names = _attribute(root, "layer_names")
        datasets, groups = _datasets(file)
        if names:
            return Storage(_named(root, names, datasets), True, tuple(names), (), config, version, backend)
        layers, empty = _counted(datasets, groups)
        return Storage(layers, False, (), empty, config, version, backend)


def check_stored(file: h5py.File, tensor: Tensor) -> h5py.Dataset:
    """Raises ValueError if the file declares more values than it stores."""
    data = file[tensor.path]
    declared = math.prod(data.shape) * data.dtype.itemsize
    stored = data.id.get_storage_size()
    packed = data.chunks is not None and data.id.get_create_plist().get_nfilters() > 0
    if (declared > stored * EXPANSION and declared > 1 << 24) if packed else declared > stored:
        raise ValueError(f"{tensor.path} declares {declared:,} bytes {data.shape}, but {stored:,} are stored")
    return data


def read_tensor(file: h5py.File, tensor: Tensor) -> np.ndarray:
    """The values of an array that the file really stores."""
    data = check_stored(file, tensor)
    # Keras's .h5 has bfloat16 as two bytes without a meaning; .weights.h5 and .keras say what they are.
    if _attribute(data, "dtype") == ["bfloat16"] or data.dtype == np.dtype("V2"):
        return (np.asarray(data).view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    values = np.asarray(data)
    if values.dtype.kind in "iu":
        raise _QuantisedError(
            f"{tensor.path} has values of the type {values.dtype}: it is quantised. Give the checkpoint from before "
            "the quantisation."
        )
    if values.dtype.kind != "f":
        raise ValueError(f"{tensor.path} has values of the type {values.dtype}")
    return values


def _config_beside(path: Path, kind: str) -> tuple[str | None, str]:
    """The configuration and Keras's version in an archive or a folder."""

    def read(name: str) -> str:
        if kind == FOLDER:
            if not (path / name).is_file():
                return ""
            with open(path / name, "rb") as file:
                data = file.read(TEXT_BYTES + 1)
        else:
            with zipfile.ZipFile(path) as archive:
                if name not in archive.NameToInfo:
                    return ""
                with archive.open(name) as member:
                    data = member.read(TEXT_BYTES + 1)
        if len(data) > TEXT_BYTES:
            raise ValueError(f"its {name} has more than {TEXT_BYTES:,} bytes")
        return data.decode("utf-8")

    if kind not in (ARCHIVE, FOLDER):
        return None, ""
    version = ""
    with contextlib.suppress(ValueError, AttributeError, RecursionError):
        version = str(json.loads(read(METADATA) or "{}").get("keras_version", ""))[:40]
    return read(CONFIG), version


def _attribute(item: Any, name: str) -> list[str]:
    """An attribute as texts, together with its continuation (name0, name1, ...); empty if there is none."""
    if name in item.attrs:
        found = [name]
    else:
        found = []
        while f"{name}{len(found)}" in item.attrs:
            found.append(f"{name}{len(found)}")
    texts: list[str] = []
    for key in found:
        space = item.attrs.get_id(key)
        if math.prod(space.shape) * space.dtype.itemsize > TEXT_BYTES:
            raise ValueError(f"its attribute {key} has more than {TEXT_BYTES:,} bytes")
        value = item.attrs[key]
        values = value.reshape(-1).tolist() if isinstance(value, np.ndarray) else [value]
        texts += [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in values]
    return texts


def _datasets(file: h5py.File) -> tuple[dict[str, h5py.Dataset], list[str]]:
    """The arrays by their path, and the groups. Links are not followed; arrays outside the file are left out."""
    found: dict[str, h5py.Dataset] = {}
    groups: list[str] = []
    seen = 0

    def look(name: str, item: object) -> bool | None:
        nonlocal seen
        seen += 1
        if isinstance(item, h5py.Dataset) and not item.external and not item.is_virtual and item.shape is not None:
            found[name] = item
        elif isinstance(item, h5py.Group):
            groups.append(name)
        return True if seen > OBJECTS else None

    file.visititems(look)
    if seen > OBJECTS:
        raise ValueError(f"it has more than {OBJECTS:,} objects")
    return found, groups


def _named(root: h5py.Group, names: list[str], datasets: dict[str, h5py.Dataset]) -> tuple[Stored, ...]:
    """The layers of a file in the format of Keras 1 and 2."""
    prefix = root.name.strip("/")
    found = []
    for group in names:
        path = f"{prefix}/{group}".strip("/")
        if not isinstance(root.get(group, getlink=True), h5py.HardLink) or not isinstance(root[group], h5py.Group):
            raise ValueError(f"the group {group!r} is missing, or a link to another place")
        weights = _attribute(root[group], "weight_names")
        scopes: dict[tuple[str, ...], list[Tensor]] = {}
        for weight in weights:
            data = datasets.get(f"{path}/{weight}")
            if data is None:
                raise ValueError(f"the tensor {weight!r} of {group!r} is missing")
            *places, last = weight.split("/")
            scopes.setdefault(tuple(places), []).append(_tensor(f"{path}/{weight}", role_of(last), data))
        owners = {scope[-1] if scope else "" for scope in scopes}
        for scope, tensors in scopes.items():
            # One scope: a layer, whose group has its name. Several: a model, whose layers are named by the scopes.
            inside = len(owners) > 1 or (scope and scope[-1] != group and not _same(scope[-1], group))
            name = scope[-1] if inside and scope else group
            found.append(Stored(group if inside else "", name, "", 0, tuple(tensors)))
    return tuple(found)


def _tensor(path: str, role: str, data: h5py.Dataset) -> Tensor:
    return Tensor(path, role, tuple(data.shape), data.dtype.kind in "iu")


def _same(scope: str, group: str) -> bool:
    """TensorFlow 1 counted the scope of a layer that was built again: conv1_conv_1 in the group conv1_conv."""
    return re.fullmatch(re.escape(group) + r"_\d+", scope) is not None


def role_of(name: str) -> str:
    """What a weight is, from the end of its name: Keras 1 wrote W and running_mean, Keras 2 kernel:0."""
    plain = name.split(":")[0]
    for ending, role in _ROLES.items():
        if plain == ending or plain.endswith(f"_{ending}"):
            return role
    return plain


_ROLES = {
    **{name: name for name in ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")},
    **{"running_mean": "moving_mean", "running_std": "moving_variance", "W": "kernel", "b": "bias"},
}


def _counted(
    datasets: dict[str, h5py.Dataset], all_groups: list[str]
) -> tuple[tuple[Stored, ...], tuple[tuple[str, str], ...]]:
    """The layers of a file in the format of .weights.h5, where a layer's place is its class and a count."""
    groups: dict[str, list[Tensor]] = {}
    for path, data in datasets.items():
        place, _, last = path.rpartition("/")
        if place.endswith("/vars") and not path.startswith(_NOT_LAYERS):
            groups.setdefault(place.removesuffix("/vars"), []).append(_tensor(path, last, data))
    found = []
    for place, tensors in groups.items():
        container, kind, number = _place(place)
        name = _attribute(datasets[tensors[0].path].parent, "name")
        tensors.sort(key=lambda tensor: int(tensor.role) if tensor.role.isdigit() else -1)
        found.append(Stored(container, name[0] if name else None, kind, number, tuple(tensors)))
    places = {group.removesuffix("/vars") for group in all_groups if group.endswith("/vars")} - set(groups)
    empty = sorted(_place(place)[:2] for place in places if not place.startswith(_NOT_LAYERS))
    return tuple(sorted(found, key=lambda layer: (layer.container, layer.kind, layer.number))), tuple(empty)


_NOT_LAYERS = ("optimizer", "metrics/", "_metrics")


def _place(path: str) -> tuple[str, str, int]:
    """Container, class and count from the path of a layer's group, as in layers/conv2d_12."""
    container, _, last = path.rpartition("/")
    kind, number = cast(re.Match, re.fullmatch(r"(.+?)(?:_(\d{1,9}))?", last)).groups()
    return container, kind, int(number or 0)

"""What kind of file a checkpoint is, by its content. One that is not read gets a sentence with how to convert it."""

from __future__ import annotations

import re
import struct
import zipfile
from pathlib import Path

import h5py

from ..errors import StemError

HDF5, ARCHIVE, FOLDER = "HDF5", "Keras archive", "Keras folder"
SAFETENSORS, TORCH = "safetensors", "file of torch.save"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_SSTABLE = bytes.fromhex("57fb808b247547db")  # the end of a TensorFlow checkpoint's .index file
_TORCH_OLD = (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"\x80\x04\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
_HEADER_BYTES = 1 << 25
# ir_version, then producer_name or the graph: the first fields of an ONNX file as its exporters write them.
_ONNX = re.compile(rb"\x08[\x03-\x14](\x12.(pytorch|tf2onnx|keras|onnx|skl2onnx|torch)|:)", re.DOTALL)
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # a Path has one slash of the two
SAVE = "save it with model.save('model.h5') or model.save_weights('model.weights.h5')"
_TORCH = (
    "Of PyTorch's files, state dicts are read: save model.state_dict() with safetensors.torch.save_file or torch.save"
)


def recognise(path: Path) -> str:
    """HDF5, ARCHIVE, FOLDER, SAFETENSORS or TORCH. At most a few hundred kilobytes are read, and nothing is unpickled.

    Raises:
        StemError: there is no such file, or it is of a format that is not read here.
    """
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        _missing(path)
    if not path.is_file():
        raise StemError(f"{str(path)!r} is not a file.")
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
            size = file.seek(0, 2)
            file.seek(max(0, size - 8))
            end = file.read(8)
        if h5py.is_hdf5(path):
            return HDF5
        if start[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
            return _zip(path)
    except OSError as error:
        raise StemError(f"{str(path)!r} cannot be read: {error.strerror or error}.") from None
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        raise damaged(path, "it starts like HDF5, but has no readable header")
    if start.startswith(_TORCH_OLD):
        return TORCH
    if _is_safetensors(start, size):
        return SAFETENSORS
    raise _other(path, start, end, size)


def damaged(path: Path, why: object) -> StemError:
    """The error for a file whose inside contradicts itself."""
    text = str(why).strip()
    first = (text.splitlines() or [type(why).__name__])[0][:200].rstrip(".")
    return StemError(f"{str(path)!r} is damaged or incomplete: {first}. Copy or download it again.")


def _refuse(path: Path, what: str, remedy: str) -> StemError:
    return StemError(f"{str(path)!r} is {what}, not a Keras checkpoint. {remedy}.")


def _missing(path: Path) -> None:
    if Path(f"{path}.index").is_file():
        raise _tensorflow(path)
    if ADDRESS.match(str(path)):
        raise StemError(f"{str(path)!r} is an address. Download the file, and give its path on this machine.")
    raise StemError(
        f"Weights file {str(path)!r} not found. Give 'imagenet', 'none', or the path of a .weights.h5, .h5 or .keras "
        "file."
    )


def _tensorflow(path: Path) -> StemError:
    return _refuse(
        path,
        "a TensorFlow checkpoint (.index and .data files)",
        "Build the same model in the program that wrote it, call model.load_weights(prefix) there, and " + SAVE,
    )


def _folder(path: Path) -> str:
    def has(*names: str) -> bool:
        return any((path / name).exists() for name in names)

    if has("saved_model.pb", "saved_model.pbtxt"):
        raise _refuse(
            path,
            "a SavedModel folder",
            "If Keras wrote it, load it with Keras 2 (pip install tf_keras): "
            "tf_keras.models.load_model(folder).save('model.h5'), and give that file. One of TensorFlow Hub has no "
            "layers: give the checkpoint that it was made from",
        )
    if has(CONFIG) and has(WEIGHTS):
        return FOLDER
    if list(path.glob("*.index")):
        raise _tensorflow(path)
    if list(path.glob("*.safetensors")) or has("pytorch_model.bin"):
        raise _refuse(path, "a folder of a PyTorch model", "Give the file in it: .safetensors, or pytorch_model.bin")
    raise StemError(f"{str(path)!r} is a folder, but no checkpoint is in it. Give the path of a file.")


def _zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()[:20_000]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError) as error:
        raise damaged(path, f"it starts like a zip archive, but has no readable directory ({error})") from None
    plain = set(names)
    ends = {name.rsplit("/", 1)[-1] for name in names}
    if CONFIG in plain and (WEIGHTS in plain or not ends & {"data.pkl", "saved_model.pb"}):
        if WEIGHTS not in plain and any(name.endswith((".npz", "weights.json")) for name in names):
            raise _refuse(path, "a Keras archive with its weights in another form than HDF5", f"Load it and {SAVE}")
        return ARCHIVE
    if "data.pkl" in ends:
        if "constants.pkl" in ends:
            raise _refuse(path, "a TorchScript archive", f"{_TORCH}. Its pickle was not opened")
        return TORCH
    if ends & {"archive_format", "archive_version"}:
        raise _refuse(path, "a program of torch.export", _TORCH)
    if names and all(name.endswith(".npy") for name in names):
        raise _refuse(path, "a NumPy archive (.npz)", f"Set its arrays as weights of the Keras model and {SAVE}")
    if "saved_model.pb" in ends or any(name.endswith((".h5", ".hdf5", ".keras", ".index")) for name in names):
        raise _refuse(path, "a zip archive with a checkpoint inside", "Unpack it, and give the file in it")
    raise _refuse(path, "a zip archive without config.json and model.weights.h5", "Give a .keras or .h5 file")


def _other(path: Path, start: bytes, end: bytes, size: int) -> StemError:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if size == 0:
        return damaged(path, "the file is empty")
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return _refuse(
            path, "a web page", "The download may have needed a login or a confirmation: download the file again"
        )
    if start.startswith(b"version https://git-lfs"):
        return _refuse(path, "a pointer of Git LFS", "Run git lfs pull in its repository to get the file itself")
    if end == _SSTABLE or path.name.endswith((".index", ".data-00000-of-00001")):
        return _tensorflow(path)
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05" and len(start) > 2:
        what = "a Python pickle, which can run any code and was not opened"
        return _refuse(path, what, f"If you trust its source, load it there and {SAVE}. {_TORCH}")
    if text.startswith(b"model_checkpoint_path:") or path.name.endswith(".meta"):
        return _tensorflow(path)
    if path.suffix.lower() == ".onnx" or _ONNX.match(start):
        what = "an ONNX model, in which the BatchNormalization is mostly merged into the convolutions"
        return _refuse(path, what, "Give the PyTorch or Keras file that it was exported from")
    if path.suffix.lower() == ".pb":
        what = "a frozen graph of TensorFlow or the file of a SavedModel"
        return _refuse(path, what, f"Give the checkpoint that it was made from; if Keras wrote it, load it and {SAVE}")
    if start[4:8] == b"TFL3":
        return _refuse(path, "a TFLite model", "Give the Keras file it was converted from")
    if start.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\xfd7zXZ", b"BZh")) or start[257:262] == b"ustar":
        return _refuse(path, "a compressed or packed file", "Unpack it, and give the file in it")
    if text.startswith((b"{", b"[")):
        what = "JSON text"
        if b"weight_map" in text or path.name.endswith(".weights.json"):
            what = "the list of a checkpoint in several parts"
            return _refuse(path, what, f"Load it and {SAVE} in one part")
        return _refuse(path, what, "The architecture alone has no weights: give the file with the weights")
    return StemError(
        f"{str(path)!r} is not a weights file: it is neither HDF5 nor a Keras archive. Its first bytes are "
        f"{start[:8]!r}. Supported: .weights.h5, .h5, .keras, .safetensors, .pth, whatever the ending."
    )


def _is_safetensors(start: bytes, size: int) -> bool:
    """Whether a file begins with the length of a JSON header, and the header."""
    if len(start) < 10 or start[8:9] != b"{":
        return False
    (length,) = struct.unpack("<Q", start[:8])
    return 2 <= length <= min(size - 8, _HEADER_BYTES)

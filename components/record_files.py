"""The files of a run's record: JSON with a format version and arrays, in a local folder or a store."""

import datetime
import io
import json
import math
from collections.abc import Mapping
from os import PathLike
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
from pydantic import TypeAdapter, ValidationError

from restem import files

MAX_BYTES = 256 << 20  # of a JSON file: a model's folder may come from somebody else
VERSION = 1  # increased when code for the old format would misread the new one

Kind = TypeVar("Kind")
Folder = str | PathLike[str]  # a local path or a storage URL
TIME = "%Y-%m-%dT%H:%M:%SZ"


class DamagedRecord(ValueError):
    """A record's file cannot be used; the message is "FILE is damaged: ..." or similar, without a full stop."""


def write_json(folder: Folder, name: str, document: Any) -> None:
    """Writes a JSON file."""
    files.write(f"{folder}/{name}", json.dumps(document, indent=2, ensure_ascii=False).encode("utf-8"))


def read_json(folder: Folder, name: str) -> Any:
    """Reads a JSON file.

    Raises:
      DamagedRecord: it is not JSON.
    """
    with files.open_file(f"{folder}/{name}", "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise DamagedRecord(f"{name} is damaged: it has more than {MAX_BYTES:,} bytes")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise DamagedRecord(f"{name} is damaged: it is not valid JSON") from None


def parse(folder: Folder, name: str, kind: type[Kind]) -> Kind:
    """Reads a JSON file into a dataclass.

    Raises:
      DamagedRecord: it cannot be used.
    """
    document = read_json(folder, name)
    if not isinstance(document, dict):
        raise DamagedRecord(f"{name} is damaged: it is not a JSON object")
    check_version(name, document)
    try:
        return TypeAdapter(kind).validate_python(document)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    absent = [".".join(map(str, problem["loc"])) for problem in problems if problem["type"] == "missing"]
    if absent:
        raise DamagedRecord(f"{name} lacks {', '.join(absent)}")
    where = ".".join(map(str, problems[0]["loc"]))
    raise DamagedRecord(f"{name} is damaged: {where}: {problems[0]['msg']}")


def check_version(name: str, document: dict[str, Any]) -> None:
    """Rejects a document of another format.

    Raises:
      DamagedRecord: its version is not `VERSION`.
    """
    version = document.get("version", VERSION)
    if version != VERSION:
        raise DamagedRecord(f"{name} has format {version}, but this version of restem reads format {VERSION}")


def finite(value: Any) -> Any:
    """The value, and everything in it, with None instead of infinity and NaN, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def time_text(seconds: float) -> str:
    """A Unix time as text, e.g. "2026-11-26T03:00:12Z"."""
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).strftime(TIME)


def seconds_of(text: str) -> float:
    """The Unix time of the output of `time_text`.

    Raises:
      ValueError: it is none.
    """
    return datetime.datetime.strptime(text, TIME).replace(tzinfo=datetime.UTC).timestamp()


def write_arrays(folder: Folder, name: str, **arrays: np.ndarray) -> None:
    """Writes an .npz file, compressed."""
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    files.write(f"{folder}/{name}", content.getvalue())


def read_arrays(folder: Folder, name: str, *wanted: str) -> list[np.ndarray]:
    """Reads the wanted arrays of an .npz file, in this order.

    Raises:
      DamagedRecord: it cannot be read, or lacks one of them.
    """
    try:
        with np.load(io.BytesIO(files.read(f"{folder}/{name}")), allow_pickle=False) as arrays:
            return [arrays[each] for each in wanted]
    except (ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DamagedRecord(f"{name} is damaged: {error}") from None

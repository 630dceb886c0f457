"""A table with one row per image: CSV (fields separated by commas, semicolons, tabs or vertical bars) or Parquet.

    path,label,split,patient,weight
    scans/0001.png,healthy,train,p17,1.0

Paths are relative to the manifest, absolute, or URLs. Every row becomes an image, or is refused with its line number
and the reason; files that no row names are ignored.
"""

import csv
import hashlib
import io
import math
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import SPLIT_NAMES, ImageFile, Listing, Refused, relative
from restem.example_gen.layouts.folder import grouped_by_path

# A manifest may have large fields (polygons, captions) besides the images.
csv.field_size_limit(2**31 - 1)
_USEFUL = ("group", "weight")


@dataclass(frozen=True)
class Table:
    """A manifest's content: the column names, and its rows with their names for the user ('Line 7', 'Row 3')."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[str, Sequence[Any]]]


def list_images(path: str, folder: str, config: DataConfig, scratch: str | None = None) -> Listing:
    """Lists the images that a manifest names; takes a second for 100,000 rows.

    Only local files are checked for existence. A remote storage would need one request per file; missing files are
    found when they are read.

    Args:
      path: the manifest.
      folder: the folder that the images' paths are relative to: the manifest's folder, or one above it.
      config: names of columns.
      scratch: not used; the layouts share this signature.

    Raises:
      RestemError: the manifest does not exist, cannot be read, or lacks a column.
    """
    table = read_table(path)
    columns = _columns(table, path, config)
    given = config.columns.split in table.columns
    prefix = relative(folder, path.rpartition("/")[0])
    folder_exists = _Exists(folder)
    files: list[ImageFile] = []
    refused: list[Refused] = []
    seen: dict[str, str] = {}
    for where, row in table.rows:
        values = {name: _text(row[at]) if at < len(row) else "" for name, at in columns.items()}
        name = values[config.columns.path]
        shown = _below(prefix, name) if name else f"{relative(folder, path)} {where.lower()}"
        try:
            if name and shown in seen:
                raise _BadRow(f"the path is already in {seen[shown].lower()}")
            file = _image(values, shown, given, config)
            if not folder_exists(file.path):
                raise _BadRow("there is no such file")
            seen[shown] = where
            files.append(file)
        except _BadRow as error:
            refused.append(Refused(shown, f"{where}: {error}."))
    if not files and not refused:
        raise RestemError("the manifest has no rows", where=f"data.path ({path})", expected="a row for each image")
    files.sort(key=lambda file: file.path)
    pattern = config.group if config.group is not None and config.group not in table.columns else None
    return Listing(
        folder=folder,
        classes=tuple(sorted({file.label for file in files})),
        files=grouped_by_path(files, pattern) if pattern else tuple(files),
        refused=tuple(sorted(refused, key=lambda one: one.path)),
        given_splits=given,
        notes=_notes(table, config),
    )


def fingerprint(path: str, folder: str, config: DataConfig) -> str:
    """A fingerprint that changes with the manifest's content and with the size or time of any file in it.

    For a remote storage, it lists the folders of the files, which takes one request per thousand files in them.
    """
    digest = hashlib.sha256(relative(folder, path).encode() + b"\0" + _read(path))
    places = {file.path: storage.join(folder, file.path) for file in list_images(path, folder, config).files}
    remote = storage.statuses(place for place in places.values() if storage.is_remote(place))
    for name, place in places.items():
        # A missing file has no state; reading reports it later.
        found = remote.get(place) if storage.is_remote(place) else storage.status(place)
        digest.update(f"{name}\0{f'{found.bytes} {found.modified}' if found else ''}\0".encode())
    return digest.hexdigest()


def read_table(path: str) -> Table:
    """Opens a manifest; its rows are read one by one.

    Raises:
      RestemError: it cannot be read, is empty, or its content does not match its file extension.
    """
    data = _read(path)
    if path.lower().endswith(".parquet"):
        return _parquet(data, path)
    text = _decoded(data, path)
    lines = _lines(text, path)
    _, header = next(lines, (1, []))
    if not any(header):
        raise RestemError(
            "the manifest is empty", where=f"data.path ({path})", expected="a first row with column names"
        )
    rows = ((f"Line {line}", row) for line, row in lines if any(field.strip() for field in row))
    return Table(_unique([name.strip() for name in header], path), rows)


def _read(path: str) -> bytes:
    try:
        return storage.read(path)
    except OSError as error:
        raise storage.reading_failed(path, error) from None


def _lines(text: str, path: str) -> Iterator[tuple[int, list[str]]]:
    """The rows, each with its first line number."""
    line = 1
    try:
        # Without strict, a missing closing quotation mark would put all rows up to the next one into one field.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
        for row in reader:
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise RestemError(
            "the manifest cannot be parsed",
            where=f"data.path ({path}, line {line})",
            given=str(error),
            remedy="Check whether a quotation mark is not closed",
        ) from None


def _parquet(data: bytes, path: str) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    errors = (pa.ArrowException, OSError, UnicodeDecodeError)
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        names = file.schema_arrow.names
    except errors as error:
        what = "this is not a Parquet file"
        raise RestemError(what, where=f"data.path ({path})", given=str(error).splitlines()[0]) from None

    def rows() -> Iterator[tuple[str, tuple]]:
        number = 0
        try:
            for batch in file.iter_batches():
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    yield f"Row {number}", row
        except errors as error:
            what = "the Parquet file is damaged"
            where = f"data.path ({path}, after row {number})"
            raise RestemError(what, where=where, given=str(error).splitlines()[0]) from None

    return Table(_unique(names, path), rows())


def _decoded(data: bytes, path: str) -> str:
    """Decodes UTF-8 with or without a byte order mark (most tools), or UTF-16 with one (spreadsheets)."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        remedy = "Save it as UTF-8; a Parquet file's name must end in .parquet"
        raise RestemError(
            "the manifest is not text", where=f"data.path ({path}, line {line})", expected="CSV in UTF-8", remedy=remedy
        ) from None


def _delimiter(text: str) -> str:
    """The delimiter that gives the most fields in the header."""
    header = re.split(r"[\r\n]", text.lstrip("\n\r"), maxsplit=1)[0]
    return max(",;\t|", key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))


def _unique(names: Sequence[str], path: str) -> tuple[str, ...]:
    if twice := sorted({name for name in names if name and list(names).count(name) > 1}):
        raise RestemError("columns have the same name", where=f"data.path ({path})", given=", ".join(twice))
    return tuple(names)


def _columns(table: Table, path: str, config: DataConfig) -> dict[str, int]:
    """The used columns, each with its index."""
    needed = {
        config.columns.path: "data.columns.path",
        config.columns.label: "data.columns.label",
        **{name: "data.metadata" for name in config.metadata},
    }
    if config.weight is not None:
        needed[config.weight] = "data.weight"
    # A group with parentheses that is not a column is a pattern for the paths.
    if config.group is not None and (config.group in table.columns or "(" not in config.group):
        needed[config.group] = "data.group"
    if missing := [f"{name} ({key})" for name, key in needed.items() if name not in table.columns]:
        raise RestemError(
            f"the manifest has no column {', '.join(missing)}",
            where=f"data.path ({path})",
            given=f"the columns {', '.join(table.columns)}",
            remedy="Name the right columns, e.g. data.columns: {path: file, label: class}",
        )
    used = [*needed, *([config.columns.split] if config.columns.split in table.columns else [])]
    return {name: table.columns.index(name) for name in used}


def _notes(table: Table, config: DataConfig) -> tuple[str, ...]:
    used = {config.group, config.weight, *config.metadata, config.columns.path, config.columns.label}
    return tuple(
        f"The manifest's column {name} is not used; to use it, set data.{name}: {name}."
        for name in _USEFUL
        if name in table.columns and name not in used
    )


class _BadRow(Exception):
    """The reason for refusing a row."""


def _image(values: Mapping[str, str], path: str, given: bool, config: DataConfig) -> ImageFile:
    if not values[config.columns.path]:
        raise _BadRow("the path is empty")
    label = unicodedata.normalize("NFC", values[config.columns.label])
    if not label:
        raise _BadRow("the label is empty")
    split = ""
    if given:
        text = values[config.columns.split]
        split = SPLIT_NAMES.get(text.lower(), "")
        if not split:
            raise _BadRow(f"the split {text!r} is not train, val or test" if text else "the split is empty")
    return ImageFile(
        path=path,
        label=label,
        split=split,
        group=(values.get(config.group) or None) if config.group is not None else None,
        weight=weight_of(values[config.weight]) if config.weight is not None else 1.0,
        metadata=tuple(values[name] for name in config.metadata),
    )


def weight_of(text: str) -> float:
    """A row's weight.

    Raises:
      _BadRow: it is not a finite number of at least 0.
    """
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise _BadRow(f"the weight {text!r} is not a finite number of at least 0")
    return weight


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _below(prefix: str, name: str) -> str:
    if storage.is_remote(name):
        return name
    name = os.path.normpath(name.replace("\\", "/") if "/" not in name else name)
    return os.path.normpath(f"{prefix}/{name}") if prefix and not os.path.isabs(name) else name


class _Exists:
    """Whether local files exist; it lists each folder once instead of checking each file."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._names: dict[str, frozenset[str]] = {}

    def __call__(self, path: str) -> bool:
        full = storage.join(self._folder, path)
        if storage.is_remote(full):
            return True
        folder, name = os.path.split(full)
        if folder not in self._names:
            try:
                with os.scandir(folder) as entries:
                    self._names[folder] = frozenset(entry.name for entry in entries if entry.is_file())
            except OSError:
                self._names[folder] = frozenset()
        return name in self._names[folder]

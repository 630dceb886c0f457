"""A table with one row per image: CSV (fields separated by commas, semicolons, tabs, bars or spaces) or Parquet.

    path,label,split,patient,weight
    scans/0001.png,healthy,train,p17,1.0

Paths are relative to the manifest, absolute, or URLs. Every row becomes an image, or is refused with its line number
and the reason; files that no row names are ignored. `table` reads the rows, `places` finds the files, and `labels`
says what the labels mean.
"""

import contextlib
import gc
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import SPLIT_NAMES, ImageFile, Listing, Record, Refused, first_few, relative
from restem.example_gen.layouts.folder import grouped_by_path
from restem.example_gen.layouts.inside import check_outside, files_outside, outside_notes
from restem.example_gen.layouts.labels import MISSING, Labels, OneHotLabels, read_labels
from restem.example_gen.layouts.places import Places, find_places
from restem.example_gen.layouts.shards import Shards, open_shards, shard_paths
from restem.example_gen.layouts.stored import StoredImages, stored_image
from restem.example_gen.layouts.table import Table, cell_text

_USEFUL = ("group", "weight")
_CHUNK_BYTES = 2**20


@dataclass(slots=True)
class _Row:
    """A row as text.

    number: its line, or its number in a Parquet file.
    table: the place of its table among the tables.
    values: of the used columns, in their order.
    label: the text of its label, or the one-hot column with the 1.
    stored: the image in its cell, and the hash of its bytes.
    problem: why it cannot be an image, if that is known already.
    """

    number: int
    name: str
    label: str
    values: Sequence[str]
    stored: tuple[Record, str] | None = None
    problem: str = ""
    table: int = 0


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Pauses the search for reference cycles: among millions of small objects it takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_without_collector()
def list_images(path: str, folder: str, config: DataConfig, scratch: str | None = None) -> Listing:
    """Lists the images that a manifest names; takes a second for 100,000 rows.

    Only local files are checked for existence. A remote storage would need one request per file; missing files are
    found when they are read.

    Args:
      path: the manifest.
      folder: the folder that the images' paths are relative to: the manifest's folder, or one above it.
      config: names of columns, and how the table is written.
      scratch: the folder for images that are stored in the table; None: they are only counted.

    Raises:
      RestemError: the manifest does not exist, cannot be read, or lacks a column; most of its files do not exist; or
        its labels are no classes (see `read_labels`).
    """
    where = f"data.path ({path})"
    shards = open_shards(path, config)
    table = shards.tables[0]
    columns = _columns(table, shards.paths[0], config)
    rows = []
    for place, (one, name) in enumerate(zip(shards.tables, shards.paths, strict=True)):
        if (others := _columns(one, name, config)) != columns:
            given = f"{', '.join(others)} in {name}"
            raise RestemError(
                "the tables have different columns", where=where, expected=", ".join(columns), given=given
            )
        with StoredImages(name, scratch) as images:
            rows += _read_rows(one, columns, images, config, f"data.path ({name})", place)
    if not rows:
        raise RestemError("the manifest has no rows", where=where, expected="a row for each image")
    labels = read_labels(Counter(row.label for row in rows if not row.problem), config, where)
    splits = _read_splits(rows, columns, config, where)
    base = storage.join(path.rpartition("/")[0], config.images_folder or "")
    names = dict.fromkeys(row.name for row in rows if row.name and row.stored is None)
    places = find_places(names, folder, relative(folder, base), search=config.images_folder is None)
    _check_found(rows, places, folder, config, shards, where)
    outside = files_outside(places, folder, base, config)
    check_outside(outside, places, config, where, lambda name: _row_named(name, rows, shards))
    make = _maker(columns, labels, splits, shards.splits, config)
    files, refused, repeated = _images(rows, make, places, outside, shards, folder)
    files.sort(key=lambda file: file.path)
    pattern = config.group if config.group is not None and config.group not in table.columns else None
    notes = (*_notes(table, config), *places.notes, *labels.notes, *outside_notes(outside))
    if repeated:
        notes += (f"{repeated:,} rows repeat an earlier row and were left out.",)
    return Listing(
        folder=folder,
        classes=tuple(sorted({file.label for file in files})),
        files=grouped_by_path(files, pattern) if pattern else tuple(files),
        refused=tuple(sorted(refused, key=lambda one: one.path)),
        given_splits=bool(splits or shards.splits),
        notes=notes,
    )


def fingerprint(path: str, folder: str, config: DataConfig) -> str:
    """A fingerprint that changes with the manifest's content and with the size or time of any file in it.

    For a remote storage, it lists the folders of the files, which takes one request per thousand files in them.
    """
    digest = hashlib.sha256(relative(folder, path).encode() + b"\0")
    for one in shard_paths(path):
        digest.update(relative(folder, one).encode() + b"\0" if one != path else b"")
        try:
            with storage.open_file(one) as table:
                while chunk := table.read(_CHUNK_BYTES):
                    digest.update(chunk)
        except OSError as error:
            raise storage.reading_failed(one, error) from None
    files = [file for file in list_images(path, folder, config).files if file.record is None]
    places = {file.path: storage.join(folder, file.path) for file in files}
    remote = storage.statuses(place for place in places.values() if storage.is_remote(place))
    for name, place in places.items():
        # A missing file has no state; reading reports it later.
        state = remote.get(place, "") if storage.is_remote(place) else storage.state(place)
        digest.update(f"{name}\0{state}\0".encode())
    return digest.hexdigest()


def _read_rows(
    table: Table, columns: Mapping[str, int], images: StoredImages, config: DataConfig, where: str, place: int
) -> list[_Row]:
    """All rows as text, with their stored images."""
    one_hot = config.columns.one_hot
    flags = slice(columns[one_hot[0]], columns[one_hot[0]] + len(one_hot)) if one_hot else slice(0)
    one_hot_labels = OneHotLabels(one_hot)
    named = table.class_names.get(config.columns.label, ())
    with_images = config.columns.path in table.images
    at_path, at_label = columns[config.columns.path], columns.get(config.columns.label, 0)
    known: dict[str, str] = {}  # one object for each class, not for each row
    rows = []
    for number, raw in table.read(list(columns)):
        data, name = stored_image(raw[at_path]) if with_images else (None, "")
        if with_images:
            raw = [*raw[:at_path], name, *raw[at_path + 1 :]]
        try:
            values = list(map(cell_text, raw))
        except ValueError as error:
            rows.append(_Row(number, "", "", [""] * len(columns), problem=str(error), table=place))
            continue
        if one_hot:
            label = one_hot_labels.read(f"{table.unit} {number}", values[flags])
        else:
            label = _class_name(values[at_label], named) if named else values[at_label]
            label = known.setdefault(label, label)
        row = _Row(number, values[at_path], label, values, table=place)
        if data is not None:
            row.stored = images.add(data)
        rows.append(row)
    one_hot_labels.check(where)
    return rows


def _class_name(text: str, names: Sequence[str]) -> str:
    """The name of a class that is stored as a number; -1 means that there is none."""
    try:
        number = int(text)
    except ValueError:
        return text
    return names[number] if 0 <= number < len(names) else "" if number == -1 else text


def _read_splits(rows: Sequence[_Row], columns: Mapping[str, int], config: DataConfig, where: str) -> dict[str, str]:
    """Text -> split, for all texts that name one; empty if there is no column of splits.

    Raises:
      RestemError: there is such a column, and it names no split.
    """
    if config.columns.split is None or config.columns.split not in columns:
        return {}
    at = columns[config.columns.split]
    counts = Counter(row.values[at] for row in rows)
    found = {text: SPLIT_NAMES[text.lower()] for text in counts if text.lower() in SPLIT_NAMES}
    if not found:
        raise RestemError(
            f"the column {config.columns.split} names no splits",
            where=where,
            expected="train, val or test",
            given=first_few([f"{text or 'empty'} ({count} rows)" for text, count in counts.most_common()]),
            remedy="Set data.columns.split: null to ignore it; then Restem splits the images",
        )
    return found


def _check_found(
    rows: Sequence[_Row], places: Places, folder: str, config: DataConfig, shards: Shards, where: str
) -> None:
    """Refuses a table whose files are somewhere else.

    Raises:
      RestemError: most files do not exist.
    """
    count = len(places.paths) + len(places.missing)
    limit = max(0.5, config.max_quarantined) * count
    if not places.missing or (places.paths and len(places.missing) <= limit):
        return
    name, (path, hint) = next(iter(places.missing.items()))
    row = _row_named(name, rows, shards)
    tried = "" if storage.is_remote(storage.join(folder, path)) else "; other upper and lower case, and "
    tried += "missing extensions" if tried else ""
    raise RestemError(
        f"{len(places.missing)} of {count} files do not exist",
        where=where,
        expected="paths that start at the table's folder"
        if config.images_folder is None
        else f"paths that start at data.images_folder ({config.images_folder})",
        given=f"in {row} {name!r}; the first was looked for at {storage.join(folder, path)}"
        + (f" ({hint})" if hint else "")
        + (f"{tried} were tried too" if tried else ""),
        remedy=f"The files are in several folders, set data.images_folder to one of {', '.join(places.choices)}"
        if places.choices
        else "Set data.images_folder to the folder that the paths start at",
    )


def _row_named(name: str, rows: Sequence[_Row], shards: Shards) -> str:
    return next(shards.row(row.table, row.number) for row in rows if row.name == name)


def _images(
    rows: Sequence[_Row],
    make: Callable[[_Row, str], ImageFile],
    places: Places,
    outside: Mapping[str, str],
    shards: Shards,
    folder: str,
) -> tuple[list[ImageFile], list[Refused], int]:
    """The images, the refused rows, and how many rows were left out because they repeat an earlier one."""
    shown = [relative(folder, path) for path in shards.paths]
    files: list[ImageFile] = []
    refused: list[Refused] = []
    seen: dict[str, tuple[_Row, int]] = {}  # path -> its row, and its place in `files`
    repeated = 0
    for row in rows:
        if row.stored is not None:
            path = f"{shown[row.table]}#{row.number}" + (f"/{row.name.rpartition('/')[2]}" if row.name else "")
        elif row.name:
            path = places.paths.get(row.name) or places.missing[row.name][0]
        else:
            path = f"{shown[row.table]} {shards.tables[0].unit.lower()} {row.number}"
        try:
            if row.problem:
                raise _BadRow(row.problem)
            if not row.name and row.stored is None:
                raise _BadRow("the path is empty")
            if row.stored is None and row.name in outside:
                raise _BadRow(outside[row.name])
            if path in seen:
                first, at = seen[path]
                if make(row, path) == files[at]:
                    repeated += 1
                    continue
                raise _BadRow(f"the path is already in {shards.row(first.table, first.number)}")
            file = make(row, path)
            if row.stored is None and row.name in places.missing:
                hint = places.missing[row.name][1]
                raise _BadRow(f"there is no such file{f', {hint}' if hint else ''}")
            seen[path] = row, len(files)
            files.append(file)
        except _BadRow as error:
            where = shards.row(row.table, row.number)
            refused.append(Refused(path, f"{where[0].upper()}{where[1:]}: {error}."))
    return files, refused, repeated


class _BadRow(Exception):
    """The reason for refusing a row."""


def _maker(
    columns: Mapping[str, int],
    labels: Labels,
    splits: Mapping[str, str],
    by_table: Sequence[str],
    config: DataConfig,
) -> Callable[[_Row, str], ImageFile]:
    """A function that makes an image of a row; it raises a _BadRow."""
    at_split = columns.get(config.columns.split or "") if splits else None
    at_group = columns.get(config.group or "")
    at_weight = columns[config.weight] if config.weight is not None else None
    at_metadata = [columns[name] for name in config.metadata]

    def make(row: _Row, path: str) -> ImageFile:
        label = labels.names.get(row.label)
        if label is None:
            raise _BadRow(labels.reasons[row.label])
        values, split = row.values, by_table[row.table] if by_table else ""
        if at_split is not None:
            text = values[at_split]
            split = splits.get(text, "")
            if not split:
                raise _BadRow(f"the split {text!r} is not train, val or test" if text else "the split is empty")
        group = values[at_group] if at_group is not None else ""
        return ImageFile(
            path=path,
            label=label,
            split=split,
            group=None if group.lower() in MISSING else group,
            weight=weight_of(values[at_weight]) if at_weight is not None else 1.0,
            metadata=tuple(values[at] for at in at_metadata),
            record=row.stored[0] if row.stored else None,
            key=row.stored[1] if row.stored else None,
        )

    return make


def _columns(table: Table, path: str, config: DataConfig) -> dict[str, int]:
    """The used columns, each with its place among them; the one-hot columns are next to each other."""
    used = {config.columns.path: "data.columns.path"}
    if config.columns.one_hot:
        used |= dict.fromkeys(config.columns.one_hot, "data.columns.one_hot")
    else:
        used |= {config.columns.label: "data.columns.label"}
    used |= {name: "data.metadata" for name in config.metadata if name not in used}
    if config.weight is not None:
        used.setdefault(config.weight, "data.weight")
    # A group with parentheses that is not a column is a pattern for the paths.
    if config.group is not None and (config.group in table.columns or "(" not in config.group):
        used.setdefault(config.group, "data.group")
    if missing := [f"{name} ({key})" for name, key in used.items() if name not in table.columns]:
        what = "column" if table.header else "header line, and so no column"
        raise RestemError(
            f"the manifest has no {what} {', '.join(missing)}",
            where=f"data.path ({path})",
            given=f"the columns {', '.join(table.columns)}",
            remedy="Name the right columns, e.g. data.columns: {path: file, label: class}"
            if table.header
            else "Its first line looks like the others. Name the columns, e.g. data.columns: {path: column 1, label: "
            "column 2}, or set data.header: true",
        )
    if config.columns.split in table.columns:
        used.setdefault(str(config.columns.split), "data.columns.split")
    return {name: place for place, name in enumerate(used)}


def _notes(table: Table, config: DataConfig) -> tuple[str, ...]:
    named = config.columns.label, *config.columns.one_hot
    used = {*named, config.group, config.weight, *config.metadata, config.columns.path}
    notes = tuple(
        f"The manifest's column {name} is not used; to use it, set data.{name}: {name}."
        for name in _USEFUL
        if name in table.columns and name not in used
    )
    if not table.header:
        notes += ("The table has no header line: its first line looks like the others.",)
    return notes


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

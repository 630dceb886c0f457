"""Reads a table, CSV or Parquet, as it was meant: its encoding, its delimiter, whether it has a header, its columns.

What `data.encoding`, `data.delimiter` and `data.header` do not say is found in the first rows, by `restem init` and by
a run alike.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import DataConfig

# A manifest may have large fields (polygons, captions) besides the images.
csv.field_size_limit(2**31 - 1)
DELIMITERS = ",;\t|"
SPACE = " "
# Usual names of columns; a first line with one of them is a header.
PATHS = (
    *("path", "image_path", "img_path", "file_path", "filepath", "file", "filename", "file_name", "image", "img"),
    *("image_file", "image_name", "img_name", "imagename", "image_id"),
)
LABELS = ("label", "class", "category", "target", "diagnosis", "species", "class_name", "label_name", "y", "dx")
SPLITS = ("split", "set", "fold", "partition", "subset", "dataset")
GROUPS = ("group", "patient", "patient_id", "subject", "subject_id", "slide", "slide_id", "scene", "case", "case_id")
WEIGHTS = ("weight", "sample_weight")
_MORE_NAMES = ("id", "index", "labels", "classes", "name", "score", "probability")
KNOWN = frozenset((*PATHS, *LABELS, *SPLITS, *GROUPS, *WEIGHTS, *_MORE_NAMES))
IMAGE_EXTENSIONS = (
    *("png", "jpg", "jpeg", "jpe", "jfif", "bmp", "gif", "tif", "tiff", "webp", "npy", "dcm", "jp2", "jxl", "heic"),
    *("j2k", "heif", "avif", "pgm", "ppm", "pbm", "pnm"),
)
_SAMPLE_CHARACTERS, _SAMPLE_ROWS = 2**18, 2000
_AGREE = 0.9  # share of the sample's rows that must have as many fields as the first
_SEP = re.compile(r'\A\s*"?sep=(.)"?[ \t]*(?:\r\n|\r|\n)', re.IGNORECASE)  # a first line for spreadsheets
_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d{1,3})?")
_LONGEST_NUMBER = 40  # characters; longer ones are texts
_BOMS = (
    *((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32")),
    *((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")),
)
_BINARY = (
    (b"PAR1", "a Parquet file"),
    (b"PK\x03\x04", "an Excel file or a ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"ARROW1", "an Arrow file"),
    (b"SQLite format 3", "an SQLite database"),
)
# Rows of a Parquet file in memory at once: few if they contain images.
_BATCH_ROWS, _BATCH_IMAGES = 65_536, 64


@dataclass(frozen=True)
class Table:
    """A manifest's content.

    columns: their names; without a header line "column 1", "column 2" ...
    unit: what a row's number counts: "Line" (from 1, in a text) or "Row".
    read: names of columns -> for each row its number and its values in this order; "" where a row ends early.
    delimiter: of a text.
    header: whether the first line of a text has the names.
    class_names: column -> the names of the classes that its numbers mean, as Hugging Face's datasets store them.
    images: the columns that may contain whole image files.
    """

    columns: tuple[str, ...]
    unit: str
    read: Callable[[Sequence[str]], Iterator[tuple[int, Sequence[Any]]]]
    delimiter: str | None = None
    header: bool = True
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    images: frozenset[str] = frozenset()


def read_table(path: str, config: DataConfig | None = None) -> Table:
    """Opens a manifest; its rows are read one by one.

    Args:
      path: the file.
      config: its `encoding`, `delimiter` and `header`; None: all are found.

    Raises:
      RestemError: it cannot be read, is empty, or its content does not match its file extension.
    """
    if path.lower().endswith(".parquet"):
        return _parquet(path)
    try:
        data = storage.read(path)
    except OSError as error:
        raise storage.reading_failed(path, error) from None
    text = _decoded(data, path, config.encoding if config else None)
    return _text_table(text, path, config.delimiter if config else None, config.header if config else None)


def cell_text(value: Any) -> str:
    """A cell as text; empty for nothing and for NaN. Whole numbers have no decimals, bytes are UTF-8 text.

    Raises:
      ValueError: bytes that are not text.
    """
    if isinstance(value, str):
        return value.strip()
    if value is None or value is math.nan:
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode().strip()
        except UnicodeDecodeError:
            raise ValueError(f"{value[:20]!r} is not text") from None
    if isinstance(value, float):
        return "" if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, list | tuple) and len(value) == 1:
        return cell_text(value[0])
    return str(value).strip()


def is_image_name(text: str) -> bool:
    """Whether a text is a file name with the extension of an image."""
    stem, dot, extension = text.strip().rpartition(".")
    return bool(stem and dot) and extension.lower() in IMAGE_EXTENSIONS


def is_number(text: str) -> bool:
    """Whether a text is a decimal number, with a point or a comma."""
    return len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text) is not None


def normal_name(name: str) -> str:
    """A column's name for comparison with the usual ones."""
    return name.lower().strip().replace(" ", "_")


# --- text ----------------------------------------------------------------------------------------------------------


def _decoded(data: bytes, path: str, encoding: str | None) -> str:
    """Decodes by data.encoding, by a byte order mark, as UTF-16 without one (every other byte is 0), or as UTF-8."""
    if kind := next((kind for start, kind in _BINARY if data.startswith(start)), None):
        what, remedy = f"the manifest is {kind}", "Save it as CSV in UTF-8; a Parquet file's name must end in .parquet"
        raise RestemError(what, where=f"data.path ({path})", expected="CSV", remedy=remedy)
    found = encoding or next((name for mark, name in _BOMS if data.startswith(mark)), None)
    if found is None and len(data) >= 4 and b"\0" in data[:4]:
        found = "utf-16-le" if data[1] == data[3] == 0 else "utf-16-be" if data[0] == data[2] == 0 else None
    try:
        return data.decode(found or "utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _not_text(data, path, found or "utf-8", error.start) from None


def _not_text(data: bytes, path: str, encoding: str, start: int) -> RestemError:
    number = data[:start].count(b"\n") + 1
    line = data.split(b"\n", number)[number - 1][:120]
    given = f"a byte that is not {encoding}: 0x{data[start]:02x}"
    remedy = "Save it as UTF-8; a Parquet file's name must end in .parquet"
    try:
        seen = line.decode("cp1252").strip()
    except UnicodeDecodeError:
        seen = ""
    if encoding == "utf-8" and seen.isprintable() and seen:
        given += f"; as Windows-1252 (Latin-1) the line reads {seen!r}"
        remedy = (
            "If this is right, set data.encoding: cp1252; else its right name (cp1251, shift_jis, ...), or save "
            + ("the table as UTF-8")
        )
    return RestemError(
        f"the manifest is not text in {encoding}",
        where=f"data.path ({path}, line {number})",
        expected="CSV in UTF-8, or in UTF-16 with a byte order mark" if encoding == "utf-8" else f"CSV in {encoding}",
        given=given,
        remedy=remedy,
    )


def _text_table(text: str, path: str, delimiter: str | None, header: bool | None) -> Table:
    first_line = 1
    if found := _SEP.match(text):
        delimiter = delimiter or found[1]
        text, first_line = text[found.end() :], first_line + 1
    delimiter = delimiter or find_delimiter(text)
    # The first row is parsed strictly: an unclosed quotation mark in it would hide the others.
    if next(_lines(text, delimiter, path, first_line), None) is None:
        what = "the manifest is empty"
        raise RestemError(what, where=f"data.path ({path})", expected="a first row with column names")
    sample = _sample(text, delimiter)
    header = has_header(sample) if header is None else header
    names = [name.strip() for name in sample[0]]
    columns = _unique(names, path) if header else tuple(f"column {number + 1}" for number in range(len(names)))

    def read(wanted: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
        places = [columns.index(name) for name in wanted]
        enough = max(places, default=-1) + 1
        pick: Callable[[list[str]], Sequence[str]] = itemgetter(*places) if len(places) > 1 else _picker(places)
        lines = _lines(text, delimiter, path, first_line)
        if header:
            next(lines, None)
        for line, row in lines:
            yield line, pick(row if len(row) >= enough else [*row, *[""] * (enough - len(row))])

    return Table(columns, "Line", read, delimiter, header)


def _picker(places: list[int]) -> Callable[[list[str]], list[str]]:
    return lambda row: [row[place] for place in places]


def _reader(text: str, delimiter: str, *, strict: bool) -> Any:
    # In a table that is separated by spaces, several of them count as one.
    spaces = delimiter == SPACE
    lines = io.StringIO(text, newline="")
    return csv.reader(lines, delimiter=delimiter, strict=strict, skipinitialspace=spaces)


def _lines(text: str, delimiter: str, path: str, first: int) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with its first line number."""
    line = first
    try:
        # Without strict, a missing closing quotation mark would put all rows up to the next one into one field.
        reader = _reader(text, delimiter, strict=True)
        for row in reader:
            if row and (row[0] or any(field.strip() for field in row)):
                yield line, row if row[-1] or delimiter != SPACE else row[:-1]
            line = reader.line_num + first
    except csv.Error as error:
        raise RestemError(
            "the manifest cannot be parsed",
            where=f"data.path ({path}, line {line})",
            given=str(error),
            remedy="Check whether a quotation mark is not closed",
        ) from None


def _sample(text: str, delimiter: str) -> list[list[str]]:
    """The first rows that are not empty."""
    rows: list[list[str]] = []
    try:
        for row in _reader(text[:_SAMPLE_CHARACTERS], delimiter, strict=False):
            if any(field.strip() for field in row):
                rows.append(row if row[-1] or delimiter != SPACE else row[:-1])
            if len(rows) > _SAMPLE_ROWS:
                break
    except csv.Error:
        return rows
    if len(text) > _SAMPLE_CHARACTERS and len(rows) > 1:
        rows.pop()  # it may be cut
    return rows


def find_delimiter(text: str) -> str:
    """The delimiter by which a column has names of images, the rows have equal lengths, and the first is longest."""
    scores: dict[str, tuple[bool, bool, int]] = {}
    for mark in DELIMITERS:
        rows = _sample(text, mark)
        fields = len(rows[0]) if rows else 0
        if fields > 1:
            names = max(
                _share([row[place] for row in rows if place < len(row)], is_image_name) for place in range(fields)
            )
            agree = _share(rows, lambda row: len(row) == fields)  # noqa: B023 - called at once
            scores[mark] = names > 0.5, agree >= _AGREE, fields
    if scores:
        return max(scores, key=lambda mark: scores[mark])
    lengths = {len(row) for row in _sample(text, SPACE)}
    return SPACE if len(lengths) == 1 and lengths != {1} else ","


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row has the names of the columns: it has not if it looks like the other rows.

    A row with the name of an image file is none. A row with a usual column name is one. Else a cell that occurs in its
    column again, or a number, shows that it is none; numbers from 0 or 1 on are the names of classes.
    """
    first = [cell.strip() for cell in rows[0]]
    if any(is_image_name(cell) for cell in first):
        return False
    if any(normal_name(cell) in KNOWN for cell in first) or len(rows) == 1:
        return True
    for place, cell in enumerate(first):
        if cell and any(place < len(row) and row[place].strip() == cell for row in rows[1:]):
            return False
    numbers = [cell for cell in first if is_number(cell)]
    counted = [str(number) for number in range(len(numbers))], [str(number + 1) for number in range(len(numbers))]
    return not numbers or (len(numbers) > 1 and numbers in counted)


def _share(values: Sequence, accept: Callable[[Any], bool]) -> float:
    return sum(map(accept, values)) / max(1, len(values))


def _unique(names: Sequence[str], path: str) -> tuple[str, ...]:
    if twice := sorted({name for name in names if name and list(names).count(name) > 1}):
        raise RestemError("columns have the same name", where=f"data.path ({path})", given=", ".join(twice))
    return tuple(names)


# --- Parquet -------------------------------------------------------------------------------------------------------


def _parquet(path: str) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    errors = (pa.ArrowException, OSError, UnicodeDecodeError)
    try:
        source = storage.open_file(path)
    except OSError as error:
        raise storage.reading_failed(path, error) from None
    try:
        file = pq.ParquetFile(source)
        schema = file.schema_arrow
    except errors as error:
        what = "this is not a Parquet file"
        raise RestemError(what, where=f"data.path ({path})", given=str(error).splitlines()[0]) from None
    images = frozenset(column.name for column in schema if _has_images(column.type))

    def read(wanted: Sequence[str]) -> Iterator[tuple[int, Sequence[Any]]]:
        number = 0
        size = _BATCH_IMAGES if images & set(wanted) else _BATCH_ROWS
        try:
            for batch in file.iter_batches(size, columns=list(dict.fromkeys(wanted))):
                columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
                for row in zip(*(columns[name] for name in wanted), strict=True):
                    number += 1
                    yield number, row
        except errors as error:
            what = "the Parquet file is damaged"
            where = f"data.path ({path}, after row {number})"
            raise RestemError(what, where=where, given=str(error).splitlines()[0]) from None

    return Table(_unique(schema.names, path), "Row", read, class_names=_class_names(schema.metadata), images=images)


def _has_images(kind: Any) -> bool:
    """Whether a column may contain files: bytes, or Hugging Face's struct of bytes and path."""
    import pyarrow.types as types

    if types.is_struct(kind):
        return any(kind.field(place).name == "bytes" for place in range(kind.num_fields))
    return types.is_binary(kind) or types.is_large_binary(kind)


def _class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """The names that Hugging Face's datasets store for the numbers of a column of the type ClassLabel."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"].items()
        named = {name: one["names"] for name, one in features if isinstance(one, dict) and "names" in one}
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return {}
    return {name: list(map(str, names)) for name, names in named.items() if isinstance(names, list)}

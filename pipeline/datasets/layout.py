"""Infers the layout of a dataset, and the meaning of its columns or features.

Usual names decide; if the names are not enough, the content decides.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import MANIFESTS, DataConfig, Layout, looks_like_records
from restem.example_gen.dataset import SPLIT_NAMES
from restem.example_gen.layouts.table import (
    GROUPS,
    KNOWN,
    LABELS,
    PATHS,
    SPLITS,
    WEIGHTS,
    Table,
    is_number,
    normal_name,
)
from restem.images.header import UnreadableImage
from restem.images.probe import probe

ONE_HOT = "columns of 0 and 1, one for each class"
TRIED = 50  # names of files that are looked for
ROWS = 2000  # rows of a manifest that are read
EXAMPLES = 200  # examples of a TFRecord file that are read
LARGEST_SLICES = 20  # a column with more different values is not used for slices
MOST_METADATA = 6
MOST_NUMBERS = 10  # different ones in a column of classes without a usual name
SHOWN = 5  # values of a column in a message
# The keys of the section that `restem init --set data.KEY=VALUE` takes: they say what the data mean.
WHERE_KEYS = ("images_folder", "allow_outside")
TABLE_KEYS = (*WHERE_KEYS, "delimiter", "header", "encoding", "label_threshold", "numbers_are_names")
FOLDER_KEYS = ("folders", "include", "exclude", "follow_links", "merge_labels")
GIVEN_KEYS = (*FOLDER_KEYS, "columns", "features", "group", "weight", "metadata", *TABLE_KEYS)
AS_GIVEN = "as given to restem init"


@dataclass(frozen=True)
class InferredLayout:
    """The inferred section `data`.

    Attributes:
        data: the section.
        reasons: key of the section -> the reason; only keys that differ from their default.
    """

    data: DataConfig
    reasons: dict[str, str] = field(default_factory=dict)


def infer_layout(path: str, given: Mapping[str, Any] | None = None) -> InferredLayout:
    """Infers the layout of `path`: a folder of images, a manifest, or TFRecord files.

    Args:
        path: local or remote.
        given: keys of the section that the user has decided, of GIVEN_KEYS; `columns` and `features` may be parts.

    Raises:
        RestemError: the path does not exist, or it is none of these; or it cannot be known what a column means.
    """
    given = given or {}
    layout = _layout(path)
    if layout == "folders" and storage.files_like(pattern := f"{path.rstrip('/')}/*.parquet"):
        layout, path = "manifest", pattern
    if layout == "manifest":
        return _manifest(path, given)
    if layout == "tfrecord":
        return _records(path, given)
    reasons = dict.fromkeys(given, AS_GIVEN)
    return InferredLayout(DataConfig.model_validate({"path": path, "layout": "folders", **given}), reasons)


def _layout(path: str) -> Layout:
    name = path.rpartition("/")[2].lower()
    if name.endswith(MANIFESTS):
        return "manifest"
    if looks_like_records(name):
        return "tfrecord"
    try:
        return "tfrecord" if storage.files_like(path.rstrip("/") + "/*.tfrecord*") else "folders"
    except OSError:  # Listing the folder later reports the problem.
        return "folders"


def _manifest(path: str, given: Mapping[str, Any]) -> InferredLayout:
    from restem.example_gen.layouts.shards import shard_paths, split_names
    from restem.example_gen.layouts.table import read_table

    tables = shard_paths(path)
    settled = {key: given[key] for key in TABLE_KEYS if key in given}
    table = read_table(tables[0], DataConfig.model_validate({"path": path, "layout": "manifest", **settled}))
    columns, stored = _sample(table)
    names = dict(given.get("columns", {}))
    reasons = dict.fromkeys(given, AS_GIVEN)
    image = names.get("path") or next(iter(stored), None) or _image_column(columns, path, given)
    if image is None:
        raise _no_column("paths of images", path, table)
    names["path"] = image
    if not names.get("label") and not names.get("one_hot"):
        others = {name: values for name, values in columns.items() if name != image}
        names |= _class_columns(others, path, table, numbers="label_threshold" in given)
    classes = names.get("one_hot") or [names["label"]]
    if "split" not in names:
        names |= _split_column(
            {name: columns[name] for name in columns if name not in (image, *classes)}, path, reasons
        )
    if not names.get("split") and split_names(tables):
        reasons["split"] = "the names of the tables give the split of each image"
    keys: dict = {"path": path, "layout": "manifest", **given}
    defaults = {"path": "path", "label": "label", **({"split": "split"} if "split" in names else {})}
    if names == defaults:
        keys.pop("columns", None)
    else:
        keys["columns"] = names
        guess = (
            "" if {normal_name(name) for name in (image, *classes)} <= KNOWN or "one_hot" in names else "; please check"
        )
        reasons.setdefault("columns", f"found in {', '.join(table.columns)}{guess}")
    if table.delimiter not in (None, ",") and not (table.delimiter == "\t" and path.lower().endswith(".tsv")):
        keys["delimiter"] = table.delimiter
        reasons.setdefault("delimiter", "found: it separates the fields of each line")
    if not table.header:
        keys["header"] = False
        reasons.setdefault("header", "the first line looks like the others, not like names of columns")
    used = {image, *classes, names.get("split")}
    _roles(keys, reasons, {name: columns[name] for name in columns if name not in used}, given, kind="column")
    return InferredLayout(DataConfig.model_validate(keys), reasons)


def _sample(table: Table) -> tuple[dict[str, list[str]], list[str]]:
    """The first rows as text by column, and the columns with stored images."""
    from restem.example_gen.layouts.stored import stored_image
    from restem.example_gen.layouts.table import cell_text

    columns: dict[str, list[str]] = {name: [] for name in table.columns}
    stored: dict[str, None] = {}
    for _, row in islice(table.read(table.columns), ROWS):
        for name, value in zip(table.columns, row, strict=True):
            if name in table.images:
                data, value = stored_image(value)
                if data is not None and _is_image(data):
                    stored[name] = None
            try:
                columns[name].append(cell_text(value))
            except ValueError:
                columns[name].append("")
    return columns, list(stored)


def _image_column(columns: dict[str, list[str]], path: str, given: Mapping[str, Any]) -> str | None:
    """By its name, by names of image files, or because files of these names exist."""
    from restem.example_gen.layouts.places import find_places
    from restem.example_gen.layouts.table import is_image_name

    found = _named(PATHS, columns) or _first(columns, lambda values: _share(values, is_image_name) > 0.5)
    if found is not None:
        return found
    folder = path.rpartition("/")[0]
    if storage.is_remote(path):
        return None
    base = storage.join(folder, given.get("images_folder") or "")

    def exist(values: list[str]) -> bool:
        names = dict.fromkeys(value for value in values if value)
        if len(names) < max(2, len(values) // 2):
            return False
        return len(find_places(list(names)[:TRIED], base, "", search=True).paths) > 0.9 * len(list(names)[:TRIED])

    return _first(columns, exist)


def _class_columns(columns: dict[str, list[str]], path: str, table: Table, *, numbers: bool) -> dict[str, Any]:
    """The column with the class, or the one-hot columns: {"label": ...} or {"one_hot": ...}.

    Args:
        columns: the cells by column, without the images' paths.
        path, table: of the manifest, for messages.
        numbers: whether the classes are made of numbers (data.label_threshold).

    Raises:
        RestemError: there is none; or several could be it; or columns of 0 and 1 are not one-hot.
    """
    from restem.example_gen.layouts.labels import find_one_hot, not_one_hot

    label = _named(LABELS, columns)
    if label is not None:
        return {"label": label}
    other = {name: values for name, values in columns.items() if normal_name(name) not in (*SPLITS, *GROUPS, *WEIGHTS)}
    one_hot, several = find_one_hot(other)
    if one_hot and not several:
        return {"one_hot": list(one_hot)}
    wanted = [
        name
        for name, values in other.items()
        if name and 2 <= len(set(values)) <= max(2, len(values) // 2) and not _says_splits(values)
    ]
    measured = [name for name, values in other.items() if name and _measures(values)]
    if numbers:
        wanted = measured
    elif measured and set(wanted) <= set(measured):
        raise RestemError(
            f"the column {measured[0]} has numbers: are they classes, or numbers to predict?",
            where=path,
            expected="a class for each image; this product does not train on numbers to predict",
            given=_values(columns[measured[0]]),
            remedy=f"If each number is a class: --set 'data.columns.label={measured[0]}'. For two classes, the numbers "
            "below 0.5 and the others: --set data.label_threshold=0.5",
        )
    if not wanted:
        raise _no_column("classes", path, table)
    if one_hot and set(wanted) <= set(one_hot) and not numbers:
        rows = [(f"row {at + 1}", [columns[name][at] for name in one_hot]) for at in several]
        raise not_one_hot(one_hot, rows, path)
    if len(wanted) > 1:
        raise RestemError(
            "several columns could be the classes",
            where=path,
            expected=f"a column with a usual name, such as label, or one column that repeats few values, or {ONE_HOT}",
            given="; ".join(f"{name} ({_values(columns[name])})" for name in wanted[:SHOWN]),
            remedy=f"Say which one: --set 'data.columns.label={wanted[0]}'",
        )
    return {"label": wanted[0]}


def _measures(values: Sequence[str]) -> bool:
    """Whether a column has numbers, and so many or such ones that they are hardly the numbers of classes."""
    known = {value for value in values if value}
    if not known or not all(map(is_number, known)):
        return False
    whole = all(value.isdigit() for value in known)  # if they are all different too, they only count the rows
    return not whole or MOST_NUMBERS < len(known) < len(values)


def _split_column(columns: dict[str, list[str]], path: str, reasons: dict[str, str]) -> dict[str, Any]:
    """The column with the splits: {"split": ...}; {"split": None} if the column split is something else.

    Raises:
        RestemError: some of its values are splits, and some are not.
    """
    named = _named(SPLITS, columns)
    split = named if named is not None and _says_splits(columns[named], some=True) else None
    split = split or _first(columns, lambda values: _says_splits(values) and len(set(values)) > 1)
    if split is None:
        if "split" in columns:
            reasons["columns"] = "the column split has no train, val or test"
            return {"split": None}
        return {}
    others = [value for value in columns[split] if value and value.lower() not in SPLIT_NAMES]
    if others:
        raise RestemError(
            f"the column {split} names splits and other things",
            where=path,
            expected="train, val or test in each row",
            given=_values(columns[split]),
            remedy="Rename the others, or remove their rows; or ignore the column: --set data.columns.split=null",
        )
    reasons["split"] = f"the column {split} gives the split of each image"
    return {"split": split}


def _says_splits(values: Sequence[str], *, some: bool = False) -> bool:
    """Whether all values, or some of them, are the names of splits."""
    known = [value.lower() in SPLIT_NAMES for value in values if value]
    return any(known) if some else bool(known) and all(known)


def _values(values: Sequence[str]) -> str:
    common = Counter(values).most_common()
    shown = ", ".join(f"{value or 'empty'}: {count} rows" for value, count in common[:SHOWN])
    return f"{shown} ..." if len(common) > SHOWN else shown


def _no_column(what: str, path: str, table: Table) -> RestemError:
    return RestemError(
        f"no column looks like {what}",
        where=path,
        expected=f"a column such as path, and a column such as label, or {ONE_HOT}",
        given=f"the columns {', '.join(table.columns)}",
        remedy="Say which ones: --set data.columns.path=NAME --set data.columns.label=NAME",
    )


def _records(path: str, given: Mapping[str, Any]) -> InferredLayout:
    from restem.example_gen.layouts.records import BadRecord, all_features, first_examples

    # The layout is set explicitly because the folder's name does not show that it contains TFRecord files.
    found: dict[str, list] = {}
    count = 0
    for data in first_examples(path, EXAMPLES):
        try:
            features = all_features(data)
        except BadRecord:
            continue
        count += 1
        for name, values in features.items():
            found.setdefault(name, []).append(values[0] if len(values) == 1 else None)
    single = {name: values for name, values in found.items() if len(values) == count and None not in values}
    named = given.get("features", {})
    image = named.get("image") or _first(single, lambda values: _share(values, _is_image) > 0.5)
    texts = {name: [_text(value) for value in values] for name, values in single.items() if name != image}
    label = named.get("label") or next((name for name in _by_last_part(texts, ("text", *LABELS))), None)
    if image is None or label is None:
        raise RestemError(
            f"no feature looks like {'encoded images' if image is None else 'classes'}",
            where=path,
            expected="a feature with one encoded image, and a feature with a class, such as label",
            given=f"the features {', '.join(sorted(found)) or 'none'}",
        )
    names: dict[str, Any] = {"image": image, "label": label, **named}
    keys: dict = {"path": path, "layout": "tfrecord", **given, "features": names}
    reasons = {"features": f"found in {', '.join(sorted(found))}", **dict.fromkeys(given, AS_GIVEN)}
    split = next(iter(_by_last_part(texts, SPLITS)), None)
    if "split" in names:
        split = names["split"]
    elif split is not None and {value.lower() for value in texts[split]} <= set(SPLIT_NAMES):
        keys["features"]["split"] = split
        reasons["split"] = f"the feature {split} gives the split of each image"
    used = {names["image"], names["label"], split}
    left = {name: values for name, values in texts.items() if name not in used}
    _roles(keys, reasons, left, given, kind="feature")
    return InferredLayout(DataConfig.model_validate(keys), reasons)


def _roles(keys: dict, reasons: dict, left: dict[str, list[str]], given: Mapping[str, Any], *, kind: str) -> None:
    """Finds group, weight and metadata among the remaining columns."""
    group = next(iter(_by_last_part(left, GROUPS)), None)
    if "group" not in given and group is not None and len(set(left[group])) > 1:
        keys["group"] = group
        reasons["group"] = f"the {kind} {group}: images of one group stay in one split"
    weight = next(iter(_by_last_part(left, WEIGHTS)), None)
    if "weight" not in given and weight is not None and _share(left[weight], _is_weight) == 1:
        keys["weight"] = weight
        reasons["weight"] = f"the {kind} {weight}: the weight of an image in training"
    reserved = {"path", "label", "label_index", "height", "width", "channels", "bit_depth", "format", "weight"}
    metadata = [
        name
        for name, values in left.items()
        if name and name not in (keys.get("group"), keys.get("weight")) and name not in reserved | {"image_bytes"}
        if 2 <= len(set(values)) <= min(LARGEST_SLICES, len(values) // 2)
    ][:MOST_METADATA]
    if metadata and "metadata" not in given:
        keys["metadata"] = metadata
        reasons["metadata"] = "few different values: kept with each image, for evaluate.slices"


def _named(names: Sequence[str], columns: Iterable[str]) -> str | None:
    lowered = {normal_name(column): column for column in columns}
    return next((lowered[name] for name in names if name in lowered), None)


def _by_last_part(columns: Iterable[str], names: Sequence[str]) -> list[str]:
    """The columns whose name, or its last part (image/class/text), is in `names`, in the order of `names`."""
    last = {column: column.lower().rpartition("/")[2] for column in columns}
    return [column for name in names for column, part in last.items() if part == name]


def _first(columns: dict[str, list], accept: Callable[[list], bool]) -> str | None:
    return next((name for name, values in columns.items() if values and accept(values)), None)


def _share(values: Sequence, accept: Callable[..., bool]) -> float:
    return sum(accept(value) for value in values) / max(1, len(values))


def _is_image(value: object) -> bool:
    if not isinstance(value, bytes):
        return False
    try:
        probe(value, max_pixels=2**40, max_bytes=2**31)
    except UnreadableImage:
        return False
    return True


def _is_weight(text: str) -> bool:
    try:
        return 0 <= float(text) < float("inf")
    except ValueError:
        return False


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace").strip()
    return "" if value is None else str(value).strip()

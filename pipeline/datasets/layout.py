"""How data are laid out, by looking at them: which layout, and which columns or features are which.

Names decide, as people give them; for what names do not tell, the content does.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import MANIFESTS, DataConfig, Layout, looks_like_records
from restem.images.header import UnreadableImage
from restem.images.probe import probe

ROWS = 2000  # of a manifest, that are looked at
EXAMPLES = 200  # of a TFRecord file
LARGEST_SLICES = 20  # different values; a column with more of them is not a slice
MOST_METADATA = 6
PATHS = ("path", "image_path", "file_path", "filepath", "file", "filename", "file_name", "image", "img", "image_file")
LABELS = ("label", "class", "category", "target", "diagnosis", "species", "class_name", "label_name", "y", "dx")
SPLITS = ("split", "set", "fold", "partition", "subset", "dataset")
GROUPS = ("group", "patient", "patient_id", "subject", "subject_id", "slide", "slide_id", "scene", "case", "case_id")
WEIGHTS = ("weight", "sample_weight")
_SPLIT_VALUES = frozenset({"train", "training", "test", "testing"})


@dataclass(frozen=True)
class InferredLayout:
    """The section data as far as it can be inferred.

    Attributes:
        data: the section.
        reasons: key of the section -> why; only of keys that differ from their default.
    """

    data: DataConfig
    reasons: dict[str, str] = field(default_factory=dict)


def infer_layout(path: str) -> InferredLayout:
    """Looks at what `path` names: a folder of images, a manifest, or TFRecord files.

    Raises:
        RestemError: there is nothing, or it is none of these.
    """
    layout = _layout(path)
    if layout == "manifest":
        return _manifest(path)
    if layout == "tfrecord":
        return _records(path)
    return InferredLayout(DataConfig(path=path, layout="folders"))


def _layout(path: str) -> Layout:
    name = path.rpartition("/")[2].lower()
    if name.endswith(MANIFESTS):
        return "manifest"
    if looks_like_records(name):
        return "tfrecord"
    try:
        return "tfrecord" if storage.files_like(path.rstrip("/") + "/*.tfrecord*") else "folders"
    except OSError:  # Listing the folder will say what is wrong with it.
        return "folders"


def _manifest(path: str) -> InferredLayout:
    from restem.example_gen.layouts.manifest import read_table

    table = read_table(path)
    rows = [[_text(value) for value in row] for _, row in islice(table.rows, ROWS)]
    columns = {name: [row[at] if at < len(row) else "" for row in rows] for at, name in enumerate(table.columns)}
    image = _named(PATHS, columns) or _first(columns, lambda values: _share(values, _is_path) > 0.5)
    label = _named(LABELS, columns) or _first(
        {name: values for name, values in columns.items() if name != image},
        lambda values: 2 <= len(set(values)) <= max(2, len(values) // 2),
    )
    if image is None or label is None:
        raise RestemError(
            f"no column looks like {'paths of images' if image is None else 'classes'}",
            where=path,
            expected="a column such as path, and one such as label",
            given=f"the columns {', '.join(table.columns)}",
        )
    keys: dict = {"path": path, "layout": "manifest"}
    reasons = {}
    names = {"path": image, "label": label}
    split = _named(SPLITS, columns)
    if split is not None and {value.lower() for value in columns[split]} <= _SPLIT_VALUES:
        names["split"] = split
        reasons["split"] = f"the column {split} says which images are for testing"
    if names != {"path": "path", "label": "label", **({"split": "split"} if "split" in names else {})}:
        keys["columns"] = names
        reasons["columns"] = f"of {', '.join(table.columns)}"
    _roles(keys, reasons, columns, used=set(names.values()), kind="column")
    return InferredLayout(DataConfig.model_validate(keys), reasons)


def _records(path: str) -> InferredLayout:
    from restem.example_gen.layouts.records import BadRecord, all_features, first_examples

    # A folder's name does not tell that it holds TFRecord files, so the layout is told.
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
    image = _first(single, lambda values: _share(values, _is_image) > 0.5)
    texts = {name: [_text(value) for value in values] for name, values in single.items() if name != image}
    label = next((name for name in _by_last_part(texts, ("text", *LABELS))), None)
    if image is None or label is None:
        raise RestemError(
            f"no feature looks like {'encoded images' if image is None else 'classes'}",
            where=path,
            expected="a feature with one encoded image, and one with a class such as label",
            given=f"the features {', '.join(sorted(found)) or 'none'}",
        )
    keys: dict = {"path": path, "layout": "tfrecord", "features": {"image": image, "label": label}}
    reasons = {"features": f"of {', '.join(sorted(found))}"}
    split = next(iter(_by_last_part(texts, SPLITS)), None)
    if split is not None and {value.lower() for value in texts[split]} <= _SPLIT_VALUES:
        keys["features"]["split"] = split
        reasons["split"] = f"the feature {split} says which images are for testing"
    _roles(keys, reasons, texts, used={image, label, split}, kind="feature")
    return InferredLayout(DataConfig.model_validate(keys), reasons)


def _roles(keys: dict, reasons: dict, columns: dict[str, list[str]], *, used: set, kind: str) -> None:
    """Group, weight and metadata among what is left over."""
    left = {name: values for name, values in columns.items() if name not in used}
    group = next(iter(_by_last_part(left, GROUPS)), None)
    if group is not None and len(set(left[group])) > 1:
        keys["group"] = group
        reasons["group"] = f"the {kind} {group}: what belongs together stays in one split"
    weight = next(iter(_by_last_part(left, WEIGHTS)), None)
    if weight is not None and _share(left[weight], _is_weight) == 1:
        keys["weight"] = weight
        reasons["weight"] = f"the {kind} {weight}: how much an image counts in training"
    reserved = {"path", "label", "label_index", "height", "width", "channels", "bit_depth", "format", "weight"}
    metadata = [
        name
        for name, values in left.items()
        if name and name not in (keys.get("group"), keys.get("weight")) and name not in reserved | {"image_bytes"}
        if 2 <= len(set(values)) <= min(LARGEST_SLICES, len(values) // 2)
    ][:MOST_METADATA]
    if metadata:
        keys["metadata"] = metadata
        reasons["metadata"] = "few different values: kept beside each image, for evaluate.slices"


def _named(names: Sequence[str], columns: Iterable[str]) -> str | None:
    lowered = {column.lower().strip().replace(" ", "_"): column for column in columns}
    return next((lowered[name] for name in names if name in lowered), None)


def _by_last_part(columns: Iterable[str], names: Sequence[str]) -> list[str]:
    """Those whose name, or the last part of it (image/class/text), is one of the names, in the names' order."""
    last = {column: column.lower().rpartition("/")[2] for column in columns}
    return [column for name in names for column, part in last.items() if part == name]


def _first(columns: dict[str, list], accept: Callable[[list], bool]) -> str | None:
    return next((name for name, values in columns.items() if values and accept(values)), None)


def _share(values: Sequence, accept: Callable[..., bool]) -> float:
    return sum(accept(value) for value in values) / max(1, len(values))


def _is_path(text: str) -> bool:
    stem, dot, suffix = text.rpartition(".")
    return bool(stem and dot) and suffix.lower() in {"png", "jpg", "jpeg", "bmp", "gif", "tif", "tiff", "webp", "npy"}


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

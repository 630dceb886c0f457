"""Infers the layout of a dataset, and the meaning of its columns or features.

Usual names decide; if the names are not enough, the content decides.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import MANIFESTS, DataConfig, Layout, looks_like_records
from restem.example_gen.dataset import SPLIT_NAMES
from restem.images.header import UnreadableImage
from restem.images.probe import probe

ROWS = 2000  # rows of a manifest that are read
EXAMPLES = 200  # examples of a TFRecord file that are read
LARGEST_SLICES = 20  # a column with more different values is not used for slices
MOST_METADATA = 6
PATHS = ("path", "image_path", "file_path", "filepath", "file", "filename", "file_name", "image", "img", "image_file")
LABELS = ("label", "class", "category", "target", "diagnosis", "species", "class_name", "label_name", "y", "dx")
SPLITS = ("split", "set", "fold", "partition", "subset", "dataset")
GROUPS = ("group", "patient", "patient_id", "subject", "subject_id", "slide", "slide_id", "scene", "case", "case_id")
WEIGHTS = ("weight", "sample_weight")


@dataclass(frozen=True)
class InferredLayout:
    """The inferred section `data`.

    Attributes:
        data: the section.
        reasons: key of the section -> the reason; only keys that differ from their default.
    """

    data: DataConfig
    reasons: dict[str, str] = field(default_factory=dict)


def infer_layout(path: str) -> InferredLayout:
    """Infers the layout of `path`: a folder of images, a manifest, or TFRecord files.

    Raises:
        RestemError: the path does not exist, or it is none of these.
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
    except OSError:  # Listing the folder later reports the problem.
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
            expected="a column such as path, and a column such as label",
            given=f"the columns {', '.join(table.columns)}",
        )
    keys: dict = {"path": path, "layout": "manifest"}
    reasons = {}
    names = {"path": image, "label": label}
    split = _named(SPLITS, columns)
    if split is not None and {value.lower() for value in columns[split]} <= set(SPLIT_NAMES):
        names["split"] = split
        reasons["split"] = f"the column {split} gives the split of each image"
    if names != {"path": "path", "label": "label", **({"split": "split"} if "split" in names else {})}:
        keys["columns"] = names
        reasons["columns"] = f"found in {', '.join(table.columns)}"
    _roles(keys, reasons, columns, used=set(names.values()), kind="column")
    return InferredLayout(DataConfig.model_validate(keys), reasons)


def _records(path: str) -> InferredLayout:
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
    image = _first(single, lambda values: _share(values, _is_image) > 0.5)
    texts = {name: [_text(value) for value in values] for name, values in single.items() if name != image}
    label = next((name for name in _by_last_part(texts, ("text", *LABELS))), None)
    if image is None or label is None:
        raise RestemError(
            f"no feature looks like {'encoded images' if image is None else 'classes'}",
            where=path,
            expected="a feature with one encoded image, and a feature with a class, such as label",
            given=f"the features {', '.join(sorted(found)) or 'none'}",
        )
    keys: dict = {"path": path, "layout": "tfrecord", "features": {"image": image, "label": label}}
    reasons = {"features": f"found in {', '.join(sorted(found))}"}
    split = next(iter(_by_last_part(texts, SPLITS)), None)
    if split is not None and {value.lower() for value in texts[split]} <= set(SPLIT_NAMES):
        keys["features"]["split"] = split
        reasons["split"] = f"the feature {split} gives the split of each image"
    _roles(keys, reasons, texts, used={image, label, split}, kind="feature")
    return InferredLayout(DataConfig.model_validate(keys), reasons)


def _roles(keys: dict, reasons: dict, columns: dict[str, list[str]], *, used: set, kind: str) -> None:
    """Finds group, weight and metadata among the remaining columns."""
    left = {name: values for name, values in columns.items() if name not in used}
    group = next(iter(_by_last_part(left, GROUPS)), None)
    if group is not None and len(set(left[group])) > 1:
        keys["group"] = group
        reasons["group"] = f"the {kind} {group}: images of one group stay in one split"
    weight = next(iter(_by_last_part(left, WEIGHTS)), None)
    if weight is not None and _share(left[weight], _is_weight) == 1:
        keys["weight"] = weight
        reasons["weight"] = f"the {kind} {weight}: the weight of an image in training"
    reserved = {"path", "label", "label_index", "height", "width", "channels", "bit_depth", "format", "weight"}
    metadata = [
        name
        for name, values in left.items()
        if name and name not in (keys.get("group"), keys.get("weight")) and name not in reserved | {"image_bytes"}
        if 2 <= len(set(values)) <= min(LARGEST_SLICES, len(values) // 2)
    ][:MOST_METADATA]
    if metadata:
        keys["metadata"] = metadata
        reasons["metadata"] = "few different values: kept with each image, for evaluate.slices"


def _named(names: Sequence[str], columns: Iterable[str]) -> str | None:
    lowered = {column.lower().strip().replace(" ", "_"): column for column in columns}
    return next((lowered[name] for name in names if name in lowered), None)


def _by_last_part(columns: Iterable[str], names: Sequence[str]) -> list[str]:
    """The columns whose name, or its last part (image/class/text), is in `names`, in the order of `names`."""
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

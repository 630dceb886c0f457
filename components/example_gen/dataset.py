"""The listed dataset: images with classes and splits, and the files that cannot become examples, with the reason."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from restem.visible import visible

TRAIN, VAL, TEST = "train", "val", "test"
SPLITS = (TRAIN, VAL, TEST)
TITLES = {TRAIN: "training", VAL: "validation", TEST: "test"}  # as in "training images"
# What folders, columns and features may call them.
SPLIT_NAMES = {
    **{"train": TRAIN, "training": TRAIN},
    **{"val": VAL, "valid": VAL, "validation": VAL, "validate": VAL, "dev": VAL, "development": VAL},
    **{"test": TEST, "testing": TEST},
}
SHOWN = 5  # at most this many names in a message


@dataclass(frozen=True, slots=True)
class Record:
    """The location of a serialized tf.Example: `length` bytes from `offset` in an uncompressed file.

    feature: the name of the feature with the encoded image; empty if the bytes are the image itself.
    """

    file: str
    offset: int
    length: int
    feature: str = ""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A listed image, before it becomes an example.

    path: relative to the listing's folder, with forward slashes; or absolute, or a URL. For a record, its name.
    label: the class name, unicode-normalised (NFC); control characters in it become escapes, see `visible`.
    split: 'train', 'val' or 'test'; empty until it is decided.
    group: images of one group stay in one split.
    weight: the weight in training.
    metadata: values of data.metadata, in its order.
    record: the location, if the image is an example in a TFRecord file.
    key: the string whose hash decides the split; None means the path.
    """

    path: str
    label: str
    split: str
    group: str | None = None
    weight: float = 1.0
    metadata: tuple[str, ...] = ()
    record: Record | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if not self.label.isprintable():
            object.__setattr__(self, "label", visible(self.label))

    def to_json(self) -> str:
        """One line of JSON, without empty fields."""
        return json.dumps({name: value for name, value in asdict(self).items() if value not in (None, "", ())})

    @classmethod
    def from_json(cls, text: str) -> "ImageFile":
        """Reads the output of `to_json`."""
        values = json.loads(text)
        record = values.pop("record", None)
        metadata = tuple(values.pop("metadata", ()))
        return cls(**{"split": "", **values}, metadata=metadata, record=Record(**record) if record else None)


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that cannot become an example.

    path: as in `ImageFile`, made visible: it is shown, not opened.
    reason: a sentence for the user, made visible.
    bytes: its size; -1 if unknown.
    """

    path: str
    reason: str
    bytes: int = -1

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", visible(self.path))
        object.__setattr__(self, "reason", visible(self.reason))

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Refused":
        """Reads the output of `to_json`."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class ExampleFields:
    """The fields of an example besides its image.

    classes: all class names; an example's label_index is an index into them.
    weighted: whether examples have a `weight`.
    metadata: the names of additional features, each with one string.
    """

    classes: tuple[str, ...]
    weighted: bool = False
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """The images and refused files that were found.

    folder: the folder that the images' paths are relative to.
    classes: the class names, sorted; an example's label_index is an index into them.
    files: sorted by path.
    refused: the files that cannot become examples, sorted by path.
    given_splits: whether the data say which image is in which split.
    spans: the numbers of the spans that were read, if the path has {SPAN}.
    notes: hints for the user, for example about columns that look useful but are not used.
    """

    folder: str
    classes: tuple[str, ...]
    files: tuple[ImageFile, ...]
    refused: tuple[Refused, ...]
    given_splits: bool
    spans: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(name.isprintable() for name in self.classes):
            object.__setattr__(self, "classes", tuple(sorted({visible(name) for name in self.classes})))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that the images are in: `train`, `test`, and `val` if it has images."""
        has_val = any(file.split == VAL for file in self.files)
        return tuple(split for split in SPLITS if split != VAL or has_val)

    def counts(self) -> dict[str, Counter]:
        """Split -> Counter of files per class."""
        counts: dict[str, Counter] = {split: Counter() for split in self.splits}
        for file in self.files:
            counts[file.split][file.label] += 1
        return counts

    def __len__(self) -> int:
        """The number of all files, including refused ones."""
        return len(self.files) + len(self.refused)


def relative(folder: str, path: str) -> str:
    """`path` relative to `folder` if it is inside; empty for the folder itself; otherwise unchanged."""
    folder, path = folder.rstrip("/"), path.rstrip("/")
    return "" if path == folder else path.removeprefix(folder + "/")


def first_few(names: Sequence[str]) -> str:
    """The first few of many names."""
    shown = ", ".join(visible(name) for name in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown

"""The data set as it is listed: images, their classes and splits; and what can never be an example, with the reason."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

TRAIN, TEST = "train", "test"
SPLITS = (TRAIN, TEST)
SHOWN = 5  # of many names, in a message


@dataclass(frozen=True, slots=True)
class Record:
    """Where a serialized tf.Example lies: `length` bytes from `offset` in a file that is not compressed.

    feature: the name of the one that holds the encoded image.
    """

    file: str
    offset: int
    length: int
    feature: str = ""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image on its way, from the listing to the example.

    path: relative to the listing's folder, with forward slashes; or absolute, or an address. Of a record, its name.
    label: the class's name, unicode-normalised (NFC).
    split: 'train' or 'test'; empty before it is decided.
    group: what must not be in two splits.
    weight: in training.
    metadata: values of data.metadata, in its order.
    record: where the image is an example in a TFRecord file.
    key: what the split is decided by; none: the path.
    """

    path: str
    label: str
    split: str
    group: str | None = None
    weight: float = 1.0
    metadata: tuple[str, ...] = ()
    record: Record | None = None
    key: str | None = None

    def to_json(self) -> str:
        """One line of JSON, without what is empty."""
        return json.dumps({name: value for name, value in asdict(self).items() if value not in (None, "", ())})

    @classmethod
    def from_json(cls, text: str) -> "ImageFile":
        """What `to_json` wrote."""
        values = json.loads(text)
        record = values.pop("record", None)
        metadata = tuple(values.pop("metadata", ()))
        return cls(**{"split": "", **values}, metadata=metadata, record=Record(**record) if record else None)


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that cannot be an example.

    path: as in `ImageFile`.
    reason: why, as a sentence for the user.
    bytes: its size; -1: not known.
    """

    path: str
    reason: str
    bytes: int = -1

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Refused":
        """What `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class ExampleFields:
    """What an example says beside its image.

    classes: all names; an example's label_index is the position here.
    weighted: it has a `weight`.
    metadata: the names of further features, each one text.
    """

    classes: tuple[str, ...]
    weighted: bool = False
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """What was found.

    folder: where the images' paths start.
    classes: their names, sorted; an example's label_index is the position here.
    files: sorted by path.
    refused: what cannot be an example, sorted by path.
    given_splits: the user says which image is in which split.
    spans: the numbers of the spans read, where the path has {SPAN}.
    notes: what a user should know: columns that look useful and are not used, for instance.
    """

    folder: str
    classes: tuple[str, ...]
    files: tuple[ImageFile, ...]
    refused: tuple[Refused, ...]
    given_splits: bool
    spans: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def counts(self) -> dict[str, Counter]:
        """Split -> Counter of the files of each class."""
        counts: dict[str, Counter] = {split: Counter() for split in SPLITS}
        for file in self.files:
            counts[file.split][file.label] += 1
        return counts

    def __len__(self) -> int:
        """All that was looked at."""
        return len(self.files) + len(self.refused)


def relative(folder: str, path: str) -> str:
    """`path` as seen from `folder`, where it lies inside; nothing for the folder itself; else as it is."""
    folder, path = folder.rstrip("/"), path.rstrip("/")
    return "" if path == folder else path.removeprefix(folder + "/")


def text_of(name: str) -> str:
    """A name in which bytes that are not text are written out."""
    return name.encode(errors="backslashreplace").decode()


def first_few(names: Sequence[str]) -> str:
    """The first few of many names."""
    shown = ", ".join(text_of(name) for name in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown

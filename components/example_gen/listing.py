"""What there is to read: classes, splits, images; and what can never be an example, with the reason.

Each layout has a module that lists it (`folder`, `manifest`, `records`); here the spans of a path come together, and
every image gets its split.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from components.errors import RestemError
from components.example_gen import spans
from components.example_gen.config import DataConfig

TRAIN, TEST = "train", "test"
SPLITS = (TRAIN, TEST)
_SHOWN = 5


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
    """One image to be read.

    path: relative to the listing's folder, with forward slashes; or absolute, or an address. Of a record, its name.
    label: the class's name, unicode-normalised (NFC).
    split: 'train' or 'test'; empty before it is decided.
    group: what must not stand in two splits.
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


@dataclass(frozen=True, slots=True)
class Stray:
    """A file that cannot be an example, and why, in words for the user; `bytes` -1 where its size is asked later."""

    path: str
    reason: str
    bytes: int = -1


@dataclass(frozen=True)
class Listing:
    """What was found.

    folder: where the images' paths start.
    classes: their names, sorted; an example's label_index is the position here.
    files: sorted by path.
    strays: what cannot be an example, sorted by path.
    given_splits: the user says which image is in which split.
    spans: the numbers of the spans read, where the path has {SPAN}.
    notes: what a user should know: columns that look useful and are not used, for instance.
    """

    folder: str
    classes: tuple[str, ...]
    files: tuple[ImageFile, ...]
    strays: tuple[Stray, ...]
    given_splits: bool
    spans: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def counts(self) -> dict[str, Counter]:
        """Split -> Counter of the files of each class."""
        counts = {split: Counter() for split in SPLITS}
        for file in self.files:
            counts[file.split][file.label] += 1
        return counts

    def __len__(self) -> int:
        """All that was looked at."""
        return len(self.files) + len(self.strays)


def list_data(path: str, config: DataConfig, *, scratch: str | None = None) -> Listing:
    """Lists what a path holds, all its spans together, and decides every image's split.

    Args:
      path: as data.path.
      config: layout, names, splits.
      scratch: a folder that those who read can reach: compressed TFRecord files are unpacked into it.

    Raises:
      RestemError: no such file or folder, nothing in it, or it is not laid out as `config` says.
    """
    from components.example_gen.splits import assign_splits

    folder = spans.base(path, config.found_layout)[0]
    found = spans.newest(path, config.spans)
    listings = [_lister(config)(span.path, folder, config, scratch) for span in found]
    merged = merge(folder, listings, tuple(span.number for span in found if span.number is not None))
    return assign_splits(merged, config)


def check_listing(path: str, config: DataConfig, *, scratch: str | None = None) -> Listing:
    """Lists a path and refuses what cannot be trained on; takes a second for 100,000 files.

    Raises:
      RestemError: whatever `list_data` raises; fewer than two classes; a class without training images; no test
        images at all.
    """
    listing = list_data(path, config, scratch=scratch)
    if len(listing.classes) == 1 and config.found_layout == "folders" and not listing.given_splits:
        from components.example_gen.folder import point_deeper

        point_deeper(listing)
    check_counts(listing.classes, listing.counts(), path, given_splits=listing.given_splits)
    return listing


def _lister(config: DataConfig) -> Callable[[str, str, DataConfig, str | None], Listing]:
    if config.found_layout == "manifest":
        from components.example_gen.manifest import list_manifest

        return list_manifest
    if config.found_layout == "tfrecord":
        from components.example_gen.records import list_records

        return list_records
    from components.example_gen.folder import list_images

    return lambda path, folder, config, scratch: list_images(path, folder, config.group)


def fingerprint(path: str, config: DataConfig) -> str:
    """Changes whenever an image is added, removed, renamed, edited, or gets another label.

    Returns:
      One line a span: 64 hexadecimal digits over the path, size and time of modification of everything in it.

    Raises:
      RestemError: there is no such thing.
    """
    lines = []
    folder = spans.base(path, config.found_layout)[0]
    for span in spans.newest(path, config.spans):
        if config.found_layout == "manifest":
            from components.example_gen.manifest import fingerprint as one
        elif config.found_layout == "tfrecord":
            from components.example_gen.records import fingerprint as one
        else:
            from components.example_gen.folder import fingerprint as one
        lines.append(one(span.path, folder, config))
    return "\n".join(lines)


def merge(folder: str, listings: Sequence[Listing], numbers: tuple[int, ...] = ()) -> Listing:
    """Several listings with paths from the same folder as one.

    Raises:
      RestemError: some have given splits and some have none.
    """
    if len({one.given_splits for one in listings}) > 1:
        raise RestemError(
            "some spans say which images are for testing, and some do not",
            where=f"data.path ({folder})",
            expected="the same in every span that is read",
        )
    if len(listings) == 1:
        return replace(listings[0], spans=numbers)
    return Listing(
        folder=folder,
        classes=tuple(sorted({name for one in listings for name in one.classes})),
        files=tuple(sorted((file for one in listings for file in one.files), key=lambda file: file.path)),
        strays=tuple(sorted((stray for one in listings for stray in one.strays), key=lambda stray: stray.path)),
        given_splits=listings[0].given_splits,
        spans=numbers,
        notes=tuple(dict.fromkeys(note for one in listings for note in one.notes)),
    )


def relative(folder: str, path: str) -> str:
    """`path` as seen from `folder`, where it lies inside; nothing for the folder itself; else as it is."""
    folder, path = folder.rstrip("/"), path.rstrip("/")
    return "" if path == folder else path.removeprefix(folder + "/")


def check_counts(
    classes: tuple[str, ...], counts: dict[str, Counter], folder: str, *, given_splits: bool, readable: bool = False
) -> None:
    """Refuses what cannot be trained on.

    Args:
      classes: the names of all classes.
      counts: split -> class -> number of images.
      folder: for the message.
      given_splits: the user's own train and test folders, or column, say which image is in which split.
      readable: the counts are of images that were read, not of files.

    Raises:
      RestemError: fewer than two classes; a class without training images; no test images at all.
    """
    kind = "readable images" if readable else "images"
    if len(classes) < 2:
        raise RestemError(
            "there is only one class, so there is nothing to tell apart",
            where=f"data.path ({folder})",
            expected="at least two class folders",
            given=f"{classes[0]}/" if classes else "none",
        )
    if untrained := [name for name in classes if not counts[TRAIN][name]]:
        tested = [name for name in untrained if counts[TEST][name]]
        how = f"{kind} of every class for training"
        if given_splits:
            remedy = "Put images of it into train/, or remove its folder"
        elif tested:
            remedy = (
                "All its images fell to the test split (a hash of their paths decides): add images, lower "
                "data.test_share, set data.split: stratified, or make the sub-folders train/ and test/ yourself"
            )
        else:
            remedy = "Put images into it, or remove it"
        raise RestemError(
            f"{_plural(len(untrained), 'class has', 'classes have')} no {kind} to train on: {some(untrained)}",
            where=f"data.path ({folder})",
            expected=how,
            given=", ".join(f"{name}: 0 for training, {counts[TEST][name]} for testing" for name in untrained[:_SHOWN]),
            remedy=remedy,
        )
    if not sum(counts[TEST].values()):
        remedy = (
            "Put some into test/" if given_splits else "Add images, raise data.test_share, or make train/ and test/"
        )
        raise RestemError(
            f"there are no {kind} to test with",
            where=f"data.path ({folder})",
            expected="at least one image in the test split",
            given=f"{sum(counts[TRAIN].values())} for training, none for testing",
            remedy=remedy,
        )


def text_of(name: str) -> str:
    """A name in which bytes that are no text are written out."""
    return name.encode(errors="backslashreplace").decode()


def some(names: Sequence[str]) -> str:
    """The first few of many names."""
    shown = ", ".join(text_of(name) for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"

"""What lies in a folder of images: classes, splits, files. Reads names only, never a file's content.

    path/<class>/...          each file's split is decided by a hash of its path
    path/train/<class>/...    } the splits as given
    path/test/<class>/...     }

Files may lie in sub-folders of a class folder. Hidden files and folders are not looked at. What cannot be an example
(a file outside the class folders, a socket) is listed as a stray with its reason: ImageExampleGen puts it to
quarantine, so that every file is accounted for.
"""

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from components.errors import RestemError
from components.example_gen.config import DataConfig

TRAIN, TEST = "train", "test"
SPLITS = (TRAIN, TEST)

# What operating systems leave behind; they say no more about the images than names that begin with a dot.
_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir"})
_SHOWN = 5
_FILE, _FOLDER, _OTHER = "file", "folder", "other"


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file in a class folder.

    path: relative to the listing's folder, with forward slashes.
    label: the class's name, unicode-normalised (NFC).
    split: 'train' or 'test'.
    """

    path: str
    label: str
    split: str


@dataclass(frozen=True, slots=True)
class Stray:
    """A file that cannot be an example, and why, in words for the user."""

    path: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """What lies in a folder of images.

    folder: as given.
    classes: their names, sorted; an example's label_index is the position here.
    files: sorted by path.
    strays: files that cannot be examples, sorted by path.
    layout: 'split' with sub-folders train and test, else 'flat'.
    """

    folder: str
    classes: tuple[str, ...]
    files: tuple[ImageFile, ...]
    strays: tuple[Stray, ...]
    layout: Literal["flat", "split"]

    def counts(self) -> dict[str, Counter]:
        """Split -> Counter of the files of each class."""
        counts = {split: Counter() for split in SPLITS}
        for file in self.files:
            counts[file.split][file.label] += 1
        return counts


def check_listing(path: str, config: DataConfig) -> Listing:
    """Lists a folder and refuses what cannot be trained on; takes a second for 100,000 files.

    Raises:
      RestemError: whatever `list_images` raises; fewer than two classes; a class without training images; no test
        images at all.
    """
    listing = list_images(path, config)
    if len(listing.classes) == 1 and listing.layout == "flat":
        _point_deeper(listing)
    check_counts(listing.classes, listing.counts(), path, given_splits=listing.layout == "split")
    return listing


def _point_deeper(listing: Listing) -> None:
    """Refuses a folder that holds the folder that was meant: what an unpacked archive often looks like."""
    insides = sorted({name.split("/")[1] for name in (file.path for file in listing.files) if name.count("/") > 1})
    if insides:
        raise RestemError(
            f"there is only one class folder, {listing.classes[0]}/, and it holds folders: {_some(insides)}",
            where=f"data.path ({listing.folder})",
            expected="at least two class folders",
            remedy=f"If the classes are further inside, name that folder, e.g. {_deepest(listing)}",
        )


def _deepest(listing: Listing) -> str:
    """The first folder on the way down that holds more than one folder."""
    folders = {tuple(file.path.split("/")[:-1]) for file in listing.files}
    here: tuple[str, ...] = ()
    while len(deeper := {folder[: len(here) + 1] for folder in folders if len(folder) > len(here)}) == 1:
        (here,) = deeper
    return os.path.join(listing.folder, *here)


def check_counts(
    classes: tuple[str, ...], counts: dict[str, Counter], folder: str, *, given_splits: bool, readable: bool = False
) -> None:
    """Refuses what cannot be trained on.

    Args:
      classes: the names of all classes.
      counts: split -> class -> number of images.
      folder: for the message.
      given_splits: the user's own train and test folders say which image is in which split.
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
                "data.test_share, or make the sub-folders train/ and test/ yourself"
            )
        else:
            remedy = "Put images into it, or remove it"
        raise RestemError(
            f"{_plural(len(untrained), 'class has', 'classes have')} no {kind} to train on: {_some(untrained)}",
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


def list_images(path: str, config: DataConfig) -> Listing:
    """Finds classes, splits and files in a folder.

    Args:
      path: the folder.
      config: its test_share is used where the folder has no train/ and test/.

    Returns:
      The listing; classes without files and classes in one split only are in it, `check_listing` refuses them.

    Raises:
      RestemError: no such folder, nothing in it, no class folders in it, train/ without test/ or the reverse, or class
        folders beside train/ and test/.
    """
    _require_folder(path)
    where = f"data.path ({path})"
    found = list(_walk(path))
    folders = [name for name, kind in found if kind == _FOLDER]
    files = sorted(name for name, kind in found if kind != _FOLDER)
    top_folders = sorted({name.split("/")[0] for name in folders})
    split_folders = _split_folders(top_folders, files, where)

    classes: set[str] = set()
    for folder in folders:
        parts = folder.split("/")
        if split_folders and len(parts) == 2 and parts[0] in split_folders:
            classes.add(_normalise(parts[1]))
        elif not split_folders and len(parts) == 1:
            classes.add(_normalise(parts[0]))

    images, strays = [], []
    for name, kind in found:
        if kind != _FOLDER:
            placed = _place(name, kind, split_folders, config.test_share)
            (strays if isinstance(placed, Stray) else images).append(placed)

    if not files and not classes:
        raise RestemError("the folder is empty", where=where, expected="a folder of images for each class")
    if not classes:
        inside = f" (in {', '.join(sorted(split_folders))})" if split_folders else ""
        raise RestemError(
            f"there are no class folders{inside}",
            where=where,
            expected="a folder for each class, named like the class, with its images in it",
            given=f"{len(files)} files and no such folder, among them {_some(files)}" if files else "no files",
            remedy="Sort the images into one folder a class",
        )
    return Listing(
        folder=path,
        classes=tuple(sorted(_text(name) for name in classes)),
        files=tuple(sorted(images, key=lambda file: file.path)),
        strays=tuple(sorted(strays, key=lambda stray: stray.path)),
        layout="split" if split_folders else "flat",
    )


def fingerprint(path: str) -> str:
    """Changes whenever a file is added, removed, renamed, moved to another class, or edited.

    Returns:
      64 hexadecimal digits over every file's relative path, size in bytes and time of modification in nanoseconds.

    Raises:
      RestemError: there is no such folder.
    """
    _require_folder(path)
    digest = hashlib.sha256()
    for relative in sorted(name for name, kind in _walk(path) if kind != _FOLDER):
        try:
            status = os.stat(os.path.join(path, relative))
            state = f"{status.st_size} {status.st_mtime_ns}"
        except OSError as error:
            state = str(error.errno)
        digest.update(os.fsencode(relative) + b"\0" + state.encode() + b"\0")
    return digest.hexdigest()


def hashed_split(path: str, test_share: float) -> str:
    """The split of a file by its relative path alone: the same for ever, whatever lies beside it.

    The path is unicode-normalised first: macOS and Linux write the same accented name in different bytes.
    """
    digest = hashlib.sha256(_normalise(path).encode()).digest()
    return TEST if int.from_bytes(digest[:8], "big") < test_share * 2**64 else TRAIN


def _require_folder(path: str) -> None:
    if not os.path.isdir(path):
        what = "this is a file, not a folder" if os.path.exists(path) else "there is no such folder"
        expected = "a folder with a folder of images for each class"
        raise RestemError(what, where=f"data.path ({path})", expected=expected)


def _place(name: str, kind: str, split_folders: dict[str, str], test_share: float) -> ImageFile | Stray:
    parts = name.split("/")
    if not _is_text(name):
        return Stray(_text(name), "Its name is not valid UTF-8: rename it.")
    if kind == _OTHER:
        return Stray(name, "It is neither a file nor a folder, or a link to nothing.")
    if split_folders:
        if parts[0] not in split_folders or len(parts) < 3:
            return Stray(name, "It lies outside the class folders, so its class is not known.")
        return ImageFile(name, _normalise(parts[1]), split_folders[parts[0]])
    if len(parts) < 2:
        return Stray(name, "It lies outside the class folders, so its class is not known.")
    return ImageFile(name, _normalise(parts[0]), hashed_split(name, test_share))


def _split_folders(top_folders: list[str], files: list[str], where: str) -> dict[str, str]:
    """The top folders that are splits: their name as written -> 'train' or 'test'; empty for a flat layout."""
    found = {name: name.lower() for name in top_folders if name.lower() in SPLITS}
    if not found:
        return {}
    missing = [split for split in SPLITS if split not in found.values()]
    if missing:
        raise RestemError(
            f"there is {_some(sorted(found))}/ without {missing[0]}/",
            where=where,
            expected="both train/ and test/ with the class folders inside, or class folders alone",
            given=_some([f"{name}/" for name in top_folders]),
            remedy=f"Make {missing[0]}/ beside it; or, to have the images split by restem, move the class folders out",
        )
    used = {name.split("/")[0] for name in files if "/" in name}
    if others := [f"{name}/" for name in top_folders if name not in found and name in used]:
        raise RestemError(
            f"beside train/ and test/ there are other folders: {_some(others)}",
            where=where,
            expected="train/ and test/ alone, each with the class folders inside",
            remedy="Move their images into train/ or test/, or take them out of the folder",
        )
    return found


def _walk(root: str) -> Iterator[tuple[str, str]]:
    """Everything below a folder that is not hidden: (relative path with forward slashes, its kind).

    Links are followed, but never into a folder that one is already in: such a loop would have no end.
    """
    status = os.stat(root)
    waiting = [("", frozenset({(status.st_dev, status.st_ino)}))]
    while waiting:
        folder, ancestors = waiting.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                entries = list(entries)
        except PermissionError as error:
            raise RestemError(
                "this folder cannot be looked into",
                where=f"data.path ({os.path.join(root, folder)})",
                given=error.strerror,
                remedy="Give yourself the right to read it, or move it away",
            ) from None
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in _LITTER:
                continue
            relative = f"{folder}/{entry.name}" if folder else entry.name
            kind = _kind(entry)
            if kind == _FOLDER:
                status = entry.stat()
                identity = (status.st_dev, status.st_ino)
                if identity in ancestors:
                    continue
                waiting.append((relative, ancestors | {identity}))
            yield relative, kind


def _kind(entry: os.DirEntry) -> str:
    try:
        if entry.is_dir():
            return _FOLDER
        return _FILE if entry.is_file() else _OTHER
    except OSError:  # A link to itself.
        return _OTHER


def _normalise(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _is_text(name: str) -> bool:
    """Whether a file's name is text; names of other bytes come from the system with lone surrogates in them."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()


def _some(names: list[str]) -> str:
    shown = ", ".join(_text(name) for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"

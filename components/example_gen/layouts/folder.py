"""Lists a folder of images: classes, splits, files. It reads only names, never a file's content.

    path/<class>/...          the splits are decided later, see `splits`
    path/train/<class>/...    } given splits
    path/test/<class>/...     }

or as data.folders says, see `arrangement`. The path is local or a URL such as gs://bucket/images. Files may be in
sub-folders of a class folder. Hidden files and folders are skipped. Files that cannot be examples (a file outside the
class folders, a socket, a link that leads out of the folder) are listed as refused with the reason. ImageExampleGen
quarantines them, so that every file is accounted for.
"""

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import ImageFile, Listing, Refused, first_few, relative
from restem.example_gen.group_pattern import compiled_group
from restem.example_gen.layouts.arrangement import Arrangement, arrange
from restem.example_gen.selection import Selection

# Files that operating systems leave behind. They are skipped like names that begin with a dot.
_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir"})
_FILE, _FOLDER, _OTHER, _OUTSIDE, _LOOP = "file", "folder", "other", "outside", "loop"
_REASONS = {
    _OTHER: "It is neither a file nor a folder, or it is a broken link.",
    _OUTSIDE: "It is a link that leads out of the data folder: set data.follow_links: true to follow such links.",
    _LOOP: "It is a link to a folder that contains it.",
}


def list_images(path: str, folder: str, config: DataConfig, scratch: str | None = None) -> Listing:
    """Finds classes, splits and files in a folder.

    Args:
      path: the folder.
      folder: the folder that the images' paths are relative to: the path itself, or a folder above it.
      config: its `group` is a regular expression with one group in parentheses, searched in every image's path.
      scratch: not used, since nothing has to be unpacked.

    Returns:
      The listing. It includes classes without files and classes in only one split; `check_listing` refuses them.
      Without given splits, every image's split is empty.

    Raises:
      RestemError: the folder does not exist, is empty, or has no class folders; train/ without test/ or vice versa;
        class folders next to train/ and test/; or no path matches the group's pattern.
    """
    selection = Selection(config)
    found = selection.of_folder(sorted((name, kind) for name, kind, _ in _walk(path, folder, config.follow_links)))
    where = f"data.path ({path})"
    folders = [name for name, kind in found if kind == _FOLDER]
    files = [name for name, kind in found if kind != _FOLDER]
    arrangement = arrange(path, folders, files, config.folder_parts, where)

    classes: set[str] = set()
    for name in folders:
        parts = name.split("/")
        if arrangement.is_class(parts):
            classes.add(_normalise(parts[arrangement.class_at]))

    images: list[ImageFile] = []
    refused: list[Refused] = []
    for name, kind in found:
        if kind != _FOLDER:
            placed = _place(name, kind, arrangement)
            if isinstance(placed, Refused):
                refused.append(placed)
            else:
                images.append(placed)

    if not files and not classes:
        raise RestemError(
            "the folder is empty", where=where, expected="a folder of images for each class", given=selection.note
        )
    if not classes:
        inside = f" (in {', '.join(sorted(arrangement.splits))})" if arrangement.splits else ""
        raise RestemError(
            f"there are no class folders{inside}",
            where=where,
            expected="a folder for each class, named like the class, that contains its images",
            given=f"{len(files)} files without such a folder, among them {first_few(files)}" if files else "no files",
            remedy="Set data.follow_links: true if the class folders are links to other folders"
            if any(kind == _OUTSIDE for _, kind in found)
            else "Sort the images into one folder per class",
        )
    prefix = relative(folder, path)
    if prefix:
        images = [replace(file, path=f"{prefix}/{file.path}") for file in images]
        refused = [replace(one, path=f"{prefix}/{one.path}") for one in refused]
    return Listing(
        folder=folder,
        classes=tuple(sorted(classes)),
        files=grouped_by_path(images, config.group),
        refused=tuple(refused),
        given_splits=bool(arrangement.splits),
        notes=tuple(note for note in (arrangement.note, selection.note) if note),
    )


def grouped_by_path(files: list[ImageFile], pattern: str | None) -> tuple[ImageFile, ...]:
    """Sets each image's group to the match of a pattern in its path; an image without a match is its own group.

    Raises:
      RestemError: no path matches the pattern.
    """
    if pattern is None:
        return tuple(files)
    compiled = compiled_group(pattern)
    grouped = [replace(file, group=_found(compiled, file.path)) for file in files]
    if files and not any(file.group for file in grouped):
        raise RestemError(
            "no path matches the pattern for groups",
            where="data.group",
            expected=f"paths that match {pattern}",
            given=f"paths such as {files[0].path}",
        )
    return tuple(grouped)


def _found(pattern: re.Pattern, path: str) -> str | None:
    match = pattern.search(path)
    return (match[1] or None) if match else None


def point_deeper(listing: Listing) -> None:
    """Refuses a folder that contains the intended folder, as is common in unpacked archives."""
    insides = sorted({name.split("/")[1] for name in (file.path for file in listing.files) if name.count("/") > 1})
    if insides:
        raise RestemError(
            f"there is only one class folder, {listing.classes[0]}/, and it contains folders: {first_few(insides)}",
            where=f"data.path ({listing.folder})",
            expected="at least two class folders",
            remedy=f"If the classes are deeper inside, set data.path to that folder, e.g. {_deepest(listing)}",
        )


def _deepest(listing: Listing) -> str:
    """The first folder on the way down that contains more than one folder."""
    folders = {tuple(file.path.split("/")[:-1]) for file in listing.files}
    here: tuple[str, ...] = ()
    while len(deeper := {folder[: len(here) + 1] for folder in folders if len(folder) > len(here)}) == 1:
        (here,) = deeper
    return os.path.join(listing.folder, *here)


def fingerprint(path: str, folder: str, config: DataConfig) -> str:
    """A fingerprint that changes if a file is added, removed, renamed, moved to another class, or edited.

    Args:
      path: the folder of images.
      folder: the folder that the images' paths are relative to; the position of `path` in it counts.
      config: its follow_links.

    Returns:
      64 hexadecimal digits that cover every file's relative path, size in bytes and modification time.

    Raises:
      RestemError: the folder does not exist.
    """
    digest = hashlib.sha256(relative(folder, path).encode(errors="surrogateescape") + b"\0")
    for name, kind, known in sorted(_walk(path, folder, config.follow_links), key=lambda one: one[0]):
        if kind == _FOLDER:
            continue
        if kind in (_OUTSIDE, _LOOP):  # Its target is not part of the data.
            digest.update(os.fsencode(name) + b"\0" + kind.encode() + b"\0")
            continue
        state = str(known) if known else storage.state(storage.join(path, name))
        digest.update(os.fsencode(name) + b"\0" + state.encode() + b"\0")
    return digest.hexdigest()


def _place(name: str, kind: str, arrangement: Arrangement) -> ImageFile | Refused:
    parts = name.split("/")
    if not _is_text(name):
        return Refused(name, "Its name is not valid UTF-8: rename it.")
    if kind != _FILE:
        return Refused(name, _REASONS[kind])
    split = arrangement.split_of(parts[:-1])
    if split is None or len(parts) <= len(arrangement.parts):
        what = "outside the class folders, so its class is"
        if len(parts) > arrangement.class_at + 1:
            what = "outside the folders for splits, so its split is"
        return Refused(name, f"It is {what} unknown.")
    return ImageFile(name, _normalise(parts[arrangement.class_at]), split)


def _walk(root: str, inside: str, follow: bool) -> Iterator[tuple[str, str, storage.Status | None]]:
    """Everything in a folder that is not hidden: relative path with forward slashes, kind, state if known.

    Args:
      root: the folder.
      inside: links that lead out of this folder are not followed, unless `follow` is set.
      follow: data.follow_links.

    Raises:
      RestemError: the folder does not exist or cannot be read.
    """
    if storage.is_remote(root):
        yield from _walk_remote(root)
    elif os.path.isdir(root):
        yield from ((name, kind, None) for name, kind in _walk_here(root, inside, follow))
    else:
        what = "this is a file, not a folder" if os.path.exists(root) else "there is no such folder"
        expected = "a folder with a folder of images for each class"
        raise RestemError(what, where=f"data.path ({root})", expected=expected)


def _walk_remote(root: str) -> Iterator[tuple[str, str, storage.Status | None]]:
    """An object storage has only files; their names define the folders."""
    where = f"data.path ({root})"
    prefix = root.rstrip("/") + "/"
    folders: set[str] = set()
    empty = True
    try:
        for path, status in storage.match(prefix + "**"):
            empty = False
            name = path.removeprefix(prefix)
            parts = name.rstrip("/").split("/")
            if not parts[0] or any(_is_hidden(part) for part in parts):
                continue
            inside = len(parts) if name.endswith("/") else len(parts) - 1
            for folder in ("/".join(parts[: depth + 1]) for depth in range(inside)):
                if folder not in folders:
                    folders.add(folder)
                    yield folder, _FOLDER, None
            if not name.endswith("/"):
                yield name, _FILE, status
    except OSError as error:
        raise RestemError("the storage cannot be read", where=where, given=error.strerror) from None
    if empty:
        expected = "a folder with a folder of images for each class"
        raise RestemError("there is no such folder", where=where, expected=expected)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LITTER


def _walk_here(root: str, inside: str, follow: bool) -> Iterator[tuple[str, str]]:
    """Follows links in the folder, and others if asked to, but never to a folder that contains them."""
    status = os.stat(root)
    home = None if follow else os.path.realpath(inside)
    waiting = [("", frozenset({(status.st_dev, status.st_ino)}))]
    while waiting:
        folder, ancestors = waiting.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as scan:
                entries = list(scan)
        except OSError as error:
            gone = isinstance(error, FileNotFoundError)
            raise RestemError(
                "this folder went away while the folders were read" if gone else "this folder cannot be read",
                where=f"data.path ({os.path.join(root, folder)})",
                given=error.strerror,
                remedy="Run again when nobody changes them" if gone else "Change its permissions, or move it elsewhere",
            ) from None
        for entry in entries:
            if _is_hidden(entry.name):
                continue
            relative = f"{folder}/{entry.name}" if folder else entry.name
            kind = _kind(entry, home)
            if kind == _FOLDER:
                try:
                    status = entry.stat()
                except FileNotFoundError:  # it has just been removed
                    continue
                identity = (status.st_dev, status.st_ino)
                if identity in ancestors:
                    yield relative, _LOOP
                    continue
                waiting.append((relative, ancestors | {identity}))
            yield relative, kind


def _kind(entry: os.DirEntry, home: str | None) -> str:
    """What an entry is; a link is what it leads to, or _OUTSIDE if that is not in the folder `home`."""
    try:
        kind = _FOLDER if entry.is_dir() else _FILE if entry.is_file() else _OTHER
        if home is not None and kind != _OTHER and entry.is_symlink():
            target = os.path.realpath(entry.path)
            if os.path.commonpath([home, target]) not in (home, target):
                return _OUTSIDE
        return kind
    except OSError:  # a link to itself
        return _OTHER


def _normalise(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _is_text(name: str) -> bool:
    """Whether a file's name is valid text; Python represents other bytes as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

"""Lists a folder of images: classes, splits, files. It reads only names, never a file's content.

    path/<class>/...          the splits are decided later, see `splits`
    path/train/<class>/...    } given splits
    path/test/<class>/...     }

The path is local or a URL such as gs://bucket/images. Files may be in sub-folders of a class folder. Hidden files and
folders are skipped. Files that cannot be examples (a file outside the class folders, a socket) are listed as refused
with the reason. ImageExampleGen quarantines them, so that every file is accounted for.
"""

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import DataConfig, compiled_group
from restem.example_gen.dataset import (
    SPLIT_NAMES,
    TEST,
    TRAIN,
    ImageFile,
    Listing,
    Refused,
    first_few,
    relative,
    text_of,
)

# Files that operating systems leave behind. They are skipped like names that begin with a dot.
_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir"})
_SPLIT_FOLDERS = frozenset({"train", "test", "val", "validation"})
_FILE, _FOLDER, _OTHER = "file", "folder", "other"


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
    found = sorted((name, kind) for name, kind, _ in _walk(path))
    where = f"data.path ({path})"
    folders = [name for name, kind in found if kind == _FOLDER]
    files = [name for name, kind in found if kind != _FOLDER]
    split_folders = _split_folders(sorted({name.split("/")[0] for name in folders}), files, where)

    classes: set[str] = set()
    for name in folders:
        parts = name.split("/")
        if split_folders and len(parts) == 2 and parts[0] in split_folders:
            classes.add(_normalise(parts[1]))
        elif not split_folders and len(parts) == 1:
            classes.add(_normalise(parts[0]))

    images: list[ImageFile] = []
    refused: list[Refused] = []
    for name, kind in found:
        if kind != _FOLDER:
            placed = _place(name, kind, split_folders)
            if isinstance(placed, Refused):
                refused.append(placed)
            else:
                images.append(placed)

    if not files and not classes:
        raise RestemError("the folder is empty", where=where, expected="a folder of images for each class")
    if not classes:
        inside = f" (in {', '.join(sorted(split_folders))})" if split_folders else ""
        raise RestemError(
            f"there are no class folders{inside}",
            where=where,
            expected="a folder for each class, named like the class, that contains its images",
            given=f"{len(files)} files without such a folder, among them {first_few(files)}" if files else "no files",
            remedy="Sort the images into one folder per class",
        )
    prefix = relative(folder, path)
    if prefix:
        images = [replace(file, path=f"{prefix}/{file.path}") for file in images]
        refused = [replace(one, path=f"{prefix}/{one.path}") for one in refused]
    return Listing(
        folder=folder,
        classes=tuple(sorted(text_of(name) for name in classes)),
        files=grouped_by_path(images, config.group),
        refused=tuple(refused),
        given_splits=bool(split_folders),
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
      config: not used; the layouts share this signature.

    Returns:
      64 hexadecimal digits that cover every file's relative path, size in bytes and modification time.

    Raises:
      RestemError: the folder does not exist.
    """
    digest = hashlib.sha256(relative(folder, path).encode(errors="surrogateescape") + b"\0")
    for name, kind, known in sorted(_walk(path), key=lambda one: one[0]):
        if kind == _FOLDER:
            continue
        try:
            status = known or storage.status(storage.join(path, name))
            state = f"{status.bytes} {status.modified}"
        except OSError as error:
            state = str(error.errno)
        digest.update(os.fsencode(name) + b"\0" + state.encode() + b"\0")
    return digest.hexdigest()


def _place(name: str, kind: str, split_folders: dict[str, str]) -> ImageFile | Refused:
    parts = name.split("/")
    if not _is_text(name):
        return Refused(text_of(name), "Its name is not valid UTF-8: rename it.")
    if kind == _OTHER:
        return Refused(name, "It is neither a file nor a folder, or it is a broken link.")
    if split_folders:
        if parts[0] not in split_folders or len(parts) < 3:
            return Refused(name, "It is outside the class folders, so its class is unknown.")
        return ImageFile(name, _normalise(parts[1]), split_folders[parts[0]])
    if len(parts) < 2:
        return Refused(name, "It is outside the class folders, so its class is unknown.")
    return ImageFile(name, _normalise(parts[0]), "")


def _split_folders(top_folders: list[str], files: list[str], where: str) -> dict[str, str]:
    """The top folders that are splits: name as written -> 'train', 'val' or 'test'; empty if there are none."""
    found = {name: SPLIT_NAMES[name.lower()] for name in top_folders if name.lower() in _SPLIT_FOLDERS}
    if not {TRAIN, TEST} & set(found.values()):
        return {}
    missing = [split for split in (TRAIN, TEST) if split not in found.values()]
    if missing:
        raise RestemError(
            f"there is {first_few(sorted(found))}/ without {missing[0]}/",
            where=where,
            expected="both train/ and test/ with the class folders inside (val/ is optional), or only class folders",
            given=first_few([f"{name}/" for name in top_folders]),
            remedy=f"Create {missing[0]}/ next to it, or move the class folders up to let Restem split the images",
        )
    used = {name.split("/")[0] for name in files if "/" in name}
    if others := [f"{name}/" for name in top_folders if name not in found and name in used]:
        raise RestemError(
            f"there are other folders next to train/ and test/: {first_few(others)}",
            where=where,
            expected="only train/ and test/, and val/ if there is one, each with the class folders inside",
            remedy="Move their images into train/ or test/, or move them out of the folder",
        )
    return found


def _walk(root: str) -> Iterator[tuple[str, str, storage.Status | None]]:
    """Everything in a folder that is not hidden: relative path with forward slashes, kind, state if known.

    Raises:
      RestemError: the folder does not exist or cannot be read.
    """
    if storage.is_remote(root):
        yield from _walk_remote(root)
    elif os.path.isdir(root):
        yield from ((name, kind, None) for name, kind in _walk_here(root))
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


def _walk_here(root: str) -> Iterator[tuple[str, str]]:
    """Follows links, except to a folder that contains them, which would be an endless loop."""
    status = os.stat(root)
    waiting = [("", frozenset({(status.st_dev, status.st_ino)}))]
    while waiting:
        folder, ancestors = waiting.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as scan:
                entries = list(scan)
        except PermissionError as error:
            raise RestemError(
                "this folder cannot be read",
                where=f"data.path ({os.path.join(root, folder)})",
                given=error.strerror,
                remedy="Change its permissions, or move it elsewhere",
            ) from None
        for entry in entries:
            if _is_hidden(entry.name):
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

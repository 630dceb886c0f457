"""Where the files are that a table names: as written, or where it is certain which files are meant.

1. As written: relative to the table's folder (or `data.images_folder`), or absolute.
2. In the same folder, if exactly one file has this name in other upper and lower case, or, for a name without
   an extension, this name and the extension of an image.
3. If more than half of the names are not there: all of them in one other folder below the table's, or without their
   first folders (the paths of another machine), if exactly one such reading finds them.

Only local files are looked for. A remote storage would need one request for each.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from restem import storage
from restem.example_gen.layouts.table import IMAGE_EXTENSIONS, is_image_name

_WINDOWS = re.compile(r"^(?:[A-Za-z]:[\\/]|\\\\)")
_SAMPLE = 100  # names by which a folder is judged
_FOUND, _RIVAL = 0.9, 0.5  # share of the sample: a reading that finds so many is right; another one makes it uncertain
_MOST_FOLDERS, _DEEPEST = 500, 3
_SHOWN = 3


@dataclass(frozen=True)
class Places:
    """What was found.

    paths: name -> the path of its file, relative to the listing's folder (or absolute, or a URL).
    missing: name -> the path where it was looked for first, and a hint, which may be empty.
    notes: how names were read, if not as written.
    choices: folders that could all be meant.
    """

    paths: dict[str, str]
    missing: dict[str, tuple[str, str]]
    notes: tuple[str, ...]
    choices: tuple[str, ...] = ()


def find_places(names: Iterable[str], folder: str, base: str, *, search: bool) -> Places:
    """Finds the files.

    Args:
      names: as written in the table, without duplicates, not empty.
      folder: the folder that the results are relative to.
      base: the folder that relative names start at, relative to `folder`; may be absolute or a URL.
      search: whether the files may be in a sub-folder of it.
    """
    directory = _Directory(folder)
    paths: dict[str, str] = {}
    missing: dict[str, tuple[str, str]] = {}
    changed: dict[str, list[str]] = {}
    count = 0
    for name in names:
        count += 1
        path = below(base, name)
        if directory.has(path):
            paths[name] = path
            continue
        found, how = directory.find(path)
        if found is None:
            missing[name] = path, how
        else:
            paths[name] = found
            changed.setdefault(how, []).append(name)
    notes: list[str] = []
    choices: tuple[str, ...] = ()
    if len(missing) > count / 2:
        reading, choices = _reading(list(missing), base, directory, search=search)
        if reading is not None:
            moved = {name: directory.find(reading.path(name)) for name in missing}
            read = {name: path for name, (path, _) in moved.items() if path is not None}
            # Two names for one file: then the dropped folders made the difference.
            if len(set(read.values()) | set(paths.values())) == len(read) + len(set(paths.values())):
                paths |= read
                for name in read:
                    del missing[name]
                    if how := moved[name][1]:
                        changed.setdefault(how, []).append(name)
                example = next(iter(read))
                notes.append(reading.note(len(read), example, read[example]))
    notes += [f"{_files(len(some))} {how}, such as {paths[some[0]]} for {some[0]}." for how, some in changed.items()]
    return Places(paths, missing, tuple(notes), choices)


def below(base: str, name: str) -> str:
    """A name of the table as a path: relative to the listing's folder, absolute, or a URL."""
    if name.startswith("file://"):
        name = name.removeprefix("file://").removeprefix("localhost")
    if storage.is_remote(name):
        return name
    name = os.path.normpath(_slashes(name))
    if os.path.isabs(name) or not base:
        return name
    return storage.join(base, name) if storage.is_remote(base) else os.path.normpath(f"{base}/{name}")


def _slashes(name: str) -> str:
    return name.replace("\\", "/") if "/" not in name or _WINDOWS.match(name) else name


@dataclass(frozen=True)
class _Reading:
    """Names without their first `dropped` folders, in the folder `base`."""

    dropped: int
    base: str
    sub_folder: bool

    def path(self, name: str) -> str:
        parts = _parts(name)
        return below(self.base, "/".join(parts[min(self.dropped, len(parts) - 1) :]))

    def note(self, count: int, name: str, path: str) -> str:
        where = f"in {self.base or '.'}/" if self.sub_folder else "next to the table"
        without = f" without the first {self.dropped} parts of their paths" if self.dropped else ""
        return f"{_files(count)} found {where}{without}, such as {path} for {name}."


def _parts(name: str) -> list[str]:
    return [part for part in os.path.normpath(_slashes(name.removeprefix("file://"))).split("/") if part]


def _reading(
    names: Sequence[str], base: str, directory: "_Directory", *, search: bool
) -> tuple[_Reading | None, tuple[str, ...]]:
    """The only other reading that finds the names; or the folders between which one must choose."""
    sample = names[:: max(1, len(names) // _SAMPLE)][:_SAMPLE]
    if storage.is_remote(base) or any(storage.is_remote(name) for name in sample):
        return None, ()
    folders = [base, *directory.folders(base)] if search else [base]
    for dropped in range(max(len(_parts(name)) for name in sample)):
        readings = [_Reading(dropped, one, one != base) for one in folders]
        shares = {reading: _share(reading, sample, directory) for reading in readings}
        good = [reading for reading, share in shares.items() if share >= _FOUND]
        rivals = [reading for reading, share in shares.items() if share >= _RIVAL]
        if len(good) == 1 and len(rivals) == 1:
            return good[0], ()
        if good:
            return None, tuple(reading.base or "." for reading in rivals)
    return None, ()


def _share(reading: _Reading, sample: Sequence[str], directory: "_Directory") -> float:
    found = 0
    for number, name in enumerate(sample):
        found += directory.find(reading.path(name))[0] is not None
        if not found and number >= _SAMPLE // 10:
            return 0.0
    return found / len(sample)


def _files(count: int) -> str:
    return f"{count:,} file was" if count == 1 else f"{count:,} files were"


class _All:
    """The files of a remote folder: every name counts as existing."""

    def __contains__(self, name: str) -> bool:
        return True


def _plain(folder: str) -> str:
    return folder.rstrip("/") or "/"


class _Directory:
    """The files of folders; each folder is listed once."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._known: dict[str, frozenset[str] | _All] = {}  # by the folder as the table writes it
        self._files: dict[str, frozenset[str]] = {}
        self._folders: dict[str, tuple[str, ...]] = {}
        self._lowered: dict[str, dict[str, list[str]]] = {}
        self._stems: dict[str, dict[str, list[str]]] = {}

    def has(self, path: str) -> bool:
        """Whether a local file exists; a remote one counts as existing."""
        folder, slash, name = path.rpartition("/")
        if storage.is_remote(path):
            return True
        names = self._known.get(folder + slash)
        if names is None:
            full = storage.join(self._folder, folder + slash)
            names = self._known[folder + slash] = _All() if storage.is_remote(full) else self._list(_plain(full))
        return name in names

    def find(self, path: str) -> tuple[str | None, str]:
        """The only file that a path can mean, and how it was read; or None, and a hint."""
        if self.has(path):
            return path, ""
        folder, name = os.path.split(path)
        full = _plain(os.path.join(self._folder, folder))
        if not self._list(full) and not os.path.isdir(full):
            same = self._same_folder(folder)
            if same is None:
                return None, ""
            found, how = self.find(os.path.join(same, name))
            return found, how or "found under a path that differs in upper and lower case"
        lowered = self._index(self._lowered, full, str.lower).get(name.lower(), [])
        stems = [] if is_image_name(name) else self._index(self._stems, full, _image_stem).get(name.lower(), [])
        for found_names, how in (
            (lowered, "found under a name that differs in upper and lower case"),
            (stems, "found by adding an extension to the name"),
        ):
            if len(found_names) == 1:
                return os.path.join(folder, found_names[0]), how
            if found_names:
                return None, f"it may be {' or '.join(sorted(found_names)[:_SHOWN])}"
        others = self._index(self._stems, full, _image_stem).get(os.path.splitext(name)[0].lower(), [])
        return None, f"but there is {others[0]}" if others else ""

    def folders(self, base: str) -> Iterator[str]:
        """The folders below `base`, nearest first, not too many and not too deep."""
        waiting = [(base, 0)]
        count = 0
        while waiting:
            here, depth = waiting.pop(0)
            full = _plain(os.path.join(self._folder, here))
            self._list(full)
            for name in self._folders.get(full, ()):
                if name.startswith(".") or count >= _MOST_FOLDERS:
                    continue
                count += 1
                path = f"{here}/{name}" if here else name
                yield path
                if depth + 1 < _DEEPEST:
                    waiting.append((path, depth + 1))

    def _same_folder(self, folder: str) -> str | None:
        """An existing folder whose path differs in case only."""
        here = "/" if folder.startswith("/") else ""
        for part in folder.strip("/").split("/"):
            full = _plain(os.path.join(self._folder, here))
            self._list(full)
            known = self._folders.get(full, ())
            same = [part] if part in known else [name for name in known if name.lower() == part.lower()]
            if len(same) != 1 and part != "..":
                return None
            here = os.path.join(here, part if part == ".." else same[0])
        return here if here != folder else None

    def _index(self, kept: dict[str, dict[str, list[str]]], folder: str, key) -> dict[str, list[str]]:  # noqa: ANN001
        if folder not in kept:
            kept[folder] = {}
            for name in self._list(folder):
                kept[folder].setdefault(key(name), []).append(name)
        return kept[folder]

    def _list(self, folder: str) -> frozenset[str]:
        if folder not in self._files:
            try:
                with os.scandir(folder) as scan:
                    entries = list(scan)
            except (OSError, ValueError):
                entries = []
            self._files[folder] = frozenset(entry.name for entry in entries if entry.is_file())
            self._folders[folder] = tuple(sorted(entry.name for entry in entries if not entry.is_file()))
        return self._files[folder]


def _image_stem(name: str) -> str:
    """A file's name without the extension of an image, in lower case; another extension stays."""
    stem, dot, extension = name.rpartition(".")
    return (stem if dot and extension.lower() in IMAGE_EXTENSIONS else name).lower()

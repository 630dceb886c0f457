"""Removes folders of a root: a killed removal harms nothing that is in use, and the next one finishes it.

Everything is first moved, by renaming, into a folder `removing-...` that carries a mark, and deleted there. Symbolic
links are never followed: a path with a link in it is left alone, and of links inside a folder only the link goes.
"""

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

MARK = "removed-by-restem-clean"
WORK = re.compile(r"removing-\d+-[0-9a-f]{16}")


def size_of(path: Path) -> int:
    """The size in bytes of a file or of all files below a folder, links not followed."""
    try:
        if path.is_symlink() or not path.is_dir():
            return path.lstat().st_size
    except OSError:  # it is gone
        return 0
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def has_links(path: Path) -> bool:
    """Whether a path with a resolved parent far above leads through a symbolic link."""
    return os.path.realpath(path) != str(path)


def leftovers(folder: Path) -> list[Path]:
    """The marked folders of removals in `folder` that were killed; none if `folder` is a symbolic link."""
    if has_links(folder):
        return []
    found = sorted(path for path in _entries(folder) if WORK.fullmatch(path.name))
    return [path for path in found if path.is_dir() and not path.is_symlink() and _is_marked(path)]


def remove(folder: Path, paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Removes files and folders below `folder`, and what is left of earlier removals.

    Returns:
      What could not be removed, and why. What could only be moved is not removed until the next call.
    """
    problems: list[tuple[Path, str]] = []
    if paths and folder.is_dir():
        work = folder / f"removing-{int(time.time())}-{secrets.token_hex(8)}"
        try:
            work.mkdir()
            (work / MARK).touch()
        except OSError as error:  # no space, or no rights
            return [(path, f"{work.name} cannot be created: {error.strerror}") for path in paths]
        for number, path in enumerate(paths):
            if has_links(path):
                problems.append((path, "a symbolic link"))
                continue
            try:
                path.rename(work / str(number))
            except FileNotFoundError:
                continue
            except OSError as error:
                problems.append((path, error.strerror or type(error).__name__))
    for work in leftovers(folder):
        try:
            _delete(work)
        except OSError as error:
            problems.append((work, error.strerror or type(error).__name__))
    return problems


def _delete(work: Path) -> None:
    """Deletes a marked folder; the mark goes last."""
    for path in _entries(work):
        if path.name == MARK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    (work / MARK).unlink(missing_ok=True)
    work.rmdir()


def _is_marked(work: Path) -> bool:
    """Whether this project made it: it has the mark, or nothing, if the removal was killed before or after it."""
    names = [path.name for path in _entries(work)]
    return not names or MARK in names


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []

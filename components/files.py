"""Folders of models: local ones through the operating system, buckets through TFX's fileio.

fileio loads TensorFlow, which takes fifteen seconds; a command that lists or releases local models does not need it.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from restem.storage import is_remote


def entries(folder: str) -> list[str]:
    """The names in a folder, without the trailing slash that buckets add to folders; empty if it is missing."""
    if is_remote(folder):
        fileio = _fileio()
        return sorted(name.rstrip("/") for name in fileio.listdir(folder)) if fileio.isdir(folder) else []
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_folder(path: str) -> bool:
    """Whether there is a folder, or a link to one."""
    return _fileio().isdir(path) if is_remote(path) else os.path.isdir(path)


def existing_folder(path: Path) -> Path:
    """A local folder itself, or the nearest one above it that exists."""
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def exists(path: str) -> bool:
    """Whether there is a file or a folder."""
    return _fileio().exists(path) if is_remote(path) else os.path.exists(path)


def file_sizes(folder: str) -> dict[str, int]:
    """Sizes in bytes of all files below a folder, sorted by relative path with forward slashes."""
    top = folder.rstrip("/")
    sizes: dict[str, int] = {}
    for parent, _, names in _fileio().walk(top) if is_remote(top) else os.walk(top):
        for name in names:
            path = f"{parent.rstrip('/')}/{name}"
            if (size := _size(path)) is not None:
                sizes[path.removeprefix(f"{top}/")] = size
    return dict(sorted(sizes.items()))


def _size(path: str) -> int | None:
    if is_remote(path):
        status = _fileio().stat(path)
        # TensorFlow's file system has `length`, Python's has `st_size`.
        return getattr(status, "length", 0) or getattr(status, "st_size", 0)
    # A link without a target, or a file that was just removed, is none.
    return os.path.getsize(path) if os.path.isfile(path) else None


def open_file(path: str, mode: str) -> Any:
    """A file opened as by the built-in `open`."""
    return _fileio().open(path, mode) if is_remote(path) else open(path, mode)


def read(path: str) -> bytes:
    """A file's content."""
    with open_file(path, "rb") as file:
        return file.read()


def write(path: str, content: bytes) -> None:
    """Writes a file; its folder is created if it is missing."""
    make_folder(path.rpartition("/")[0])
    with open_file(path, "wb") as file:
        file.write(content)


def copy(source: str, target: str) -> None:
    """Copies a file; the target's folder is created if it is missing."""
    make_folder(target.rpartition("/")[0])
    if is_remote(source) or is_remote(target):
        _fileio().copy(source, target, overwrite=True)
    else:
        shutil.copyfile(source, target)


def rename(source: str, target: str) -> None:
    """Renames a local file or folder, atomically."""
    os.rename(source, target)


def make_folder(folder: str) -> None:
    """Creates a folder and those above it."""
    if is_remote(folder):
        _fileio().makedirs(folder)
    else:
        os.makedirs(folder, exist_ok=True)


def remove(path: str) -> None:
    """Removes a file."""
    if is_remote(path):
        _fileio().remove(path)
    else:
        os.unlink(path)


def remove_folder(folder: str) -> None:
    """Removes a folder with its content. Of a symbolic link inside it, only the link is removed."""
    if is_remote(folder):
        _fileio().rmtree(folder)
    else:
        shutil.rmtree(folder)


def _fileio() -> Any:
    from tfx.dsl.io import fileio

    return fileio

"""Folders of models: local ones through the operating system, buckets through TFX's fileio.

fileio loads TensorFlow, which takes fifteen seconds; a command that lists or releases local models does not need it.

No answer is not the answer "no": a version that is not seen because of the network would be one that does not exist,
and another baseline would be compared. TensorFlow's isdir, listdir and walk say "no" in both cases, so folders are
looked at with stat, which tells them apart.
"""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from restem.errors import RestemError
from restem.storage import is_remote, patiently


class StorageError(RestemError):
    """A bucket does not answer, or refuses."""

    exit_code = 1


def entries(folder: str) -> list[str]:
    """The names in a folder, without the trailing slash that buckets add to folders; empty if it is missing.

    Raises:
      StorageError: the bucket does not answer, or refuses; this holds for all functions of this module.
      OSError: the local folder cannot be read.
    """
    if is_remote(folder):
        if not is_folder(folder):
            return []
        return sorted(name.rstrip("/") for name in _ask(folder, lambda fileio: fileio.listdir(folder)))
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_folder(path: str) -> bool:
    """Whether there is a folder, or a link to one.

    Raises:
      OSError: the system cannot say.
    """
    found = _status(path)
    return found is not None and _is_folder(found)


def existing_folder(path: Path) -> Path:
    """A local folder itself, or the nearest one above it that exists."""
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def exists(path: str) -> bool:
    """Whether there is a file or a folder.

    Raises:
      OSError: the system cannot say.
    """
    return _status(path) is not None


def file_sizes(folder: str) -> dict[str, int]:
    """Sizes in bytes of all files below a folder, sorted by relative path with forward slashes.

    Raises:
      OSError: a local folder cannot be read; one that is missing is empty.
    """
    top = folder.rstrip("/")
    sizes: dict[str, int] = {}
    if is_remote(top):
        sizes.update(_remote_sizes(top, ""))
    else:
        for parent, _, names in os.walk(top, onerror=_raise_unless_missing):
            for name in names:
                path = f"{parent.rstrip('/')}/{name}"
                found = _status(path)
                # A link without a target, or a file that was just removed, is none.
                if found is not None and stat.S_ISREG(found.st_mode):
                    sizes[path.removeprefix(f"{top}/")] = found.st_size
    return dict(sorted(sizes.items()))


def _remote_sizes(top: str, below: str) -> Iterator[tuple[str, int]]:
    for name in entries(f"{top}/{below}".rstrip("/")):
        found = _status(f"{top}/{below}{name}")
        if found is None:  # it was just removed
            continue
        if _is_folder(found):
            yield from _remote_sizes(top, f"{below}{name}/")
        else:
            # TensorFlow's file system has `length`, Python's has `st_size`.
            yield f"{below}{name}", getattr(found, "length", 0) or getattr(found, "st_size", 0)


@contextmanager
def open_file(path: str, mode: str) -> Iterator[Any]:
    """A file opened as by the built-in `open`, within `with`."""
    if not is_remote(path):
        with open(path, mode) as file:
            yield file
        return
    with _answer_from(path) as fileio, fileio.open(path, mode) as file:
        yield file


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
        _ask(source if is_remote(source) else target, lambda fileio: fileio.copy(source, target, overwrite=True))
    else:
        shutil.copyfile(source, target)


def rename(source: str, target: str) -> None:
    """Renames a local file or folder, atomically."""
    os.rename(source, target)


def make_folder(folder: str) -> None:
    """Creates a folder and those above it."""
    if is_remote(folder):
        _ask(folder, lambda fileio: fileio.makedirs(folder))
    else:
        os.makedirs(folder, exist_ok=True)


def remove(path: str) -> None:
    """Removes a file."""
    if is_remote(path):
        _ask(path, lambda fileio: fileio.remove(path))
    else:
        os.unlink(path)


def remove_folder(folder: str) -> None:
    """Removes a folder with its content. Of a symbolic link inside it, only the link is removed."""
    if is_remote(folder):
        _ask(folder, lambda fileio: fileio.rmtree(folder))
    else:
        shutil.rmtree(folder)


def _status(path: str) -> Any:
    """TensorFlow's or Python's status of what is there; None: nothing."""
    try:
        if not is_remote(path):
            return os.stat(path)
        return _ask(path, lambda fileio: fileio.stat(path))
    except OSError as error:
        _raise_unless_missing(error)
        return None


def _raise_unless_missing(error: OSError) -> None:
    if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        raise error


def _is_folder(status: Any) -> bool:
    return stat.S_ISDIR(status.st_mode) if isinstance(status, os.stat_result) else bool(status.is_directory)


def _ask(path: str, call: Callable[[Any], Any]) -> Any:
    """What TFX's fileio answers, in a way that Ctrl-C ends."""
    with _answer_from(path) as fileio:
        return patiently(path, lambda: call(fileio))


@contextmanager
def _answer_from(path: str) -> Iterator[Any]:
    """TFX's fileio, whose errors become those of this module.

    Raises:
      FileNotFoundError: there is no such file.
      StorageError: any other error of TensorFlow's file systems.
    """
    import tensorflow as tf
    from tfx.dsl.io import fileio

    try:
        yield fileio
    except (fileio.NotFoundError, tf.errors.NotFoundError) as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
    except tf.errors.OpError as error:
        raise StorageError(
            "the storage does not answer, or refuses",
            where=path,
            given=str(error.message).strip().splitlines()[0].rstrip(".") if error.message else type(error).__name__,
            remedy="Check the network, the name of the bucket and the credentials, and run again",
        ) from error

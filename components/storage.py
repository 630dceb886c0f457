"""Access to local files through the operating system, and to remote files (gs:// ...) through Beam's file systems.

Paths are strings, so that a worker on another machine opens the same file. Beam is imported for remote paths only.

Without a network or credentials, Beam and Google's client try again for minutes, partly in C, where Python handles no
signal. Therefore the main thread waits for them in a way that Ctrl-C ends, and says what they wait for.
"""

import errno
import logging
import os
import posixpath
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from restem.errors import RestemError
from restem.visible import say

# They write a stack trace for every attempt.
_TRACES = ("apache_beam.utils.retry", "apache_beam.internal.gcp.auth")
_SAY_AFTER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Status:
    """A file's state. If the state differs, the content counts as changed.

    bytes: its size.
    modified: its modification time; the unit depends on the storage.
    """

    bytes: int
    modified: int

    def __str__(self) -> str:
        """For fingerprints."""
        return f"{self.bytes} {self.modified}"


def is_remote(path: str) -> bool:
    """Whether a path is a storage URL, such as gs://bucket/folder."""
    return "://" in path


def join(folder: str, path: str) -> str:
    """`path` inside `folder`; an absolute path or a URL is returned unchanged."""
    if is_remote(path) or not path:
        return path or folder
    return posixpath.join(folder, path) if is_remote(folder) else os.path.join(folder, path)


def open_file(path: str) -> BinaryIO:
    """Opens a file to read its raw bytes; the result supports seek.

    Raises:
      OSError: the file does not exist or cannot be read.
    """
    if not is_remote(path):
        return open(path, "rb")
    from apache_beam.io.filesystem import BeamIOError, CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    try:
        return patiently(path, lambda: FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED))
    except (BeamIOError, ValueError) as error:
        raise OSError(errno.EIO, _plain(error)) from None


def create(path: str) -> BinaryIO:
    """Creates a file for writing; the folder of a local file must exist.

    Raises:
      OSError: the file cannot be created.
    """
    if not is_remote(path):
        return open(path, "wb")
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    return FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)


def read(path: str) -> bytes:
    """Reads a whole file.

    Raises:
      OSError: the file does not exist or cannot be read.
    """
    with open_file(path) as file:
        return file.read()


def status(path: str) -> Status:
    """A file's size and modification time.

    Raises:
      OSError: the file does not exist.
    """
    if not is_remote(path):
        found = os.stat(path)
        return Status(found.st_size, found.st_mtime_ns)
    matches = dict(match(path))
    if path not in matches:
        raise FileNotFoundError(errno.ENOENT, "No such file")
    return matches[path]


def state(path: str) -> str:
    """A file's state as text, for fingerprints: what is refused because it may not be read is read when it may be.

    Changing a file's permissions changes neither its size nor its time of modification.
    """
    try:
        found = status(path)
    except OSError as error:
        return str(error.errno)
    readable = is_remote(path) or os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)
    return str(found) if readable else f"{found} unreadable"


def match(pattern: str) -> Iterator[tuple[str, Status]]:
    """The remote files that match a pattern (`**` includes subfolders), each with its state, sorted by path.

    Raises:
      OSError: the storage cannot be listed.
    """
    from apache_beam.io.filesystem import BeamIOError
    from apache_beam.io.filesystems import FileSystems

    try:
        (result,) = patiently(pattern, lambda: FileSystems.match([pattern]))
    except (BeamIOError, ValueError) as error:
        raise OSError(errno.EIO, _plain(error)) from None
    for found in sorted(result.metadata_list, key=lambda one: one.path):
        yield found.path, Status(found.size_in_bytes, int(1000 * (found.last_updated_in_seconds or 0)))


def statuses(paths: Iterable[str]) -> dict[str, Status]:
    """The states of those remote files that exist. It lists each of their folders once.

    Raises:
      OSError: the storage cannot be listed.
    """
    wanted = set(paths)
    found: dict[str, Status] = {}
    listed = ""
    for folder in sorted({path.rpartition("/")[0] + "/" for path in wanted}):
        if not listed or not folder.startswith(listed):
            listed = folder
            found.update((path, state) for path, state in match(folder + "**") if path in wanted)
    return found


def files_like(pattern: str) -> list[str]:
    """The local or remote files that match a pattern, sorted."""
    if is_remote(pattern):
        return [path for path, _ in match(pattern)]
    import glob

    return sorted(path for path in glob.glob(pattern) if os.path.isfile(path))


def reading_failed(path: str, error: OSError) -> RestemError:
    """The error for a file in the configuration that cannot be read."""
    missing = isinstance(error, FileNotFoundError)
    what = "there is no such file" if missing else "the file cannot be read"
    return RestemError(what, where=f"data.path ({path})", given=None if missing else error.strerror)


def patiently(path: str, call: Callable[[], Any]) -> Any:
    """Calls in a thread, so that a signal ends the wait; says it once if there is no answer for some seconds."""
    if threading.current_thread() is not threading.main_thread():
        return call()
    done = threading.Event()
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            failure.append(error)
        done.set()

    with _reasons() as reasons:
        threading.Thread(target=run, name="restem-storage", daemon=True).start()
        if not done.wait(_SAY_AFTER_SECONDS):
            bucket = "/".join(path.split("/")[:3])
            why = f" ({reasons[-1]})" if reasons else ""
            say(f"restem: {bucket} does not answer yet{why}; trying again for up to some minutes", file=sys.stderr)
            done.wait()
    if failure:
        raise failure[0]
    return outcome[0]


@contextmanager
def _reasons() -> Iterator[list[str]]:
    """Collects why attempts failed, a sentence each, instead of their stack traces in the terminal."""
    found: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        for words in ("because we caught exception: ", "default credentials to use: "):
            if words in text:
                told = text.split(words, 1)[1].splitlines()[0]
                found.append((told.partition(": ")[2] or told).partition(". ")[0].rstrip("."))
                return False
        return True

    loggers = [logging.getLogger(name) for name in _TRACES]
    for logger in loggers:
        logger.addFilter(keep)
    try:
        yield found
    finally:
        for logger in loggers:
            logger.removeFilter(keep)


def _plain(error: Exception) -> str:
    text = str(error).split(" with exceptions ")[0]
    return text.splitlines()[0] if text else type(error).__name__

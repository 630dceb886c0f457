"""Pushes a model as a new version, and removes old versions, atomically: a server never loads an incomplete version.

In a file system, the files are copied to a folder whose name is not a number, and the folder is renamed. In a bucket,
where renaming copies, they are copied in place with saved_model.pb last, because a server loads nothing without it. A
version is removed in the opposite order: it gets a name that is not a number, or loses saved_model.pb first.
"""

import contextlib
import fcntl
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping

from restem import files
from restem.files import entries, exists, is_folder
from restem.model_files import CARD, RELEASE, SAVED_MODEL, model_files
from restem.pusher.versions import Version, versions
from restem.storage import is_remote

# Work in progress: its start (Unix time), and a random token (hidden folder) or a version number (mark file).
AT_WORK = re.compile(r"^(?:pushing|removing)-(\d+)-(\w+)$")
LEFTOVER_SECONDS = 3600

log = logging.getLogger(__name__)  # only for the log file


def next_number(destination: str, *, now: float) -> int:
    """The number of the next version: the Unix time, but always greater than every existing version."""
    return max([int(now), *(version.number + 1 for version in versions(destination))])


def push(model: str, destination: str, *, at_least: int = 0, notes: Mapping[str, bytes] | None = None) -> Version:
    """Copies a model to `destination` as its newest version.

    Args:
      model: the folder of a SavedModel.
      destination: the folder of versions; it is created if it is missing.
      at_least: the lowest number that the version may get.
      notes: the content of the files that a push adds, by path: RELEASE and CARD. Those of `model` are not copied.
    """
    destination = destination.rstrip("/")
    files.make_folder(destination)
    now = time.time()
    remove_leftovers(destination, now=now)
    push_into = _push_into_bucket if is_remote(destination) else _push_into_folder
    return push_into(model, destination, at_least, now, notes or {})


def _push_into_folder(model: str, destination: str, at_least: int, now: float, notes: Mapping[str, bytes]) -> Version:
    work = f"{destination}/pushing-{int(now)}-{secrets.token_hex(8)}"
    with _held(work):
        try:
            _copy(model, work, notes)
        except BaseException:  # a full disk, and an interrupt, must not leave a half model
            _remove_if_possible(work)
            raise
        while True:
            version = _version(destination, max(at_least, next_number(destination, now=now)))
            try:
                files.rename(work, version.path)
                return version
            except OSError:  # each file system raises its own error for an existing name
                if not exists(version.path):
                    _remove_if_possible(work)
                    raise


@contextlib.contextmanager
def _held(work: str) -> Iterator[None]:
    """Creates a hidden folder and locks it, so that others see that somebody works in it."""
    os.makedirs(work)
    descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # some network file systems do not lock folders: then age decides
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _is_abandoned(folder: str) -> bool:
    """Whether a local folder is locked by nobody; False where that cannot be known."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _push_into_bucket(model: str, destination: str, at_least: int, now: float, notes: Mapping[str, bytes]) -> Version:
    version = _version(destination, max(at_least, next_number(destination, now=now)))
    # If this push is killed, the mark allows a later push to remove the version.
    mark = f"{destination}/pushing-{int(now)}-{version.number}"
    files.write(mark, b"")
    _copy(model, version.path, notes)
    files.remove(mark)
    return version


def _version(destination: str, number: int) -> Version:
    return Version(number, f"{destination}/{number}")


def _copy(model: str, folder: str, notes: Mapping[str, bytes]) -> None:
    for name in (RELEASE, CARD):
        if name in notes:
            files.write(f"{folder}/{name}", notes[name])
    for name in sorted(model_files(model), key=lambda name: (name == SAVED_MODEL, name)):
        files.copy(f"{model}/{name}", f"{folder}/{name}")


def remove(version: Version) -> bool:
    """Removes a version; returns False if another process removed it first.

    A server that lists the versions never sees a part of it. One that is loading it may fail.
    """
    destination = version.path.rpartition("/")[0]
    now = int(time.time())
    if not is_remote(destination):
        work = f"{destination}/removing-{now}-{secrets.token_hex(8)}"
        try:
            files.rename(version.path, work)
        except FileNotFoundError:
            return False
        _remove_if_possible(work)
        return True
    mark = f"{destination}/removing-{now}-{version.number}"
    files.write(mark, b"")
    if exists(f"{version.path}/{SAVED_MODEL}"):
        files.remove(f"{version.path}/{SAVED_MODEL}")
    files.remove_folder(version.path)
    files.remove(mark)
    return True


def _remove_if_possible(folder: str) -> None:
    """Removes a hidden folder. On some network file systems that fails while a server has its files open."""
    try:
        files.remove_folder(folder)
    except OSError as error:
        log.info("%s is removed later: %s", folder, error)


def being_written(destination: str) -> set[int]:
    """The versions in a bucket that a push or a removal has marked. In a file system, no version is incomplete."""
    found = (AT_WORK.fullmatch(name) for name in entries(destination))
    return {int(match[2]) for match in found if match and match[2].isascii() and match[2].isdigit()}


def leftovers(destination: str, *, now: float) -> list[str]:
    """The folders and mark files of killed pushes and removals.

    A push into a folder holds a lock while it lives. In a bucket, and on file systems without locks, a leftover is one
    that started more than an hour ago.
    """
    found = []
    for name in entries(destination):
        match = AT_WORK.fullmatch(name)
        path = f"{destination}/{name}"
        if not match or os.path.islink(path):
            continue
        if now - int(match[1]) >= LEFTOVER_SECONDS or (not is_remote(destination) and _is_abandoned(path)):
            found.append(path)
    return found


def remove_leftovers(destination: str, *, now: float) -> None:
    """Removes the leftovers of killed pushes and removals."""
    for path in leftovers(destination, now=now):
        if is_folder(path):
            _remove_if_possible(path)
            continue
        half = f"{destination}/{path.rpartition('-')[2]}"
        if is_folder(half) and not exists(f"{half}/{SAVED_MODEL}"):
            files.remove_folder(half)
        files.remove(path)

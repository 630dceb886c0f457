"""Pushes a model as a new version, atomically: a server never loads an incomplete version.

In a file system, the files are copied to a folder whose name is not a number, and the folder is renamed. In a bucket,
where renaming copies, they are copied in place with saved_model.pb last, because a server loads nothing without it.
"""

import re
import secrets
import time

from tfx.dsl.io import fileio
from tfx.utils import io_utils

from restem.pusher.versions import SAVED_MODEL, Version, entries, file_sizes, versions
from restem.storage import is_remote

# A push in progress: its start (Unix time), and a random token (temporary folder) or a version number (mark file).
AT_WORK = re.compile(r"^pushing-(\d+)-(\w+)$")
LEFTOVER_SECONDS = 3600


def next_number(destination: str, *, now: float) -> int:
    """The number of the next version: the Unix time, but always greater than every existing version."""
    return max([int(now), *(version.number + 1 for version in versions(destination))])


def push(model: str, destination: str, *, at_least: int = 0) -> Version:
    """Copies a model to `destination` as its newest version.

    Args:
      model: the folder of a SavedModel.
      destination: the folder of versions; it is created if it is missing.
      at_least: the lowest number that the version may get.
    """
    destination = destination.rstrip("/")
    fileio.makedirs(destination)
    now = time.time()
    remove_leftovers(destination, now=now)
    push_into = _push_into_bucket if is_remote(destination) else _push_into_folder
    return push_into(model, destination, at_least, now)


def _push_into_folder(model: str, destination: str, at_least: int, now: float) -> Version:
    work = f"{destination}/pushing-{int(now)}-{secrets.token_hex(8)}"
    _copy(model, work)
    while True:
        version = _version(destination, max(at_least, next_number(destination, now=now)))
        try:
            fileio.rename(work, version.path)
            return version
        except Exception:  # each file system raises its own error for an existing name
            if not fileio.exists(version.path):
                raise


def _push_into_bucket(model: str, destination: str, at_least: int, now: float) -> Version:
    version = _version(destination, max(at_least, next_number(destination, now=now)))
    # If this push is killed, the mark allows a later push to remove the version.
    mark = f"{destination}/pushing-{int(now)}-{version.number}"
    io_utils.write_string_file(mark, "")
    _copy(model, version.path)
    fileio.remove(mark)
    return version


def _version(destination: str, number: int) -> Version:
    return Version(number, f"{destination}/{number}")


def _copy(model: str, folder: str) -> None:
    for name in sorted(file_sizes(model), key=lambda name: (name == SAVED_MODEL, name)):
        io_utils.copy_file(f"{model}/{name}", f"{folder}/{name}", overwrite=True)


def remove_leftovers(destination: str, *, now: float) -> None:
    """Removes the leftovers of killed pushes that started more than an hour ago."""
    for name in entries(destination):
        found = AT_WORK.match(name)
        if not found or now - int(found[1]) < LEFTOVER_SECONDS:
            continue
        path = f"{destination}/{name}"
        if fileio.isdir(path):
            fileio.rmtree(path)
            continue
        half = f"{destination}/{found[2]}"
        if fileio.isdir(half) and not fileio.exists(f"{half}/{SAVED_MODEL}"):
            fileio.rmtree(half)
        fileio.remove(path)

"""Putting a model among the versions, all or nothing: a server never sees half of one.

In a folder the files are copied beside the versions under a name that is not a number, and the whole is renamed. In a
bucket, where renaming copies, they are copied in place with saved_model.pb last: a server loads nothing without it.
"""

import re
import secrets
import time

from tfx.dsl.io import fileio
from tfx.utils import io_utils

from restem.pusher.versions import SAVED_MODEL, Version, entries, file_sizes, versions
from restem.storage import is_remote

# A push at work: when it began (Unix time), and a random word (the folder it fills) or a number (the version it fills).
AT_WORK = re.compile(r"^pushing-(\d+)-(\w+)$")
LEFTOVER_SECONDS = 3600


def next_number(destination: str, *, now: float) -> int:
    """The number of the next version: the time, and in any case more than every version there."""
    return max([int(now), *(version.number + 1 for version in versions(destination))])


def push(model: str, destination: str, *, at_least: int = 0) -> Version:
    """Copies a model to `destination` as its newest version.

    Args:
      model: the folder of a SavedModel.
      destination: the folder of versions; it is made where it is missing.
      at_least: the version's number will not be less.
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
        except Exception:  # each file system has its own words for a name that is taken
            if not fileio.exists(version.path):
                raise


def _push_into_bucket(model: str, destination: str, at_least: int, now: float) -> Version:
    version = _version(destination, max(at_least, next_number(destination, now=now)))
    # Tells a later push that the version is ours to remove, should this one be killed.
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
    """Removes what pushes left that were killed more than an hour ago."""
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

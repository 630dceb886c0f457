"""Locks on the folder of a version: who reads it holds a shared one, who removes it needs it alone.

The kernel releases them when a process ends. Other model servers hold no such lock, and some network file systems have
none: there the age decides, see prune.py.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from restem.errors import RestemError
from restem.storage import is_remote


@contextlib.contextmanager
def reading(folder: str) -> Iterator[None]:
    """Keeps a version from being removed while the context lasts.

    Raises:
      RestemError: it is being removed, or was.
    """
    if is_remote(folder):
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _gone(folder, error.strerror) from None
    try:
        if not _locked(descriptor, fcntl.LOCK_SH) or not _is_still(folder, descriptor):
            raise _gone(folder, "a version that is being removed")
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone(folder: str) -> Iterator[bool]:
    """Locks a version against readers; yields False if somebody reads it, or if it is a link, or gone."""
    if is_remote(folder):
        yield True
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        yield _locked(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def is_read(folder: str) -> bool:
    """Whether somebody holds a version's lock now."""
    if is_remote(folder) or os.path.islink(folder) or not os.path.isdir(folder):
        return False
    with alone(folder) as free:
        return not free


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _is_still(folder: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(folder), os.fstat(descriptor))
    except OSError:
        return False


def _gone(folder: str, given: str | None) -> RestemError:
    return RestemError(
        "this version cannot be read",
        where=folder,
        given=given,
        remedy="restem models lists the versions",
    )

"""Pushes a model as a new version, and removes old versions, atomically: a server never loads an incomplete version.

In a file system, the files are copied to a folder whose name is not a number, compared with what was
read, the manifest is written, and the folder is renamed. In a bucket, where renaming copies, they are copied in place
with saved_model.pb last, because a server loads nothing without it. A version is removed in the opposite order: it gets
a name that is not a number, or loses saved_model.pb first.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from restem import files
from restem.checksums import FileSum, differences
from restem.errors import RestemError
from restem.files import entries, exists, is_folder
from restem.model_files import CARD, MANIFEST, RELEASE, SAVED_MODEL, SIGNATURE, ModelDigest, model_digest
from restem.pusher.manifest import make_manifest
from restem.pusher.signature import sign
from restem.pusher.versions import Version, versions
from restem.storage import is_remote

# Work in progress: its start (Unix time), and a random token (hidden folder) or a version number (mark file).
AT_WORK = re.compile(r"^(?:pushing|removing)-(\d+)-(\w+)$")
LEFTOVER_SECONDS = 3600

log = logging.getLogger(__name__)  # only for the log file


def next_number(destination: str, *, now: float) -> int:
    """The number of the next version: the Unix time, but always greater than every existing version."""
    return max([int(now), *(version.number + 1 for version in versions(destination))])


def push(
    model: str,
    destination: str,
    *,
    digest: ModelDigest | None = None,
    at_least: int = 0,
    notes: Mapping[str, bytes] | None = None,
    run: str | None = None,
    sign_key: str | None = None,
) -> Version:
    """Copies a model to `destination` as its newest version, with a manifest.

    Args:
      model: the folder of a SavedModel.
      destination: the folder of versions; it is created if it is missing.
      digest: of the model's files, if it is known.
      at_least: the number that the version gets, unless there is a version with that or a greater one; 0: the time.
      notes: the content of the files that a push adds, by path: RELEASE and CARD. Those of `model` are not copied.
      run: the id of the run, for the manifest.
      sign_key: the file of the private key that signs the manifest; None: it is not signed.

    Raises:
      RestemError: a copied file is not as it was read before; or the key cannot be used.
    """
    destination = destination.rstrip("/")
    digest = digest or model_digest(model)
    notes = {name: content for name, content in (notes or {}).items() if name in (RELEASE, CARD)}
    added = {name: FileSum(len(content), hashlib.sha256(content).hexdigest()) for name, content in notes.items()}
    manifest = make_manifest(model, digest.fingerprint, {**digest.files, **added}, run).to_bytes()
    last = {MANIFEST: manifest} if sign_key is None else {SIGNATURE: sign(manifest, sign_key), MANIFEST: manifest}
    files.make_folder(destination)
    now = time.time()
    remove_leftovers(destination, now=now)
    content = _Content(model, {**digest.files, **added}, notes, last)
    push_into = _push_into_bucket if is_remote(destination) else _push_into_folder
    return push_into(content, destination, at_least, now)


@dataclass(frozen=True)
class _Content:
    """A version: the folder of the model, the sums of all files, the notes, and what is written last."""

    model: str
    sums: Mapping[str, FileSum]
    notes: Mapping[str, bytes]
    last: Mapping[str, bytes]


def _push_into_folder(content: _Content, destination: str, at_least: int, now: float) -> Version:
    work = f"{destination}/pushing-{int(now)}-{secrets.token_hex(8)}"
    with _held(work):
        try:
            _copy(content, work)
            _check(work, content)
            _write(content.last, work)
        except BaseException:  # a full disk, and an interrupt, must not leave a half model
            _remove_if_possible(work)
            raise
        while True:
            version = _version(destination, next_number(destination, now=at_least or now))
            try:
                files.rename(work, version.path)
                return version
            except OSError:  # each file system raises its own error for an existing name
                if not exists(version.path):
                    _remove_if_possible(work)
                    raise


@contextlib.contextmanager
def only_one(destination: str) -> Iterator[None]:
    """Makes other processes wait that push into the same folder.

    In a bucket, on file systems without locks, and where there is no such folder, it does nothing.
    """
    if is_remote(destination) or not is_folder(destination):
        yield
        return
    descriptor = os.open(destination, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # some network file systems do not lock folders
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


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


def _push_into_bucket(content: _Content, destination: str, at_least: int, now: float) -> Version:
    version = _version(destination, next_number(destination, now=at_least or now))
    # If this push is killed, the mark allows a later push to remove the version.
    mark = f"{destination}/pushing-{int(now)}-{version.number}"
    files.write(mark, b"")
    _write(content.last, version.path)
    _copy(content, version.path)
    files.remove(mark)
    return version


def _version(destination: str, number: int) -> Version:
    return Version(number, f"{destination}/{number}")


def _copy(content: _Content, folder: str) -> None:
    _write(content.notes, folder)
    names = content.sums.keys() - content.notes.keys()
    for name in sorted(names, key=lambda name: (name == SAVED_MODEL, name)):
        files.copy(f"{content.model}/{name}", f"{folder}/{name}")


def _write(contents: Mapping[str, bytes], folder: str) -> None:
    for name, content in contents.items():
        files.write(f"{folder}/{name}", content)


def _check(folder: str, content: _Content) -> None:
    """Refuses a copy that is not what was read before: a file that changed meanwhile, or a disk that lost a write."""
    found = differences(folder, content.sums)
    if found:
        raise RestemError(
            "the copy of the model is not what was to be pushed; nothing is pushed",
            where=content.model,
            expected="files that do not change while they are copied",
            given=found.text,
            remedy="Run again; if it happens again, check the disk",
        )


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

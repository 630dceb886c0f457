"""Reads the encoded image for one entry of a listing, from any storage."""

import errno
from dataclasses import replace

from restem import storage
from restem.errors import RestemError
from restem.example_gen.dataset import ImageFile, Record, Refused
from restem.images.header import UnreadableImage, check_bytes

# What the system says of itself, of a disk or of a network, not of one file.
_OF_THE_STORAGE = {
    *(errno.EIO, errno.ESTALE, errno.ENOLINK, errno.EAGAIN, errno.EINTR, errno.EBUSY),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    *(errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.ENOTCONN),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH),
}


def content(folder: str, file: ImageFile, max_bytes: int) -> bytes:
    """Reads one image, unless it is too large.

    Args:
      folder: the folder that paths are relative to.
      file: the image.
      max_bytes: the limit.

    Raises:
      UnreadableImage: the file is too large or cannot be read.
      RestemError: the storage failed.
    """
    full = storage.join(folder, file.path) if file.record is None else file.record.file
    try:
        if file.record is not None:
            check_bytes(file.record.length, max_bytes)
            return _image_of(file.record)
        if not storage.is_remote(full):
            check_bytes(storage.status(full).bytes, max_bytes)
            return storage.read(full)
        # Checking the size in the storage first would need one more request per file.
        with storage.open_file(full) as opened:
            data = opened.read(max_bytes + 1)
        if len(data) > max_bytes:
            check_bytes(storage.status(full).bytes, max_bytes)
        return data
    except UnreadableImage:
        raise
    except Exception as error:
        raise why_not_read(full, error) from None


def why_not_read(path: str, error: Exception) -> UnreadableImage:
    """The reason why a file cannot be read.

    A fault of the storage is none: the quarantine would keep it after the fault is over, because the same files have
    the same fingerprint, and the result comes from the cache.

    Raises:
      RestemError: the storage failed.
      Exception: the error itself, if it is one of this program.
    """
    if isinstance(error, ValueError):  # what a record or a path holds
        failed = False
    elif storage.is_remote(path):  # its clients have errors of their own
        failed = not _is_gone(path)
    elif isinstance(error, OSError):
        failed = error.errno in _OF_THE_STORAGE
    else:
        raise error
    told = getattr(error, "strerror", None) or str(error)
    if failed:
        raise RestemError(
            "the storage failed while an image was read",
            where=path,
            given=told.rstrip("."),
            remedy="Run again; if it is always this file, remove it, or leave it out with data.exclude",
        )
    return UnreadableImage(f"The file cannot be read: {told}.")


def _is_gone(path: str) -> bool:
    try:
        storage.status(path)
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False


def _image_of(record: Record) -> bytes:
    from restem.example_gen.layouts.records import BadRecord, feature_values, read_record

    if not record.feature:
        return read_record(record)
    try:
        (image,) = feature_values(read_record(record), record.feature)
    except BadRecord as error:
        raise UnreadableImage(str(error)) from None
    return image


def refuse(folder: str, file: ImageFile, reason: object) -> Refused:
    """The `Refused` entry for a listed image that cannot be read."""
    if file.record is not None:
        return Refused(file.path, str(reason), file.record.length)
    return Refused(file.path, str(reason), _size(folder, file.path))


def with_size(folder: str, refused: Refused) -> Refused:
    """Adds the stored size if it is missing and can be determined.

    A row of a table may be refused because it names a file outside the data folder: nothing there is looked at.
    """
    if refused.bytes >= 0 or storage.is_remote(refused.path) or refused.path.startswith(("/", "../")):
        return refused
    return replace(refused, bytes=_size(folder, refused.path))


def _size(folder: str, path: str) -> int:
    try:
        return storage.status(storage.join(folder, path)).bytes
    except (OSError, ValueError):
        return -1

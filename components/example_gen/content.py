"""Reads the encoded image for one entry of a listing, from any storage."""

from dataclasses import replace

from restem import storage
from restem.example_gen.dataset import ImageFile, Record, Refused
from restem.images.header import UnreadableImage, check_bytes


def content(folder: str, file: ImageFile, max_bytes: int) -> bytes:
    """Reads one image, unless it is too large.

    Args:
      folder: the folder that paths are relative to.
      file: the image.
      max_bytes: the limit.

    Raises:
      UnreadableImage: the file is too large or cannot be read.
    """
    try:
        if file.record is not None:
            check_bytes(file.record.length, max_bytes)
            return _image_of(file.record)
        full = storage.join(folder, file.path)
        if not storage.is_remote(full):
            check_bytes(storage.status(full).bytes, max_bytes)
            return storage.read(full)
        # Checking the size in the storage first would need one more request per file.
        with storage.open_file(full) as opened:
            data = opened.read(max_bytes + 1)
        if len(data) > max_bytes:
            check_bytes(storage.status(full).bytes, max_bytes)
        return data
    except (OSError, ValueError) as error:
        if isinstance(error, UnreadableImage):
            raise
        raise UnreadableImage(f"The file cannot be read: {getattr(error, 'strerror', None) or error}.") from None


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

"""The encoded image behind one entry of a listing, wherever it lies."""

from restem import storage
from restem.example_gen.dataset import Record
from restem.images.header import UnreadableImage, check_bytes


def content(folder: str, path: str, record: Record | None, max_bytes: int) -> bytes:
    """Reads one image; what is too large is not read.

    Args:
      folder: where paths start.
      path: the image's path, or a record's name.
      record: where the image is an example in a TFRecord file.
      max_bytes: the limit.

    Raises:
      UnreadableImage: it is too large, or cannot be read.
    """
    try:
        if record is not None:
            check_bytes(record.length, max_bytes)
            return _image_of(record)
        full = storage.join(folder, path)
        if not storage.is_remote(full):
            check_bytes(storage.status(full).bytes, max_bytes)
            return storage.read(full)
        # Asking a storage for the size first would be one more request for every file.
        with storage.open_file(full) as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            check_bytes(storage.status(full).bytes, max_bytes)
        return data
    except (OSError, ValueError) as error:
        if isinstance(error, UnreadableImage):
            raise
        raise UnreadableImage(f"The file cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def _image_of(record: Record) -> bytes:
    from restem.example_gen.layouts.records import BadRecord, feature_values, read_record

    try:
        (image,) = feature_values(read_record(record), record.feature)
    except BadRecord as error:
        raise UnreadableImage(str(error)) from None
    return image


def size(folder: str, path: str, record: Record | None = None) -> int:
    """An image's size in bytes as it is stored, -1 where it cannot be told."""
    if record is not None:
        return record.length
    try:
        return storage.status(storage.join(folder, path)).bytes
    except (OSError, ValueError):
        return -1

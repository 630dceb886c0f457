"""Images that are stored in a table's cells, as Hugging Face's datasets write them: copied into one file of the run.

Workers read them from there, in any order, as they read the records of TFRecord files. The hash of the bytes decides
the split of an image, so that copies are in one split.
"""

import hashlib
from types import TracebackType
from typing import Any

from restem import storage
from restem.example_gen.dataset import Record


class StoredImages:
    """Copies images into a file, if there are any."""

    def __init__(self, table: str, scratch: str | None) -> None:
        """Prepares it.

        Args:
          table: the table's path, for the file's name.
          scratch: the folder that the workers can read; None: the images are only counted.
        """
        name = hashlib.sha256(table.encode(errors="surrogateescape")).hexdigest()[:16]
        self._path = None if scratch is None else f"{scratch.rstrip('/')}/{name}.images"
        self._file: Any = None
        self._offset = 0

    def __enter__(self) -> "StoredImages":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, data: bytes) -> tuple[Record, str]:
        """The location of a stored image, and the hash of its bytes."""
        record = Record(self._path or "", self._offset, len(data))
        if self._path is not None:
            if self._file is None:
                self._file = storage.create(self._path)
            self._file.write(data)
            self._offset += len(data)
        return record, hashlib.sha256(data).hexdigest()


def stored_image(value: Any) -> tuple[bytes | None, str]:
    """The bytes of an image in a cell, if there are any, and the path that the cell gives.

    Args:
      value: text; bytes of an image, or of a path; or a struct with `bytes` and `path`, as Hugging Face writes it.
    """
    if isinstance(value, dict):
        data, path = value.get("bytes"), value.get("path")
        path = path.strip() if isinstance(path, str) else ""
        return (data, path) if isinstance(data, bytes) and data else (None, path)
    if isinstance(value, bytes) and not _is_path(value):
        return value, ""
    return None, value.decode().strip() if isinstance(value, bytes) else ""


def _is_path(data: bytes) -> bool:
    try:
        return len(data) < 4096 and data.decode().isprintable()
    except UnicodeDecodeError:
        return False

"""An in-memory storage for Beam, mem://bucket/name, which replaces gs:// and similar storages in tests."""

import io
from collections.abc import Iterator
from typing import Any, ClassVar

from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem

PREFIX = "mem://"


class MemoryFileSystem(FileSystem):
    """It has only files, like an object storage; folders are common prefixes of their names."""

    FILES: ClassVar[dict[str, bytes]] = {}

    @classmethod
    def scheme(cls) -> str:
        return "mem"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def has_dirs(self) -> bool:
        return False

    def mkdirs(self, path: str) -> None:
        raise BeamIOError("there are no folders")

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for path, data in sorted(self.FILES.items()):
            if path.startswith(dir_or_prefix):
                yield FileMetadata(path, len(data), float(len(path)))

    def open(self, path: str, mime_type: Any = None, compression_type: Any = None) -> io.BytesIO:
        if path not in self.FILES:
            raise BeamIOError(f"there is no {path}")
        return io.BytesIO(self.FILES[path])

    def create(self, path: str, mime_type: Any = None, compression_type: Any = None) -> io.BytesIO:
        files = self.FILES

        class _Written(io.BytesIO):
            def close(self) -> None:
                files[path] = self.getvalue()
                super().close()

        return _Written()

    def exists(self, path: str) -> bool:
        return path in self.FILES

    def size(self, path: str) -> int:
        return len(self.FILES[path])

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, len(self.FILES[path]), float(len(path)))

    def last_updated(self, path: str) -> float:
        return float(len(path))

    def checksum(self, path: str) -> str:
        return str(len(self.FILES[path]))

    def copy(self, sources: list[str], destinations: list[str]) -> None:
        raise NotImplementedError

    def rename(self, sources: list[str], destinations: list[str]) -> None:
        raise NotImplementedError

    def delete(self, paths: list[str]) -> None:
        raise NotImplementedError

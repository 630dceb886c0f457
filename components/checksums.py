"""SHA-256 of the files in a folder, and what differs from it later: a damaged disk or an edited file is named.

A version's manifest (pusher/manifest.py) and the results of a run's steps (pipeline/local/results.py) use it.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from restem.files import file_sizes, open_file
from restem.storage import is_remote

CHUNK_BYTES = 1 << 20
SHOWN = 5  # files that a message names


@dataclass(frozen=True, order=True)
class FileSum:
    """A file's size in bytes, and the SHA-256 of its content in 64 hexadecimal digits."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Differences:
    """The files of a folder that are not as they were, by relative path, sorted.

    Attributes:
      changed: with another size or content.
      missing: that are no longer there.
      additional: that were not there.
    """

    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    additional: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.missing or self.additional)

    @property
    def text(self) -> str:
        """All of them, as the end of a sentence: "variables.index is changed, classes.json is missing"."""
        named = [
            *(f"{name} is changed" for name in self.changed),
            *(f"{name} is missing" for name in self.missing),
            *(f"{name} is additional" for name in self.additional),
        ]
        shown = ", ".join(named[:SHOWN])
        return f"{shown} and {len(named) - SHOWN} more" if len(named) > SHOWN else shown

    def without(self, names: Iterable[str]) -> "Differences":
        """Those in other files."""
        left = set(names)
        return Differences(*(tuple(name for name in each if name not in left) for each in self._lists()))

    def _lists(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        return self.changed, self.missing, self.additional


def file_sums(folder: str) -> dict[str, FileSum]:
    """The sums of all files below a folder, sorted by relative path with forward slashes."""
    return _sums(folder, file_sizes(folder))


def differences(folder: str, expected: Mapping[str, FileSum]) -> Differences:
    """What differs in a folder from `expected`. Files with another size are not read.

    Raises:
      OSError: a file cannot be read.
    """
    sizes = file_sizes(folder)
    there = {name: size for name, size in sizes.items() if name in expected}
    changed = {name for name, size in there.items() if size != expected[name].bytes}
    found = _sums(folder, {name: size for name, size in there.items() if name not in changed})
    return compare({name: found.get(name, FileSum(size, "")) for name, size in sizes.items()}, expected)


def compare(found: Mapping[str, FileSum], expected: Mapping[str, FileSum]) -> Differences:
    """What differs in `found` from `expected`."""
    return Differences(
        tuple(sorted(name for name in expected if name in found and found[name] != expected[name])),
        tuple(sorted(name for name in expected if name not in found)),
        tuple(sorted(name for name in found if name not in expected)),
    )


def sha256(path: str) -> str:
    """Of a file's content, in hexadecimal digits."""
    with open_file(path, "rb") as file:
        if not is_remote(path):
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        update_from(file, digest)
        return digest.hexdigest()


def update_from(file: Any, *digests: Any) -> None:
    """Reads a file once for several digests."""
    while chunk := file.read(CHUNK_BYTES):
        for digest in digests:
            digest.update(chunk)


def _sums(folder: str, sizes: Mapping[str, int]) -> dict[str, FileSum]:
    top = folder.rstrip("/")
    # hashlib releases the interpreter's lock, so that the files are read on all cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(sha256, (f"{top}/{name}" for name in sizes))
        return {name: FileSum(size, digest) for (name, size), digest in zip(sizes.items(), found, strict=True)}

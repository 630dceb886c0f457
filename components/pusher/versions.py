"""The folder that models are pushed to, in TensorFlow Serving's layout: a numbered sub-folder for each version.

All access goes through TFX's fileio, so the folder can be local, on a mounted volume or in gs://.
"""

import hashlib
from dataclasses import dataclass

from tfx.dsl.io import fileio

SAVED_MODEL = "saved_model.pb"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Version:
    """One version: its number, usually the Unix time of the push in seconds, and its folder."""

    number: int
    path: str


def entries(folder: str) -> list[str]:
    """The names in a folder, without the trailing slash that buckets add to folders; empty if it is missing."""
    if not fileio.isdir(folder):
        return []
    return sorted(name.rstrip("/") for name in fileio.listdir(folder))


def versions(destination: str) -> list[Version]:
    """The versions in a folder, newest first; other entries are ignored, as by TensorFlow Serving."""
    numbers = [name for name in entries(destination) if name.isascii() and name.isdigit()]
    found = [Version(int(name), f"{destination.rstrip('/')}/{name}") for name in numbers]
    return sorted((version for version in found if fileio.isdir(version.path)), key=lambda version: -version.number)


def file_sizes(folder: str) -> dict[str, int]:
    """Sizes in bytes of all files below a folder, sorted by relative path with forward slashes."""
    top = folder.rstrip("/")
    sizes: dict[str, int] = {}
    for parent, _, names in fileio.walk(top):
        for name in names:
            path = f"{parent.rstrip('/')}/{name}"
            status = fileio.stat(path)
            # TensorFlow's file system has `length`, Python's has `st_size`.
            sizes[path.removeprefix(f"{top}/")] = getattr(status, "length", 0) or getattr(status, "st_size", 0)
    return dict(sorted(sizes.items()))


def fingerprint(folder: str) -> str:
    """The fingerprint of the names and contents of a model's files: 32 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, size in file_sizes(folder).items():
        digest.update(f"{name}\0{size}\0".encode())
        with fileio.open(f"{folder.rstrip('/')}/{name}", "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()[:32]


def newest_if_same(destination: str, model: str) -> Version | None:
    """The newest version if all its files are equal to those in the folder `model`, otherwise None."""
    newest = next(iter(versions(destination)), None)
    if newest is None or file_sizes(newest.path) != file_sizes(model):  # Comparing sizes first is cheap.
        return None
    return newest if fingerprint(newest.path) == fingerprint(model) else None

"""The folder that models are pushed to, as TensorFlow Serving reads it: a sub-folder with a number for each version.

All of it goes through TFX's fileio, so that a folder may be a local one, a mounted volume or gs://.
"""

import hashlib
from dataclasses import dataclass

from tfx.dsl.io import fileio

SAVED_MODEL = "saved_model.pb"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Version:
    """One version: its number, which is the second (Unix time) it was pushed in, and its folder."""

    number: int
    path: str


def entries(folder: str) -> list[str]:
    """The names in a folder, without the slash that buckets put behind those of folders; none where it is missing."""
    if not fileio.isdir(folder):
        return []
    return sorted(name.rstrip("/") for name in fileio.listdir(folder))


def versions(destination: str) -> list[Version]:
    """The versions in a folder, newest first; what else is in it is none of them, as for TensorFlow Serving."""
    numbers = [name for name in entries(destination) if name.isascii() and name.isdigit()]
    found = [Version(int(name), f"{destination.rstrip('/')}/{name}") for name in numbers]
    return sorted((version for version in found if fileio.isdir(version.path)), key=lambda version: -version.number)


def file_sizes(folder: str) -> dict[str, int]:
    """All files in a folder and below it: path relative to the folder, with forward slashes, to bytes; in order."""
    top = folder.rstrip("/")
    sizes: dict[str, int] = {}
    for parent, _, names in fileio.walk(top):
        for name in names:
            path = f"{parent.rstrip('/')}/{name}"
            status = fileio.stat(path)
            # TensorFlow's file system says length, Python's st_size.
            sizes[path.removeprefix(f"{top}/")] = getattr(status, "length", 0) or getattr(status, "st_size", 0)
    return dict(sorted(sizes.items()))


def fingerprint(folder: str) -> str:
    """The fingerprint of a model's files, names and contents: 32 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, size in file_sizes(folder).items():
        digest.update(f"{name}\0{size}\0".encode())
        with fileio.open(f"{folder.rstrip('/')}/{name}", "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()[:32]


def newest_if_same(destination: str, model: str) -> Version | None:
    """The newest version where it is the very model in the folder `model`, file by file; else None."""
    newest = next(iter(versions(destination)), None)
    if newest is None or file_sizes(newest.path) != file_sizes(model):  # Sizes are cheap to compare, contents are not.
        return None
    return newest if fingerprint(newest.path) == fingerprint(model) else None

"""The folder that models are pushed to, in TensorFlow Serving's layout: a numbered sub-folder for each version.

It can be local, on a mounted volume or in gs://.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from restem.files import entries, exists, is_folder
from restem.model_files import SAVED_MODEL, SIGNATURE, fingerprint, model_files
from restem.run_record import CLASSES, EXTRA, MODEL

SHARD = re.compile(r"^variables/variables\.data-\d{5}-of-(\d{5})$")
FILES = (SAVED_MODEL, "variables/variables.index", f"{EXTRA}/{CLASSES}", f"{EXTRA}/{MODEL}")

Problem = Callable[[str], str | None]  # why a folder cannot be used, as the end of a sentence
Skipped = tuple[tuple[str, str], ...]  # folders that cannot be used, newest first, and why


@dataclass(frozen=True)
class Version:
    """One version: its number, usually the Unix time of the push in seconds, and its folder."""

    number: int
    path: str


def versions(destination: str) -> list[Version]:
    """The versions in a folder, newest first; other entries are ignored, as by TensorFlow Serving."""
    numbers = [name for name in entries(destination) if name.isascii() and name.isdigit()]
    found = [Version(int(name), f"{destination.rstrip('/')}/{name}") for name in numbers]
    return sorted((version for version in found if is_folder(version.path)), key=lambda version: -version.number)


def newest_version(destination: str, problem: Problem) -> tuple[str | None, Skipped]:
    """The folder of the newest version that can be used, and the newer versions that cannot.

    Args:
      destination: the folder of versions.
      problem: decides whether a version can be used.
    """
    return _first((version.path for version in versions(destination)), problem)


def newest(where: str, problem: Problem) -> tuple[str | None, Skipped]:
    """The same in a folder that can also be the folder of one model; this is then the only one tried."""
    where = where.rstrip("/")
    if exists(f"{where}/{SAVED_MODEL}") or (not versions(where) and is_folder(where)):
        return _first([where], problem)
    return newest_version(where, problem)


def _first(folders: Iterable[str], problem: Problem) -> tuple[str | None, Skipped]:
    skipped: list[tuple[str, str]] = []
    for folder in folders:
        reason = problem(folder)
        if reason is None:
            return folder, tuple(skipped)
        skipped.append((folder, reason))
    return None, tuple(skipped)


def missing(sizes: Mapping[str, int]) -> str | None:
    """The first file of a pushed model that is missing or empty, as the end of a sentence; None if all exist.

    Args:
      sizes: file sizes in bytes by path relative to the model's folder, with forward slashes.
    """
    for name in FILES:
        if name not in sizes:
            return f"{name} is missing"
        if not sizes[name]:
            return f"{name} is empty"
    shards = [match for name in sizes if (match := SHARD.fullmatch(name))]
    expected = int(shards[0][1]) if shards else 1
    if len(shards) < expected:
        return f"only {len(shards)} of {expected} files variables/variables.data-* exist"
    return None


def newest_if_same(destination: str, model: str, *, known: str | None = None, signed: bool = False) -> Version | None:
    """The newest version if it is the model in the folder `model`, otherwise None.

    Args:
      destination: the folder of versions.
      model: the folder of a model.
      known: the model's fingerprint, if it is known.
      signed: whether the version must have a signature.
    """
    last = next(iter(versions(destination)), None)
    if last is None or model_files(last.path) != model_files(model):  # Comparing sizes first is cheap.
        return None
    if signed and not exists(f"{last.path}/{SIGNATURE}"):
        return None
    return last if fingerprint(last.path) == (known or fingerprint(model)) else None

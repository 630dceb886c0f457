"""Removes old versions."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from restem.errors import RestemError
from restem.pusher.pins import read_pins
from restem.pusher.push import remove
from restem.pusher.reading import alone, is_read
from restem.pusher.registry import Entry, the_served
from restem.pusher.versions import versions
from restem.record_files import seconds_of
from restem.storage import is_remote

# The served version, and the one before it, which a server may have just chosen.
FEWEST = 2
# How long a server may take to load a version that it chose while it was the newest.
LOADING_SECONDS = 600


@dataclass(frozen=True)
class Plan:
    """What a pruning removes and keeps.

    Attributes:
      remove: versions that go, newest first.
      kept: the versions that stay although they are older than the ones asked for, and why, as the end of a sentence.
    """

    remove: tuple[Entry, ...]
    kept: tuple[tuple[Entry, str], ...]

    @property
    def bytes(self) -> int:
        """The size of what goes."""
        return sum(entry.bytes for entry in self.remove)


def plan(
    entries: Sequence[Entry],
    keep: int,
    *,
    now: float,
    loading_seconds: float = LOADING_SECONDS,
    needed: Mapping[int, str] = MappingProxyType({}),
) -> Plan:
    """Decides what to remove.

    Kept are the served version, everything newer, the `keep` newest complete versions, everything that this project did
    not push, pinned versions, those that are being read, and versions that were the newest one less than
    `loading_seconds` ago.

    Args:
      entries: all versions, newest first.
      keep: how many complete versions of this project stay, the served one included.
      now: Unix time.
      loading_seconds: how long a server may take to load a version.
      needed: further versions that stay, and why, as the end of a sentence.

    Raises:
      RestemError: `keep` is too small.
    """
    if keep < FEWEST:
        raise RestemError(
            "too few versions would be kept",
            where="--keep",
            expected=f"at least {FEWEST}: the served one, and the one before it, which a server may be loading",
            given=str(keep),
        )
    served = the_served(entries)
    if served is None:
        return Plan((), tuple((entry, "no version is served") for entry in entries))
    complete = [entry for entry in entries if entry.ours and entry.problem is None]
    newest = {entry.number for entry in complete[:keep]}
    gone: list[Entry] = []
    kept: list[tuple[Entry, str]] = []
    for entry in entries:
        if entry.number in newest or entry.number >= served.number:
            continue
        reason = _reason(entry, entries, now, loading_seconds) or needed.get(entry.number)
        if reason is None:
            gone.append(entry)
        else:
            kept.append((entry, reason))
    return Plan(tuple(gone), tuple(kept))


def _reason(entry: Entry, entries: Sequence[Entry], now: float, loading_seconds: float) -> str | None:
    """Why an old version stays; None if it goes."""
    if not entry.ours:
        return entry.problem or "it was not pushed by restem"
    if entry.busy:
        return "it is being written"
    if entry.pinned is not None:
        return f"it is pinned{f': {entry.pinned}' if entry.pinned else ''}"
    if is_read(entry.path):
        return "it is being read"
    # It was the newest one until the next version was pushed.
    next_one = min((each for each in entries if each.number > entry.number), key=lambda each: each.number)
    if next_one.pushed_at is not None and now - seconds_of(next_one.pushed_at) < loading_seconds:
        return f"it was the newest one less than {loading_seconds:.0f} s ago, so a server may be loading it"
    return None


def named(destination: str, paths: Mapping[str, str | None]) -> dict[int, str]:
    """The versions that a configuration names, and why they stay, as the end of a sentence.

    Args:
      destination: the folder of versions.
      paths: by key of the configuration; other values than folders of versions are ignored.
    """
    asked = {_real(path): key for key, path in paths.items() if path}
    return {
        version.number: f"{asked[_real(version.path)]} names it"
        for version in versions(destination)
        if _real(version.path) in asked
    }


def _real(path: str) -> str:
    return path.rstrip("/") if is_remote(path) else os.path.realpath(path)


def prune(planned: Plan) -> tuple[Entry, ...]:
    """Removes the versions of a plan, oldest first; returns those that were removed.

    A version is checked again before it goes: it must still be a folder, not a link, that nobody pinned or reads.

    Raises:
      RestemError: a version cannot be removed; those before it are.
    """
    removed = []
    for entry in reversed(planned.remove):
        try:
            with alone(entry.path) as free:
                if free and entry.number not in read_pins(entry.path.rpartition("/")[0]) and remove(entry.version):
                    removed.append(entry)
        except OSError as error:
            raise RestemError(
                "the version cannot be removed", where=entry.path, given=error.strerror or type(error).__name__
            ) from None
    return tuple(removed)

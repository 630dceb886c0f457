"""The registry of releases: the folder of versions, read without changing it.

Each version says itself what it is (assets.extra/model.json and release.json). A folder with a number as its name that
this project did not write is listed, because a server may load it, and never touched.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from restem.errors import RestemError
from restem.files import exists, file_sizes
from restem.pusher.pins import read_pins
from restem.pusher.push import being_written
from restem.pusher.release import Origin, Release, read_release
from restem.pusher.versions import Version, missing, versions
from restem.record_files import DamagedRecord, seconds_of, time_text
from restem.run_record import EXTRA, MODEL, ModelRecord, read_classes, read_model
from restem.storage import is_remote

# Version numbers are Unix times unless someone chose other ones.
FIRST_PUSH = 1_700_000_000
DAY = 86_400
SAVED_MODELS = ("saved_model.pb", "saved_model.pbtxt")


@dataclass(frozen=True)
class Entry:
    """One version.

    Attributes:
      number, path: of its folder.
      served: whether a server loads it: TensorFlow Serving takes the largest number.
      ours: whether this project pushed it: a folder, not a link to one, with a readable record of a candidate.
      problem: why the model cannot be released again, as the end of a sentence; None if it can.
      busy: whether a push or a removal of it is in progress, or was killed less than an hour ago.
      pushed_at: the time of the push; from the number if the record does not have it; None: not known.
      data, code: fingerprints of the images with their labels, and of the training's code; None in older records.
      record, release: its records; None if it is not ours, or the release record is missing.
      bytes: the size of its files.
      pinned: why it is pinned (an empty text: no reason was given); None if it is not.
    """

    number: int
    path: str
    served: bool
    ours: bool
    problem: str | None
    busy: bool
    pushed_at: str | None
    data: str | None
    code: str | None
    record: ModelRecord | None
    release: Release | None
    bytes: int
    pinned: str | None = None

    @property
    def origin(self) -> Origin | None:
        """Where it comes from, if a rollback pushed it."""
        return self.release.origin if self.release else None

    @property
    def version(self) -> Version:
        """Its number and path."""
        return Version(self.number, self.path)


def read_registry(destination: str, *, now: float) -> list[Entry]:
    """All versions in a folder, newest first.

    Args:
      destination: the folder of versions.
      now: Unix time.
    """
    destination = destination.rstrip("/")
    busy = being_written(destination) if is_remote(destination) else set()
    pins = read_pins(destination)
    found: list[Entry] = []
    for version in versions(destination):
        entry = _read(version, busy=version.number in busy, now=now)
        if entry is not None:
            served = not any(each.served for each in found) and _loadable(entry)
            found.append(replace(entry, served=served, pinned=pins.get(entry.number)))
    return found


def the_served(entries: Sequence[Entry]) -> Entry | None:
    """The version that a server loads; None if there is none."""
    return next((entry for entry in entries if entry.served), None)


def find(entries: Sequence[Entry], number: int, destination: str) -> Entry:
    """The version with this number.

    Raises:
      RestemError: there is none.
    """
    for entry in entries:
        if entry.number == number:
            return entry
    known = ", ".join(str(entry.number) for entry in entries[:10])
    expected = f"one of {known}" if known else "a version; there are none"
    raise RestemError("there is no such version", where=destination, expected=expected, given=str(number))


def _read(version: Version, *, busy: bool, now: float) -> Entry | None:
    """None if the version was removed meanwhile."""
    sizes = file_sizes(version.path)
    if not sizes and not exists(version.path):
        return None
    record, release, problem = None, None, None
    extra = f"{version.path}/{EXTRA}"
    if not is_remote(version.path) and os.path.islink(version.path):
        problem = "it is a symbolic link"
    elif f"{EXTRA}/{MODEL}" not in sizes:
        problem = f"it was not pushed by restem: {EXTRA}/{MODEL} is missing"
    else:
        try:
            record = read_model(extra)
        except (DamagedRecord, OSError) as damage:
            problem = f"its record cannot be read: {damage}"
    if record is not None and record.role != "candidate":
        record, problem = None, "it is the baseline of a run, not a pushed model"
    if record is not None:
        try:
            release = read_release(extra)
            problem = missing(sizes)
            if problem is None:
                read_classes(extra)
        except (DamagedRecord, OSError) as damage:
            problem = f"{EXTRA}/{damage}"
    made = record.made_of if record else None
    return Entry(
        number=version.number,
        path=version.path,
        served=False,
        ours=record is not None,
        problem=problem or ("it is being written" if busy else None),
        busy=busy,
        pushed_at=_known(release.pushed_at if release else None) or _time_of(version.number, now),
        data=made.images[:16] if made else None,
        code=record.code if record else None,
        record=record,
        release=release,
        bytes=sum(sizes.values()),
    )


def _known(text: str | None) -> str | None:
    try:
        return None if text is None else time_text(seconds_of(text))
    except ValueError:
        return None


def _time_of(number: int, now: float) -> str | None:
    return time_text(number) if FIRST_PUSH <= number <= now + DAY else None


def _loadable(entry: Entry) -> bool:
    """Whether TensorFlow Serving would load it: an incomplete version is skipped, and the previous one stays loaded."""
    if entry.ours:
        return not entry.busy and missing(file_sizes(entry.path)) is None
    return any(exists(f"{entry.path}/{name}") for name in SAVED_MODELS)

"""Cleaning a root up: what no kept run and no released version needs, and how it is removed.

The caller holds the root's lock. In this order, so that a kill at any moment leaves a root that works: old versions go
first, then the results are marked as deleted in the metadata database (TFX's cache does not find them any more), then
their folders go.
"""

import logging
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.filesize import decimal

from restem.errors import RestemError
from restem.files import exists
from restem.pipeline.config import Config, push_destination
from restem.pipeline.local.cache import RESULT, here
from restem.pipeline.local.database import DATABASE
from restem.pipeline.local.folder import RunFolder
from restem.pipeline.local.found_model import SERVING
from restem.pipeline.local.kept import Needs, needs
from restem.pipeline.local.lineage import Lineage, mark_removed, read_lineage
from restem.pipeline.local.removal import has_links, leftovers, remove, size_of
from restem.pusher import push
from restem.pusher.prune import Plan, named, plan, prune
from restem.pusher.reading import is_read
from restem.pusher.registry import Entry, read_registry
from restem.storage import is_remote

LOG = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)(?:-\d+)?\.log")
SYSTEM = ".system"  # where TFX keeps the working folders of a step
OF_EXECUTIONS = "executor_execution"

NOUNS = {
    "version": "version",
    "result": "result",
    "unfinished": "unfinished result",
    "log": "log",
    "working": "working folder",
    "leftover": "leftover",
}

log = logging.getLogger("restem")

Kind = Literal["version", "result", "unfinished", "working", "log", "leftover"]


@dataclass(frozen=True)
class Item:
    """Something that stays or goes.

    Attributes:
      kind: `version`: of the released model; `result`: of a step; `unfinished`: what a killed or failed step wrote;
        `working`: a working folder of TFX; `log`; `leftover`: of a removal that was killed.
      path: its file or folder.
      bytes: its size.
      reason: why it goes or stays, a phrase.
    """

    kind: Kind
    path: str
    bytes: int
    reason: str


@dataclass(frozen=True)
class CleanPlan:
    """What a cleaning removes and keeps.

    Attributes:
      remove, kept: what goes and what stays.
      runs: the runs that stay as a whole, newest first, and why.
      marks: the ids of the results that go.
      versions: the plan for the released versions; None: all stay.
    """

    remove: tuple[Item, ...]
    kept: tuple[Item, ...]
    runs: dict[str, str]
    marks: tuple[int, ...]
    versions: Plan | None

    @property
    def bytes(self) -> int:
        """The size of what goes."""
        return sum(item.bytes for item in self.remove)


@dataclass(frozen=True)
class Cleaned:
    """What a cleaning did.

    Attributes:
      removed: what went.
      problems: what could not be removed, and why, in sentences.
    """

    removed: tuple[Item, ...] = ()
    problems: tuple[str, ...] = field(default=())

    @property
    def bytes(self) -> int:
        """The size of what went."""
        return sum(item.bytes for item in self.removed)

    def to_dict(self) -> dict[str, Any]:
        """As values for --json."""
        return {"bytes": self.bytes, "removed": [asdict(item) for item in self.removed], "problems": self.problems}


def plan_clean(config: Config, folder: RunFolder, *, now: float) -> CleanPlan:
    """Decides what goes.

    Args:
      config: the configuration; its section `retention` decides.
      folder: the run's folder.
      now: Unix time.

    Raises:
      RestemError: the database or the folder of versions cannot be read.
    """
    destination = push_destination(config, str(folder.root)).rstrip("/")
    entries = read_registry(destination, now=now)
    keep = config.retention.versions
    planned = None
    if keep is not None:
        planned = plan(entries, keep, now=now, needed=named(destination, config.named_models))
    gone = {entry.number for entry in planned.remove} if planned else set()
    staying_ones = [entry for entry in entries if entry.number not in gone]
    releases = {run: entry.number for entry in staying_ones if (run := entry.release and entry.release.run)}
    there = (folder.root / DATABASE).is_file() and (folder.root / DATABASE).stat().st_size > 0
    lineage = read_lineage(folder.root) if there else Lineage((), {}, 0)
    needed = needs(lineage, config.name, config.retention, releases)

    kept = {entry.number: reason for entry, reason in planned.kept} if planned else {}
    going = [
        Item("version", entry.path, entry.bytes, f"not among the {keep} newest")
        for entry in (planned.remove if planned else ())
    ]
    staying = [Item("version", entry.path, entry.bytes, _stays(entry, keep, kept)) for entry in staying_ones]
    marks = []
    for result, item, goes in _results(folder.root, lineage, needed):
        (going if goes else staying).append(item)
        if goes:
            marks.append(result)
    if config.retention.runs is not None:
        going += _unfinished(folder.root, lineage, needed)
        going += _logs(folder, needed)
    going += [
        Item("leftover", str(path), size_of(path), "left by a removal that was killed")
        for place in (folder.root / "pipeline", folder.logs)
        for path in leftovers(place)
    ]
    if keep is not None:
        going += [
            Item("leftover", path, 0 if is_remote(path) else size_of(Path(path)), "left by a push or a removal")
            for path in push.leftovers(destination, now=now)
        ]
    return CleanPlan(tuple(going), tuple(staying), dict(needed.runs), tuple(marks), planned)


def clean(config: Config, folder: RunFolder, *, now: float) -> Cleaned:
    """Removes what `plan_clean` decides.

    Raises:
      RestemError: see `plan_clean`; or the database cannot be written to.
    """
    planned = plan_clean(config, folder, now=now)
    removed: list[Item] = []
    problems: list[str] = []
    if planned.versions and planned.versions.remove:
        try:
            gone = {entry.path for entry in prune(planned.versions)}
        except RestemError as error:
            problems.append(str(error))
            gone = {entry.path for entry in planned.versions.remove if not os.path.lexists(entry.path)}
        removed += [item for item in planned.remove if item.kind == "version" and item.path in gone]
        # A version that somebody just began to read or pinned stays, and so does what explains it.
        planned = plan_clean(config, folder, now=now)
    if planned.marks:
        mark_removed(folder.root, planned.marks)
    items = [item for item in planned.remove if item.kind != "version"]
    destination = push_destination(config, str(folder.root)).rstrip("/")
    if config.retention.versions is not None:
        beside = [item for item in items if item.path.rpartition("/")[0] == destination]
        push.remove_leftovers(destination, now=now)
        removed += [item for item in beside if not exists(item.path)]
    for place in (folder.root / "pipeline", folder.logs):
        inside = [item for item in items if item.path.startswith(f"{place}/")]
        paths = [Path(item.path) for item in inside if item.kind != "leftover"]
        failed = {str(path): reason for path, reason in remove(place, paths)} if inside else {}
        problems += [f"{path} cannot be removed: {reason}" for path, reason in failed.items()]
        removed += [item for item in inside if item.path not in failed]
    return Cleaned(tuple(removed), tuple(problems))


def _stays(entry: Entry, keep: int | None, kept: dict[int, str]) -> str:
    if keep is None:
        return "all versions are kept"
    if entry.served:
        return "it is served"
    return kept.get(entry.number, f"one of the {keep} newest")


def _results(root: Path, lineage: Lineage, needed: Needs) -> Iterator[tuple[int, Item, bool]]:
    """Each result in the root that has a folder or is not marked: its id, what is said of it, and whether it goes."""
    folders = {result.id: here(result.uri, str(root)) for result in lineage.results.values()}
    used = {folders[each] for each in needed.results if not lineage.results[each].removed}
    for result in lineage.results.values():
        folder = folders[result.id]
        path = Path(folder)
        # What somebody else wrote is not touched.
        if not RESULT.fullmatch(folder) or not folder.startswith(f"{root}/pipeline/") or ".." in path.parts:
            continue
        if result.removed and (not os.path.lexists(path) or folder in used):
            continue
        reason = needed.results.get(result.id) if not result.removed else None
        if reason is None and folder in used:
            reason = "another result is in the same folder"
        if reason is None and has_links(path):
            reason = "a symbolic link, which is never followed"
        if reason is None and is_read(str(path / SERVING)):
            reason = "it is being read"
        told = reason or "no kept run or version needs it"
        yield result.id, Item("result", folder, size_of(path), told), reason is None


def _unfinished(root: Path, lineage: Lineage, needed: Needs) -> list[Item]:
    """What steps that did not finish wrote, and working folders: nothing finds them. No step runs now."""
    if has_links(root / "pipeline"):
        return []
    known = {here(result.uri, str(root)) for result in lineage.results.values()}
    found: list[Item] = []
    for folder, key in _folders(root / "pipeline", depth=2):
        if key == SYSTEM:
            for kind in _subfolders(folder):
                for path in _subfolders(kind):
                    number = int(path.name) if path.name.isdecimal() else None
                    if kind.name == OF_EXECUTIONS and (number in needed.executions or (number or 0) > lineage.last):
                        continue
                    found.append(Item("working", str(path), size_of(path), "no step works in it"))
            continue
        for path in _subfolders(folder):
            # A number that the database does not know is of another database: see restem repair.
            if str(path) in known or not path.name.isdecimal() or int(path.name) > lineage.last:
                continue
            if int(path.name) not in needed.executions:
                found.append(Item("unfinished", str(path), size_of(path), "its step did not finish"))
    return found


def _folders(top: Path, depth: int) -> Iterator[tuple[Path, str]]:
    """The folders exactly so deep below `top`, and their names; links are not followed."""
    for path in _subfolders(top):
        if depth == 1:
            yield path, path.name
        else:
            yield from _folders(path, depth - 1)


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _logs(folder: RunFolder, needed: Needs) -> list[Item]:
    """The logs before that of the newest kept run that are not of a kept run."""
    if has_links(folder.logs):
        return []
    logs = []
    for path in sorted(folder.logs.glob("*.log")):
        if (match := LOG.fullmatch(path.name)) and path.is_file() and not path.is_symlink():
            year, month, day, hour, minute, second = match.groups()
            logs.append((f"{year}-{month}-{day}T{hour}:{minute}:{second}", path))
    # A run starts some seconds after its log.
    of_runs = [max((log for log in logs if log[0] <= start), default=None) for start in needed.runs]
    kept = {log for log in of_runs if log is not None}
    return [
        Item("log", str(path), size_of(path), "of no kept run")
        for start, path in logs
        if kept and (start, path) < max(kept) and (start, path) not in kept
    ]


def clean_after_run(config: Config, folder: RunFolder) -> Cleaned | None:
    """Cleans up after a run that finished, if the section `retention` says so, and logs what went in one line.

    A problem is a warning: the run itself has finished.
    """
    if not config.retention.wanted:
        return None
    try:
        done = clean(config, folder, now=time.time())
    except (RestemError, OSError) as error:
        done = Cleaned(problems=(str(error),))
    for problem in done.problems:
        log.warning("retention: %s", problem)
    log.info("retention: removed %s", summary(done.removed))
    return done


def summary(items: Sequence[Item]) -> str:
    """What goes or went, in a phrase: "1 version and 17 results, 310.2 MB"."""
    counts = Counter[str](item.kind for item in items)
    named = [f"{counts[kind]} {noun}{'' if counts[kind] == 1 else 's'}" for kind, noun in NOUNS.items() if counts[kind]]
    if not named:
        return "nothing"
    listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    return f"{listed}, {decimal(sum(item.bytes for item in items))}"

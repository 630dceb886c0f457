"""The checksums of the results of a run's steps: a file that a disk or an editor changed stops the run, with its name.

TFX reads a result as it finds it: a changed byte in a weights file is another network, and one in a file of examples
stops a training in the middle of an epoch. So the SHA-256 of every file is kept when a step has written it, in
<root>/checksums, where no step looks for data, and compared before the result is used: when it comes from the cache,
and when another step reads it. In one run a file is read once for this, unless its size or time changes, and once more
before the evaluation and before a push.
"""

import gzip
import json
import logging
import os
import re
import zlib
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from restem import files
from restem.checksums import CHUNK_BYTES, Differences, FileSum, differences, file_sums
from restem.errors import RestemError
from restem.pipeline.local.cache import RESULT
from restem.record_files import DamagedRecord, read_json

RECOMPUTE = "--recompute"
CHECKSUMS = "checksums"
# What TensorFlow, Beam, gzip and zlib say of damaged records.
DAMAGED = re.compile(
    r"DataLossError|corrupted record|zlib\.error|Error -\d+ while|BadGzipFile|CRC check failed|not a gzip|inflate\(\)|"
    r"end-of-stream marker|truncated record|masked crc",
    re.IGNORECASE,
)

log = logging.getLogger("restem")
details = logging.getLogger(__name__)  # only for the log file

Stats = dict[str, tuple[int, int, int]]


class Results:
    """The results that one run makes and uses.

    Args:
        recompute: whether a damaged result is not taken from the cache, instead of stopping the run.
    """

    def __init__(self, *, recompute: bool = False) -> None:
        self._recompute = recompute
        self._seen: dict[str, Stats] = {}  # how the files were when this run compared or wrote them

    def written(self, uri: str) -> None:
        """A step has written this result."""
        if is_result(uri):
            record(uri)
            self._seen[uri] = _stats(uri)

    def usable(self, uri: str) -> bool:
        """Whether a result can come from the cache; False: its step must run again.

        Raises:
            RestemError: it is damaged, and is not to be computed again.
        """
        found = damage(uri)
        if found is None:  # made by an older version of Restem, or by a run that was killed just then
            self.written(uri)
            return True
        if found and not self._recompute:
            raise damaged(uri, found)
        if found:
            log.warning("%s is damaged (%s): the step %s runs again", uri, found.text, step_of(uri))
            return False
        self._seen[uri] = _stats(uri)
        return True

    def check(self, uris: Iterable[str], *, again: bool = False) -> None:
        """Refuses results that are not as their steps wrote them, before another step reads them.

        Args:
            uris: the folders of the results.
            again: whether files are read again whose size and time have not changed since this run read them.

        Raises:
            RestemError: one of them is damaged.
        """
        for uri in uris:
            if again or self._seen.get(uri) != _stats(uri):
                refuse_damaged(uri)
                self._seen[uri] = _stats(uri)

    def explain(self, error: BaseException, uris: Iterable[str]) -> None:
        """Says which of the results that a failed step has read is the cause, if it is one of them.

        Raises:
            RestemError: one of them is damaged.
        """
        uris = list(uris)
        for uri in uris:
            found = damage(uri)
            if not found and DAMAGED.search(_texts(error)) and (name := unreadable(uri)):
                _mark(uri, name)  # it was so when its checksum was made
                found = Differences(changed=(name,))
            if found:
                details.info("the step failed because of a damaged file", exc_info=error)
                raise damaged(uri, found) from None


def is_result(uri: str) -> bool:
    """Whether an artifact's folder is a step's result in a root."""
    return RESULT.fullmatch(uri) is not None and os.path.isdir(uri)


def step_of(uri: str) -> str:
    """The step that wrote a result."""
    return uri.rsplit("/", 3)[1]


def place(uri: str) -> Path:
    """The file with a result's checksums."""
    root, _, step, output, number = uri.rsplit("/", 4)
    return Path(root) / CHECKSUMS / step / output / f"{number}.json"


def forget_removed(root: str) -> None:
    """Removes the checksums of results that are no longer there."""
    for path in Path(root, CHECKSUMS).glob("*/*/*.json"):
        if not Path(root, "pipeline", *path.relative_to(Path(root, CHECKSUMS)).with_suffix("").parts).is_dir():
            path.unlink()


def record(uri: str) -> None:
    """Keeps the checksums of a result."""
    _write(uri, file_sums(uri))


def damage(uri: str) -> Differences | None:
    """What is not as its step wrote it; None: that is not known.

    Hidden files, such as those of file managers, are ignored: no step reads them.
    """
    if not is_result(uri) or not place(uri).is_file():
        return None
    try:
        document = read_json(place(uri).parent, place(uri).name)
        expected = {name: FileSum(**each) for name, each in document.items()}
    except (DamagedRecord, TypeError, AttributeError):
        return None
    found = differences(uri, expected)
    return found.without(name for name in found.additional if os.path.basename(name).startswith("."))


def refuse_damaged(uri: str) -> None:
    """Refuses a result that is not as its step wrote it.

    Raises:
        RestemError: it is damaged.
    """
    found = damage(uri)
    if found:
        raise damaged(uri, found)


def damaged(uri: str, found: Differences) -> RestemError:
    """The error for a damaged result."""
    named = found.changed or found.missing or found.additional
    kind = "is not as" if found.changed else "is missing: it was there when" if found.missing else "was not there when"
    others = len(found.changed + found.missing + found.additional) - 1
    step = step_of(uri)
    return RestemError(
        f"this file {kind} the step {step} {'wrote it' if found.changed else 'ended'}",
        where=f"{uri}/{named[0]}",
        given=found.text if others else None,
        remedy=f"Check the disk. restem run with the same options and {RECOMPUTE} runs this step, and what needs its "
        "result, again",
    )


def unreadable(uri: str) -> str | None:
    """The first gzip file of a result that cannot be read to its end; None if all can."""
    for name in files.file_sizes(uri):
        if name.endswith(".gz"):
            try:
                with gzip.open(f"{uri}/{name}") as file:
                    while file.read(CHUNK_BYTES):
                        pass
            except (OSError, EOFError, zlib.error):
                return name
    return None


def _mark(uri: str, name: str) -> None:
    """Lets a file that was damaged before its checksum was made count as damaged."""
    sums = file_sums(uri)
    _write(uri, sums | {name: FileSum(sums[name].bytes, "damaged")})


def _write(uri: str, sums: dict[str, FileSum]) -> None:
    path = place(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps({name: asdict(each) for name, each in sums.items()}, indent=1), encoding="utf-8")
    unfinished.replace(path)


def _stats(uri: str) -> Stats:
    found: Stats = {}
    for parent, _, names in os.walk(uri):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.isfile(path):
                status = os.stat(path)
                found[path] = (status.st_size, status.st_mtime_ns, status.st_ino)
    return found


def _texts(error: BaseException) -> str:
    """What an error and its causes say."""
    told: list[str] = []
    current: BaseException | None = error
    while current is not None and len(told) < 20:
        told.append(f"{type(current).__module__}.{type(current).__name__}: {current}")
        current = current.__cause__ or current.__context__
    return "\n".join(told)

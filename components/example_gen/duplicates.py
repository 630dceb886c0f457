"""Finds byte-identical images under several names. In both splits, they make the test easier than the real task.

Reading writes one line per image. To save memory for a million images, only the first 8 bytes of each digest are kept,
and full lines only for images that share these bytes.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.visible import visible

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Copy:
    """One of several identical images."""

    path: str
    label: str
    split: str


@dataclass(frozen=True)
class Duplicates:
    """Groups of identical images; each has at least two, sorted by path.

    groups: all groups.
    leaks: groups in more than one split.
    conflicts: groups with different labels.
    """

    groups: tuple[tuple[Copy, ...], ...] = ()

    @property
    def leaks(self) -> tuple[tuple[Copy, ...], ...]:
        return tuple(group for group in self.groups if len({copy.split for copy in group}) > 1)

    @property
    def conflicts(self) -> tuple[tuple[Copy, ...], ...]:
        return tuple(group for group in self.groups if len({copy.label for copy in group}) > 1)

    def counts(self) -> dict[str, int]:
        """The number of groups of identical images, of leaks and of conflicts."""
        return {"groups": len(self.groups), "leaks": len(self.leaks), "conflicts": len(self.conflicts)}

    def lines(self) -> Iterator[str]:
        """One JSON line per group: `leak`, `conflict`, and `copies` with path, label and split."""
        for group in self.groups:
            copies = [{"path": copy.path, "label": copy.label, "split": copy.split} for copy in group]
            leak, conflict = (len({copy[key] for copy in copies}) > 1 for key in ("split", "label"))
            yield json.dumps({"leak": leak, "conflict": conflict, "copies": copies})


def digest_line(digest: bytes, path: str, label: str, split: str) -> str:
    """The line to write for an image that was read."""
    return json.dumps([digest.hex(), path, label, split])


def find_duplicates(lines: Callable[[], Iterable[str]]) -> Duplicates:
    """Finds identical images.

    Args:
      lines: returns all lines from `digest_line`; it is called twice.
    """
    # The hexadecimal digits follow '["'.
    prefixes = np.fromiter((int(line[2:18], 16) for line in lines()), dtype=np.uint64)
    values, counts = np.unique(prefixes, return_counts=True)
    repeated = set(values[counts > 1].tolist())
    if not repeated:
        return Duplicates()
    groups: dict[str, list[Copy]] = defaultdict(list)
    for line in lines():
        if int(line[2:18], 16) in repeated:
            digest, path, label, split = json.loads(line)
            groups[digest].append(Copy(path, label, split))
    equal = (tuple(sorted(group, key=lambda copy: copy.path)) for group in groups.values() if len(group) > 1)
    return Duplicates(tuple(sorted(equal, key=lambda group: group[0].path)))


def describe_leaks(leaks: Sequence[tuple[Copy, ...]]) -> str:
    """The message about identical images in several splits: a sentence, and one line for each of the first leaks."""
    lines = (" = ".join(f"{visible(one.path)} ({one.split})" for one in _both_sides(group)) for group in leaks[:_SHOWN])
    shown = "".join(f"\n  {line}" for line in lines)
    more = f"\n  and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
    subject = "1 image is" if len(leaks) == 1 else f"{len(leaks)} images are"
    return f"{subject} in more than one split, byte for byte{shown}{more}"


def _both_sides(group: tuple[Copy, ...]) -> list[Copy]:
    """One copy per split; duplicates.jsonl has all of them."""
    return [next(copy for copy in group if copy.split == split) for split in sorted({copy.split for copy in group})]


def check_leaks(found: Duplicates, config: DataConfig, where: str) -> None:
    """Refuses data on which the test would reward memorised images.

    Raises:
      RestemError: identical images are in more than one split, and data.allow_leaks is not set.
    """
    if not found.leaks or config.allow_leaks:
        return
    what, *examples = describe_leaks(found.leaks).split("\n", 1)
    raise RestemError(
        what,
        where=f"data.path ({where})",
        expected="every image in one split only; otherwise the test measures memorisation",
        remedy="Remove the copies, give identical images the same group (data.group), or set data.allow_leaks: true:"
        + "".join(f"\n{lines}" for lines in examples),
    )

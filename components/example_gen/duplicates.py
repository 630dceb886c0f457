"""The same image, byte for byte, under several names: in both splits it makes the test easier than the task.

What was read leaves a line for every image; of a million lines only the 8 bytes that tell most images apart are held
in memory, and those images alone that share them.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from restem.errors import RestemError
from restem.example_gen.config import DataConfig

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Copy:
    """One of several identical images."""

    path: str
    label: str
    split: str


@dataclass(frozen=True)
class Duplicates:
    """Equal images; each group has at least two, sorted by path.

    groups: all of them.
    leaks: those that are in both train and test.
    conflicts: those with different labels.
    """

    groups: tuple[tuple[Copy, ...], ...] = ()

    @property
    def leaks(self) -> tuple[tuple[Copy, ...], ...]:
        return tuple(group for group in self.groups if len({copy.split for copy in group}) > 1)

    @property
    def conflicts(self) -> tuple[tuple[Copy, ...], ...]:
        return tuple(group for group in self.groups if len({copy.label for copy in group}) > 1)

    def counts(self) -> dict[str, int]:
        """How many groups of identical images there are; of them leaks, and of them conflicts."""
        return {"groups": len(self.groups), "leaks": len(self.leaks), "conflicts": len(self.conflicts)}

    def lines(self) -> Iterator[str]:
        """One JSON line a group: `leak`, `conflict`, and `copies` with path, label and split."""
        for group in self.groups:
            copies = [{"path": copy.path, "label": copy.label, "split": copy.split} for copy in group]
            leak, conflict = (len({copy[key] for copy in copies}) > 1 for key in ("split", "label"))
            yield json.dumps({"leak": leak, "conflict": conflict, "copies": copies})


def digest_line(digest: bytes, path: str, label: str, split: str) -> str:
    """What is written down of an image that was read."""
    return json.dumps([digest.hex(), path, label, split])


def find_duplicates(lines: Callable[[], Iterable[str]]) -> Duplicates:
    """Finds identical images.

    Args:
      lines: gives all lines of `digest_line`; it is called twice.
    """
    # The hexadecimal digits stand right after '["'.
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
    """What a user is told of identical images in both splits: a sentence, and a line for each of the first."""
    shown = "".join(
        "\n  " + " = ".join(f"{copy.path} ({copy.split})" for copy in _both_sides(group)) for group in leaks[:_SHOWN]
    )
    more = f"\n  and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
    subject = "1 image is" if len(leaks) == 1 else f"{len(leaks)} images are"
    return f"{subject} in both train and test, byte for byte{shown}{more}"


def _both_sides(group: tuple[Copy, ...]) -> list[Copy]:
    """One of each side; all the others are in duplicates.jsonl."""
    return [next(copy for copy in group if copy.split == split) for split in sorted({copy.split for copy in group})]


def check_leaks(found: Duplicates, config: DataConfig, where: str) -> None:
    """Stops what would measure memory instead of knowledge.

    Raises:
      RestemError: identical images are in both train and test, and data.allow_leaks is not set.
    """
    if not found.leaks or config.allow_leaks:
        return
    what, *examples = describe_leaks(found.leaks).split("\n", 1)
    raise RestemError(
        what,
        where=f"data.path ({where})",
        expected="every image in one split only; otherwise the test shows what was memorised",
        remedy="Remove the copies, give identical images one group (data.group), or set data.allow_leaks: true:"
        + "".join(f"\n{lines}" for lines in examples),
    )

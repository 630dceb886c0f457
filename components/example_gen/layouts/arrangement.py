"""Decides what the folders in a folder of images mean: classes, splits, or neither of them.

Usual names decide. Where they leave two readings, the user is asked, and data.folders answers.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from restem.errors import RestemError
from restem.example_gen.config import CLASS, SPLIT
from restem.example_gen.dataset import SPLIT_NAMES, TEST, TRAIN, VAL, first_few
from restem.example_gen.layouts.project import looks_like_project

_SPLITS = {**SPLIT_NAMES, "dev": VAL, "development": VAL, "holdout": TEST, "hold_out": TEST, "hold-out": TEST}
# What people append to a split's name, as in training_set or test-images.
_SUFFIX = re.compile(r"[\s_.-]*(?:set|data|images?|imgs?|split)$")
_NO_LETTERS = re.compile(r"[^a-z]+")
_ASK = "Please choose: set one of these keys"


@dataclass(frozen=True)
class Arrangement:
    """What the folders at each depth are.

    Attributes:
      parts: of each depth from the top: class, split or any.
      splits: the folders at the depth of the splits, as written -> train, val or test; empty without splits.
      note: a sentence for the user, if the reading is not the usual one.
    """

    parts: tuple[str, ...] = (CLASS,)
    splits: dict[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def class_at(self) -> int:
        """The depth of the class folders."""
        return self.parts.index(CLASS)

    def is_class(self, parts: Sequence[str]) -> bool:
        """Whether a folder, its path in parts, is a class folder."""
        split_above = SPLIT in self.parts[: self.class_at]
        return len(parts) == self.class_at + 1 and (not split_above or self.split_of(parts) is not None)

    def split_of(self, parts: Sequence[str]) -> str | None:
        """The split of a path in parts: empty without given splits, None if its folder is none of the splits."""
        if SPLIT not in self.parts:
            return ""
        at = self.parts.index(SPLIT)
        return self.splits.get(parts[at]) if len(parts) > at else None


class _Tree:
    """How many files there are directly in each folder, by depth."""

    def __init__(self, folders: Iterable[str], files: Iterable[str]) -> None:
        directly = Counter(name.rpartition("/")[0] for name in files)
        directly.pop("", 0)
        self.tops = sorted({name.split("/", 1)[0] for name in folders} | {name.split("/", 1)[0] for name in directly})
        self.direct: Counter[str] = Counter()  # top -> files directly in it
        self.total: Counter[str] = Counter()  # top -> files at any depth
        self.second: dict[str, Counter[str]] = defaultdict(Counter)  # top -> sub-folder -> files
        self.third: dict[str, Counter[str]] = defaultdict(Counter)  # top -> sub-folder of its sub-folders -> files
        self.directly = directly
        for folder, count in directly.items():
            parts = folder.split("/", 3)
            self.total[parts[0]] += count
            if len(parts) == 1:
                self.direct[parts[0]] += count
            else:
                self.second[parts[0]][parts[1]] += count
            if len(parts) > 2:
                self.third[parts[0]][parts[2]] += count
        self.used = [name for name in self.tops if self.total[name]]

    def at(self, depth: int) -> list[str]:
        """The names of the folders at a depth that have files, sorted."""
        found = {parts[depth] for parts in (name.split("/") for name in self.directly) if len(parts) > depth}
        return sorted(found)


def split_named(name: str) -> str | None:
    """The split that a folder's name says, in any case, as in Training, test_set or validation; None if none."""
    plain = name.strip().casefold()
    return _SPLITS.get(plain) or _SPLITS.get(_SUFFIX.sub("", plain))


def _split_hinted(name: str) -> str | None:
    """The split that one word of a folder's name says, as in seg_train or test-2023."""
    said = {_SPLITS[word] for word in _NO_LETTERS.split(name.casefold()) if word in _SPLITS}
    return split_named(name) or (said.pop() if len(said) == 1 else None)


def arrange(
    path: str, folders: Sequence[str], files: Sequence[str], pattern: tuple[str, ...] | None, where: str
) -> Arrangement:
    """Decides what the folders mean.

    Args:
      path: the folder of images, for messages.
      folders: all folders, relative.
      files: all files, relative.
      pattern: data.folders in parts; None: names decide.
      where: the key, for messages.

    Raises:
      RestemError: there are two readings; there is one split without the others, or something else next to splits.
    """
    tree = _Tree(folders, files)
    if pattern is not None:
        return _chosen(tree, pattern, where)
    looks_like_project(path, tree.used, files, where)
    exact = {name: split for name in tree.tops if (split := split_named(name))}
    if exact:
        return _split_folders(tree, exact, path, where)
    hints = {name: _split_hinted(name) for name in tree.used}
    if len(set(hints.values())) > 1 and all(hints.values()):
        raise _two_readings(tree, [("split/class", _splits_reading(tree, hints, 1)), (CLASS, _names(tree.used))], where)
    if len(tree.used) < 2:
        return Arrangement()
    return _splits_inside(tree, path, where) or _same_names_inside(tree, where) or Arrangement()


def _chosen(tree: _Tree, pattern: tuple[str, ...], where: str) -> Arrangement:
    if SPLIT not in pattern:
        return Arrangement(pattern)
    named = {name: _split_hinted(name) for name in tree.at(pattern.index(SPLIT))}
    splits = {name: split for name, split in named.items() if split}
    missing = [split for split in (TRAIN, TEST) if split not in splits.values()]
    if missing:
        raise RestemError(
            f"with data.folders: {'/'.join(pattern)} there is no folder for {' and '.join(missing)}",
            where=where,
            expected="folders named train and test (val is optional), in any case",
            given=first_few([f"{name}/" for name in named]) or "no folders",
        )
    others = [f"{name}/" for name in named if name not in splits]
    if others:
        raise _others(others, pattern.index(SPLIT), where)
    return Arrangement(pattern, splits)


def _split_folders(tree: _Tree, exact: dict[str, str], path: str, where: str) -> Arrangement:
    """Some folders at the top are named like splits."""
    others = [name for name in tree.used if name not in exact]
    missing = [split for split in (TRAIN, TEST) if split not in exact.values()]
    if missing and others:
        first = next(iter(exact))
        reading = f"{_names([*exact])} as split, without {' and '.join(missing)}: then {_names(others)} must move"
        raise _two_readings(
            tree,
            [(CLASS, f"{first} is a class: {_names(tree.used)}"), ("split/class", reading)],
            where,
            what=f"there is {first_few([f'{name}/' for name in sorted(exact)])} without {missing[0]}/",
        )
    if missing:
        raise RestemError(
            f"there is {first_few([f'{name}/' for name in sorted(exact)])} without {missing[0]}/",
            where=where,
            expected="both train/ and test/ with the class folders inside (val/ is optional), or only class folders",
            given=first_few([f"{name}/" for name in tree.tops]),
            remedy=f"Create {missing[0]}/ next to it (or rename a folder to it), set data.path to one of them to let "
            f"Restem split its images, or, if these are classes, set data.folders: {CLASS}",
        )
    if others:
        raise _others([f"{name}/" for name in others], 0, where)
    twice = sorted(name for name in exact if list(exact.values()).count(exact[name]) > 1)
    if twice:
        raise RestemError(
            f"several folders are the same split: {first_few([f'{name}/ ({exact[name]})' for name in twice])}",
            where=where,
            expected="one folder for each of train, val and test",
            remedy="Leave one out with data.exclude, or set data.folders: split/class to use their images together",
        )
    unlabelled = [name for name in exact if tree.direct[name] and not tree.second[name]]
    if unlabelled and any(tree.second[name] for name in exact):
        name = unlabelled[0]
        labelled = next(name for name in exact if tree.second[name])
        raise RestemError(
            f"{name}/ has {tree.direct[name]:,} files, but no class folders, so the classes of its images are unknown",
            where=where,
            expected="a folder for each class in each of train/ and test/",
            remedy=f"Sort its images into class folders, or set data.path to {path.rstrip('/')}/{labelled} to let "
            "Restem hold out a share of its images for testing",
        )
    inner = sorted({name for top in exact for name in tree.second[top] if split_named(name)})
    if inner and all(any(split_named(name) for name in tree.second[top]) for top in exact if tree.total[top]):
        readings = [("split/any/class", f"the classes are deeper: {_names(tree.at(2))}")] if tree.at(2) else []
        readings.append(("split/class", f"the classes are {_names(tree.at(1))}"))
        raise _two_readings(tree, readings, where, what=f"inside the splits there are folders named {_names(inner)}")
    return Arrangement((SPLIT, CLASS), exact)


def _splits_inside(tree: _Tree, path: str, where: str) -> Arrangement | None:
    """Folders named like splits inside the top folders: cat/train, cat/test, or bottle/train/good."""
    found = {top: {name: split_named(name) for name in tree.second[top]} for top in tree.used}
    sides = {top: set(names.values()) & {TRAIN, TEST} for top, names in found.items()}
    if not any(len(splits) == 2 for splits in sides.values()) and sum(map(bool, sides.values())) < 2:
        return None
    clean = all(
        not tree.direct[top] and all(names.values()) and len(set(names.values())) == len(names) and not tree.third[top]
        for top, names in found.items()
    )
    if clean and {TRAIN, TEST} <= {split for splits in sides.values() for split in splits}:
        splits = {name: split for names in found.values() for name, split in names.items() if split}
        note = f"each class folder has folders named {_names(sorted(splits))}: they are read as splits (class/split)"
        return Arrangement((CLASS, SPLIT), splits, note)
    named = {name: split for names in found.values() for name, split in names.items()}
    others = [name for name, split in sorted(named.items()) if not split]
    leave_out = f", without {_names(others)} (data.exclude: ['*/{others[0]}/*'])" if others else ""
    readings = [("class/split", f"the classes are {_names(tree.used)}{leave_out}")]
    deeper = sorted({name for top in tree.used for name in tree.third[top]})
    if deeper:
        readings.append(("any/split/class", f"the classes are {_names(deeper)}, together in all of the top{leave_out}"))
    readings.append((CLASS, f"the classes are {_names(tree.used)}, and the images of all folders in them are split"))
    top = max(tree.used, key=lambda name: len(sides[name]))
    also = f"Or set data.path to one of the folders, such as {path.rstrip('/')}/{top}" if deeper else ""
    raise _two_readings(tree, readings, where, also=also, what=f"there are folders for splits inside {_names([top])}")


def _same_names_inside(tree: _Tree, where: str) -> None:
    """Refuses "classes" that all have folders of the same names, unless most images are not in those."""
    common = set.intersection(*(set(tree.second[top]) for top in tree.used))
    direct = sum(tree.direct[top] for top in tree.used)
    if len(common) < 2 or 2 * direct >= sum(tree.total.values()):
        return
    inside = sorted({name for top in tree.used for name in tree.second[top]})
    readings = [
        ("any/class", f"the classes are {_names(inside)}, each in all of {_names(tree.used)}"),
        (CLASS, f"the classes are {_names(tree.used)}"),
    ]
    also = "If the top folders are the splits, rename them to train and test"
    raise _two_readings(
        tree, readings, where, also=also, what=f"{_names(tree.used)} all have the folders {_names(sorted(common))}"
    )


def _others(others: Sequence[str], depth: int, where: str) -> RestemError:
    pattern = "*/" * depth + others[0] + "*"
    return RestemError(
        f"there are other folders next to train/ and test/: {first_few(others)}",
        where=where,
        expected="only train/ and test/, and val/ if there is one, each with the class folders inside",
        remedy="Move their images into train/ or test/, move them out of the folder, or leave them out with "
        f"data.exclude: ['{pattern}']",
    )


def _two_readings(
    tree: _Tree, readings: Sequence[tuple[str, str]], where: str, *, what: str = "", also: str = ""
) -> RestemError:
    lines = "".join(f"\n  data.folders: {key:<12} {reading}" for key, reading in readings)
    return RestemError(
        f"{what or _names(tree.used)}: this can be read in {'two' if len(readings) == 2 else 'several'} ways",
        where=where,
        expected="folders that are clearly classes, or splits with the classes inside",
        remedy=f"{_ASK}:{lines}" + (f"\n  {also}." if also else ""),
    )


def _splits_reading(tree: _Tree, hints: dict[str, str | None], depth: int) -> str:
    said = first_few([f"{name}/ is {split}" for name, split in sorted(hints.items())])
    return f"{said}; the classes are {_names(tree.at(depth)) if tree.at(depth) else 'in none of them'}"


def _names(names: Sequence[str]) -> str:
    return first_few(names)

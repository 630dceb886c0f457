"""Which level of a folder of images is the class, and which the split; where both are possible, the user is asked."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from restem.errors import RestemError
from restem.example_gen.dataset import SPLIT_NAMES, TEST, TRAIN, VAL, first_few

# Names that a single folder of images would hardly have; the other names of splits count only in pairs.
_CERTAIN = frozenset({"train", "test", "val", "validation"})
# What folders may be called besides.
_SPLITS = {**SPLIT_NAMES, "dev": VAL, "holdout": TEST}
# Folders of a software project.
_PROJECT = {
    *("bin", "build", "dist", "doc", "docs", "examples", "include", "lib", "node_modules", "scripts", "src", "test"),
    *("tests", "tools", "vendor", "venv"),
}


@dataclass(frozen=True)
class Levels:
    """The meaning of the folders in an image's path.

    label: the part of the path that is the class, from 0.
    split: the part that is the split; None: there is none.
    splits: the split that a name at that level means.
    """

    label: int = 0
    split: int | None = None
    splits: Mapping[str, str] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """The number of folders that an image is in, at least."""
        return 1 + max(self.label, -1 if self.split is None else self.split)


def find_levels(folders: Sequence[str], files: Sequence[str], class_level: int | None, where: str) -> Levels:
    """Decides the levels from the names.

    Args:
      folders, files: relative paths with forward slashes.
      class_level: data.class_level: 1 or 2, or None.
      where: data.path, for messages.

    Raises:
      RestemError: train/ without test/; other folders next to them; or the class may be the upper or the lower level.
    """
    tops = sorted({name.split("/")[0] for name in folders})
    if class_level is not None:
        return Levels(label=class_level - 1)
    splits = _top_splits(tops, files, where)
    if splits:
        return Levels(label=1, split=0, splits=splits)
    inside: dict[str, set[str]] = {}
    direct = False
    for name in files:
        parts = name.split("/")
        if len(parts) > 1:
            inside.setdefault(parts[0], set())
            if len(parts) > 2:
                inside[parts[0]].add(parts[1])
            else:
                direct = True
    _question_project(sorted(inside), where)
    if direct or len(inside) < 2:
        return Levels()
    names = set().union(*inside.values())
    known = {name: _SPLITS[name.lower()] for name in names if name.lower() in _SPLITS}
    if len(known) == len(names) and {TRAIN, TEST} <= set(known.values()):
        return Levels(label=0, split=1, splits=known)
    if len(names) > 1 and all(found == names for found in inside.values()):
        _ask(sorted(inside), sorted(names), where)
    return Levels()


def _top_splits(tops: Sequence[str], files: Sequence[str], where: str) -> dict[str, str]:
    """The top folders that are splits: name as written -> 'train', 'val' or 'test'; empty if there are none."""
    found = {name: _SPLITS[name.lower()] for name in tops if name.lower() in _SPLITS}
    certain = {name: split for name, split in found.items() if name.lower() in _CERTAIN}
    if not {TRAIN, TEST} <= set(found.values()):
        if not {TRAIN, TEST} & set(certain.values()):
            return {}
        found = certain
    missing = [split for split in (TRAIN, TEST) if split not in found.values()]
    if missing:
        raise RestemError(
            f"there is {first_few(sorted(found))}/ without {missing[0]}/",
            where=where,
            expected="both train/ and test/ with the class folders inside (val/ is optional), or only class folders",
            given=first_few([f"{name}/" for name in tops]),
            remedy=f"Create {missing[0]}/ next to it, or move the class folders up to let Restem split the images. If "
            "these folders are classes, set data.class_level: 1",
        )
    used = {name.split("/")[0] for name in files if "/" in name}
    if others := [f"{name}/" for name in tops if name not in found and name in used]:
        raise RestemError(
            f"there are other folders next to {first_few([f'{name}/' for name in sorted(found)])}: {first_few(others)}",
            where=where,
            expected="only train/ and test/, and val/ if there is one, each with the class folders inside",
            remedy="Move their images into train/ or test/, move them out of the folder, or leave them out: "
            f"data.exclude: ['{others[0]}*']. If all these folders are classes, set data.class_level: 1",
        )
    return found


def _ask(tops: Sequence[str], names: Sequence[str], where: str) -> None:
    """Refuses folders whose sub-folders all have the same names."""
    raise RestemError(
        f"all {len(tops)} folders ({first_few(tops)}) contain the same folders ({first_few(names)}): which are the "
        "classes?",
        where=where,
        expected=f"data.class_level: 1 for the classes {first_few(tops)}, or data.class_level: 2 for the classes "
        f"{first_few(names)}",
        given="neither",
        remedy="Set it; or if each folder is a data set of its own, set data.path to one of them; or if the inner "
        "folders are splits, name them train and test",
    )


def _question_project(tops: Sequence[str], where: str) -> None:
    """Refuses what looks like the folders of a software project."""
    project = [name for name in tops if name.lower() in _PROJECT]
    if len(project) > 1 and len(project) * 2 > len(tops):
        raise RestemError(
            f"these folders look like those of a software project: {first_few(tops)}",
            where=where,
            expected="the folder of the images",
            remedy="Set data.path to the folder of the images. If these folders are classes, set data.class_level: 1",
        )


def plain(name: str) -> str:
    """A class name without what does not tell two names apart for people: case, spaces, hyphens, underscores."""
    return re.sub(r"[\s_\-]+", "", name.casefold())

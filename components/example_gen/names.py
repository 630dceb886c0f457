"""What the names of files and classes tell: which are wanted, which cannot be shown, and what must be asked."""

import fnmatch
import re
from collections import defaultdict
from dataclasses import replace
from typing import Final

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import TEST, TRAIN, ImageFile, Listing, Refused, first_few, has_control, text_of
from restem.example_gen.layouts.levels import plain

# A share of the images above which a property of their names is told.
_MANY: Final = 0.05
# The start of a file's name up to its first number: person109_virus_4.jpeg -> person109.
_NUMBER = re.compile(r"^[^\d/]*\d+(?=[^\d/.])")


def wanted(listing: Listing, config: DataConfig) -> Listing:
    """The listing without the files that data.include and data.exclude leave out, and with data.merge_labels.

    Files whose path or class has control characters are refused: they could not be shown as they are.

    Raises:
      RestemError: a name in data.merge_labels is no class; all files are left out.
    """
    if unknown := [name for name in config.merge_labels if name not in listing.classes]:
        raise RestemError(
            "there is no such class",
            where="data.merge_labels",
            expected=first_few(listing.classes),
            given=first_few(unknown),
        )
    kept, refused, left_out = [], list(listing.refused), 0
    for file in listing.files:
        if not _is_included(file.path, config):
            left_out += 1
        elif has_control(file.path) or has_control(file.label):
            refused.append(Refused(text_of(file.path), "Its path or class has control characters: rename it."))
        else:
            label = config.merge_labels.get(file.label)
            kept.append(file if label is None else replace(file, label=label))
    still = [one for one in refused if _is_included(one.path, config)]
    left_out += len(refused) - len(still)
    if listing.files and not kept and left_out:
        raise RestemError(
            "no file is left",
            where="data.include and data.exclude",
            expected=f"patterns that match paths such as {first_few([file.path for file in listing.files[:1]])}",
            given=f"include: {list(config.include)}, exclude: {list(config.exclude)}",
        )
    classes = {config.merge_labels.get(name, name) for name in listing.classes if not has_control(name)}
    if config.include or config.exclude:
        classes &= {file.label for file in kept}
    notes = listing.notes
    if left_out:
        notes = (*notes, f"{left_out:,} files are left out by data.include and data.exclude.")
    still.sort(key=lambda one: one.path)
    return replace(listing, classes=tuple(sorted(classes)), files=tuple(kept), refused=tuple(still), notes=notes)


def _is_included(path: str, config: DataConfig) -> bool:
    if config.include and not any(fnmatch.fnmatchcase(path, pattern) for pattern in config.include):
        return False
    return not any(fnmatch.fnmatchcase(path, pattern) for pattern in config.exclude)


def questions(listing: Listing) -> tuple[str, ...]:
    """Sentences about names that may mean something else than they seem to; the splits are known."""
    found = (*_alike(listing.classes), *_masks(listing.files), *_without_tests(listing))
    recurring = recurring_numbers(listing.files)
    if recurring is None:
        return found
    many, example = recurring
    return (
        *found,
        f"{many:,} numbers in file names, such as {text_of(example)}, occur in training and testing. If they name a "
        "patient, a scene or an object, the test is easier than the real task: data.group keeps their images in one "
        f"split, for example {group_pattern()!r}.",
    )


def _alike(classes: tuple[str, ...]) -> list[str]:
    """Classes that differ in case, spaces, hyphens or underscores alone."""
    same: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        same[plain(name)].append(name)
    return [
        f"The classes {first_few(names)} differ only in case, spaces or hyphens. If they are one class: "
        f"data.merge_labels: {{{', '.join(f'{name!r}: {names[0]!r}' for name in names[1:])}}}."
        for names in same.values()
        if len(names) > 1
    ]


def _masks(files: tuple[ImageFile, ...]) -> list[str]:
    """Images that have the same name as another one in the same folder, with another ending."""
    endings: dict[str, set[str]] = defaultdict(set)
    for file in files:
        stem, dot, ending = file.path.rpartition(".")
        if dot and "/" not in ending:
            endings[stem].add(ending.lower())
    pairs = [stem for stem, found in endings.items() if len(found) > 1]
    if len(pairs) * 2 <= _MANY * len(files):
        return []
    kinds = sorted(endings[pairs[0]])
    return [
        f"{len(pairs):,} images have the same name as another one with another ending, such as {text_of(pairs[0])} "
        f"with {' and '.join(kinds)}. Are some of them masks? data.exclude: ['*.{kinds[-1]}'] leaves them out."
    ]


def _without_tests(listing: Listing) -> list[str]:
    tested = {file.label for file in listing.files if file.split == TEST}
    names = [name for name in listing.classes if name not in tested]
    if not names or not tested:
        return []
    return [
        f"{'This class has' if len(names) == 1 else 'These classes have'} no test image, so nothing is known of how "
        f"well {'it is' if len(names) == 1 else 'they are'} recognised: {first_few(names)}."
    ]


def recurring_numbers(files: tuple[ImageFile, ...]) -> tuple[int, str] | None:
    """How many numbers in file names stand for several images and occur in training and testing, and an example.

    None if the names do not look as if a number means something: few such numbers, or nearly one for each image.
    """
    splits: dict[str, set[str]] = defaultdict(set)
    images: dict[str, int] = defaultdict(int)
    for file in files:
        match = _NUMBER.search(file.path.rpartition("/")[2])
        if match:
            splits[match[0]].add(file.split)
            images[match[0]] += 1
    several = [name for name, count in images.items() if count > 1]
    both = [name for name in several if {TRAIN, TEST} <= splits[name]]
    numbered = sum(images.values())
    if numbered < len(files) / 2 or len(images) < 2 or len(several) < _MANY * len(images) or not both:
        return None
    return len(both), both[0]


def group_pattern() -> str:
    """The regular expression for data.group that finds such a number."""
    return r"([^\d/]*\d+)[^/]*$"

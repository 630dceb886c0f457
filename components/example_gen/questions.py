"""What the names of the images let one doubt: it is said before training, and nothing is changed.

Everything here reads only names, once, so that a million images take seconds.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from restem.example_gen.dataset import TEST, TITLES, VAL, ImageFile, Listing, first_few
from restem.visible import visible

MASK_QUESTION = "Are these masks, not images?"
_LOOKED_AT, _BLOCKS = 20_000, 20  # names in which a pattern is looked for, in so many blocks of neighbours
_RECURRING = 1.2  # images for each number, at least
_COVERED = 0.5  # share of the images whose names have the number
_WORDS = 4  # words before a number, at most
# What people append to the name of an image for its mask.
_MASK = re.compile(
    r"^(.+?)[ _.-]+(?:masks?|seg|segmentation|gt|ground_?truth|labels?|annotations?)(?:[ _.-]?\d+)?$", re.I
)
_MASK_WORDS, _MASK_END = ("mask", "seg", "gt", "ground", "label", "annotation"), 24
# A word with a number, followed by more than the suffix; a number at the start.
_WORD_NUMBER = re.compile(r"(?<![A-Za-z])([A-Za-z]{1,24}[ _-]?)\d{1,12}(?=[ _/-]\S)")
_NUMBER_FIRST = re.compile(r"\d{1,12}(?=[ _-]\S)")
_NUMBER_FIRST_GROUP = r"(?:^|/)(\d+)[ _-][^/]+$"


@dataclass(frozen=True)
class Recurring:
    """A number in the names that several images share.

    Attributes:
      pattern: a regular expression with one group, for data.group.
      numbers: how many different ones there are.
      images: how many images have one.
      most: the largest number of images that share one.
      shared: how many of the numbers are in more than one split.
      example: one of them with its word, as in person109.
    """

    pattern: str
    numbers: int
    images: int
    most: int
    shared: int
    example: str


def notes_on(listing: Listing, *, grouped: bool = False) -> tuple[str, ...]:
    """The doubts about a listing with splits, as sentences.

    Args:
      listing: all images.
      grouped: whether data.group is set; then numbers that recur are not in doubt.
    """
    told = [*_alike(listing.classes), *_companions(listing.files)]
    if not grouped and (found := recurring(listing.files)) is not None and found.shared:
        told.append(
            f"{found.shared:,} of {found.numbers:,} numbers in the names, such as {visible(found.example)}, are in "
            "more than one split. If the number is a patient, slide or scene, the test measures recognition of it: set "
            f"data.group: '{found.pattern}'" + (" and make new splits" if listing.given_splits else "")
        )
    return tuple(told)


def missing_sentence(classes: Sequence[str], counts: Mapping[str, Counter]) -> str:
    """A sentence about classes without images for testing or validation; empty if there are none.

    Args:
      classes: all classes.
      counts: split -> class -> images.
    """
    told = []
    for split in (TEST, VAL):
        if split not in counts or not sum(counts[split].values()):
            continue
        gone = [name for name in classes if not counts[split][name]]
        if gone:
            which = "1 class has" if len(gone) == 1 else f"{len(gone):,} classes have"
            so = "so nothing is known about answers for them" if split == TEST else "so they do not count there"
            told.append(f"{which} no {TITLES[split]} images, {so}: {first_few(gone)}")
    return ". ".join(told)


def alike(classes: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Groups of class names that differ only in case, spaces or Unicode form."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(classes):
        groups["".join(unicodedata.normalize("NFKC", name).casefold().split())].append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def _alike(classes: Sequence[str]) -> list[str]:
    groups = alike(classes)
    if not groups:
        return []
    shown = first_few([" = ".join(repr(name) for name in names) for names in groups])
    return [f"classes differ only in case, spaces or Unicode form: {shown}. To make them one: data.merge_labels: true"]


def companions(paths: Iterable[str]) -> dict[str, int]:
    """Images that look like masks of others by their names alone.

    Returns:
      Pattern for data.exclude -> number of pairs: "*.png" for a.jpg and a.png in one folder, "*_mask.*" for a.png and
      a_mask.png. Of two formats, the one that is the usual one for masks comes first.
    """
    suffixes: dict[str, list[str]] = defaultdict(list)
    marked: Counter[str] = Counter()
    candidates = []
    for path in paths:
        stem, dot, suffix = path.rpartition(".")
        if not dot or "/" in suffix:
            continue
        suffixes[stem].append(suffix)
        end = stem[-_MASK_END:].lower()
        if not any(word in end for word in _MASK_WORDS):
            continue
        folder, _, name = stem.rpartition("/")
        found = _MASK.match(name) if len(name) < 256 else None
        if found:
            candidates.append((f"{folder}/{found[1]}" if folder else found[1], name[len(found[1]) :]))
    for stem, mark in candidates:
        if stem in suffixes:
            marked[f"*{re.sub('[0-9]+$', '*', mark)}.*"] += 1
    pairs: Counter[tuple[str, ...]] = Counter(tuple(sorted(ends)) for ends in suffixes.values() if len(ends) == 2)
    formats = {f"*.{_mask_like(ends)}": count for ends, count in pairs.items() if ends[0] != ends[1]}
    return {**formats, **marked}


def _mask_like(ends: tuple[str, ...]) -> str:
    """Of two suffixes, the one that masks usually have: they are lossless, photographs are not."""
    usual = ("png", "bmp", "gif", "tif", "tiff", "npy")
    return min(ends, key=lambda suffix: usual.index(suffix.lower()) if suffix.lower() in usual else len(usual))


def _companions(files: Sequence[ImageFile]) -> list[str]:
    return [
        f"{'1 image has' if count == 1 else f'{count:,} images have'} the name of another image, but end like "
        f"'{pattern}'. {MASK_QUESTION} Then leave them out: data.exclude: ['{pattern}']"
        for pattern, count in companions(file.path for file in files if file.record is None).items()
    ]


def recurring(files: Sequence[ImageFile]) -> Recurring | None:
    """A number in the names that several images share, such as person109; None if there is none.

    It is looked for in some blocks of neighbouring names first, and counted over all of them if it recurs there.
    """
    files = [file for file in files if file.record is None]
    block = max(1, _LOOKED_AT // _BLOCKS)
    starts = range(0, len(files), max(block, len(files) // _BLOCKS))
    sample = [file for start in starts for file in files[start : start + block]]
    words: Counter[str] = Counter()
    for file in sample:
        words.update(set(_WORD_NUMBER.findall(file.path)))
    common = [word for word, count in words.most_common(_WORDS) if count >= 0.05 * len(sample)]
    kept = [word for word in common if _counted(_word_pattern([word]), sample, 0.05) is not None]
    patterns = [_word_pattern(sorted(kept))] if kept else []
    if sum(_NUMBER_FIRST.match(file.path.rpartition("/")[2]) is not None for file in sample) >= _COVERED * len(sample):
        patterns.append(_NUMBER_FIRST_GROUP)
    for pattern in patterns:
        if (
            _counted(pattern, sample, _COVERED) is not None
            and (found := _counted(pattern, files, _COVERED)) is not None
        ):
            return found
    return None


def _word_pattern(words: Sequence[str]) -> str:
    either = "|".join(re.escape(word).replace(r"\-", "-").replace(r"\ ", " ") for word in words)
    either = f"(?:{either})" if len(words) > 1 else either
    return rf"(?<![A-Za-z])({either}\d+)(?=[ _/-])"


def _counted(pattern: str, files: Sequence[ImageFile], covered: float) -> Recurring | None:
    search = re.compile(pattern).search
    groups: Counter[str] = Counter()
    splits: dict[str, set[str]] = defaultdict(set)
    folders: set[tuple[str, str]] = set()
    labels: set[tuple[str, str]] = set()
    for file in files:
        if (found := search(file.path)) is None:
            continue
        value = found[1]
        groups[value] += 1
        folders.add((file.path.rpartition("/")[0], value))
        labels.add((file.label, value))
        splits[value].add(file.split)
    images = sum(groups.values())
    if not images or images < covered * len(files):
        return None
    most, count = groups.most_common(1)[0]
    # Numbers that are counted anew in each folder recur between folders only; a number for each class is the class.
    anew, classes = images < _RECURRING * len(folders), len(labels) < 2 * len({label for label, _ in labels})
    if anew or classes or count > images / 2:
        return None
    shared = sorted(value for value, names in splits.items() if len(names) > 1)
    return Recurring(pattern, len(groups), images, count, len(shared), shared[0] if shared else most)

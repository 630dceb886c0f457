"""Which image is for training and which for testing: given, or decided by hashes that stay as they are.

- `hash`: an image (or its group) is for testing where the hash of its path (or of the group's name) is below
  data.test_share. Nothing that comes or goes beside it changes that.
- `stratified`: of every class the smallest hashes, so many that the class keeps its share, at least one where it has
  two images. When images of a class come or go, only those next to the limit change sides: at most one for each that
  came or went, and none of another class.
- `stratified` with groups: groups in the order of their hashes go to testing while that brings the classes' shares
  nearer to what was asked.
"""

import hashlib
import unicodedata
from collections import Counter, defaultdict
from dataclasses import replace

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import TEST, TRAIN, ImageFile, Listing, first_few


def assign_splits(listing: Listing, config: DataConfig) -> Listing:
    """The listing with a split for every image.

    Raises:
      RestemError: data.split is 'given' and nothing gives it; a group stands in two given splits.
    """
    if config.split == "given" and not listing.given_splits:
        raise RestemError(
            "nothing says which images are for testing",
            where="data.split: given",
            expected="sub-folders train and test, or a column or feature as data.columns.split or data.features.split",
            remedy="Leave data.split out to have them split by a hash of their paths",
        )
    if listing.given_splits and config.split in (None, "given"):
        _refuse_torn_groups(listing.files, config)
        return listing
    if config.split == "stratified":
        chosen = _stratified(listing.files, config.test_share)
    else:
        chosen = [hashed_split(_unit(file), config.test_share) for file in listing.files]
    files = tuple(replace(file, split=split) for file, split in zip(listing.files, chosen, strict=True))
    return replace(listing, files=files, given_splits=False)


def hashed_split(key: str, test_share: float) -> str:
    """The split by a path (or a group's name) alone: the same for ever, whatever lies beside it.

    The path is unicode-normalised first: macOS and Linux write the same accented name in different bytes.
    """
    return TEST if _rank(key) < test_share * 2**64 else TRAIN


def _rank(key: str) -> int:
    digest = hashlib.sha256(unicodedata.normalize("NFC", key).encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big")


def _unit(file: ImageFile) -> str:
    """What is never torn apart: the group, or the image itself."""
    return file.group or file.key or file.path


def _stratified(files: tuple[ImageFile, ...], share: float) -> list[str]:
    sizes = Counter(file.label for file in files)
    wanted = {label: min(max(round(share * size), 1), size - 1) for label, size in sizes.items()}
    members: dict[str, Counter] = defaultdict(Counter)
    for file in files:
        members[_unit(file)][file.label] += 1
    have: Counter = Counter()
    tested = set()
    for unit in sorted(members, key=lambda unit: (_rank(unit), unit)):
        labels = members[unit]
        before = sum(abs(wanted[label] - have[label]) for label in labels)
        after = sum(abs(wanted[label] - have[label] - count) for label, count in labels.items())
        if after < before:
            tested.add(unit)
            have.update(labels)
    return [TEST if _unit(file) in tested else TRAIN for file in files]


def _refuse_torn_groups(files: tuple[ImageFile, ...], config: DataConfig) -> None:
    sides: dict[str, set[str]] = defaultdict(set)
    for file in files:
        if file.group is not None:
            sides[file.group].add(file.split)
    torn = sorted(group for group, splits in sides.items() if len(splits) > 1)
    if torn and not config.allow_leaks:
        raise RestemError(
            f"{len(torn)} of {len(sides)} groups are in both train and test",
            where=f"data.group: {config.group}",
            expected="every group in one split",
            given=first_few(torn),
            remedy="Fix the splits, let restem make them (data.split: hash), or set data.allow_leaks: true",
        )

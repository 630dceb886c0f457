"""Assigns images to training, validation or testing: as given, or by hashes that never change.

- `hash`: an image (or its group) is for testing if the hash of its path (or of the group's name) is below
  data.test_share. Adding or removing other images does not change this.
- `stratified`: in every class, the images with the smallest hashes, as many as the class's share; at least one if it
  has two images. If images of a class are added or removed, only images next to the limit change their split: at most
  one for each added or removed image, and none of another class.
- `stratified` with groups: groups are assigned to testing in the order of their hashes, as long as this brings the
  classes' shares closer to data.test_share; the first group of a class also if it takes them no further away.

The validation images are chosen among the training images in the same way, with data.val_share and other hashes.
"""

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import TEST, TRAIN, VAL, ImageFile, Listing, first_few


def assign_splits(listing: Listing, config: DataConfig) -> Listing:
    """The listing with a split for every image.

    Raises:
      RestemError: data.split is 'given' but the data have no splits; a group is in two given splits.
    """
    if config.split == "given" and not listing.given_splits:
        raise RestemError(
            "the data do not say which images are for testing",
            where="data.split: given",
            expected="sub-folders train and test, or a column or feature named in data.columns.split or "
            "data.features.split",
            remedy="Remove data.split to split the images by a hash of their paths",
        )
    if listing.given_splits and config.split in (None, "given"):
        _check_groups(listing.files, config)
        return _with_validation(listing, config)
    tested = _chosen(listing.files, config.test_share, config)
    files = tuple(
        replace(file, split=TEST if test else TRAIN) for file, test in zip(listing.files, tested, strict=True)
    )
    return _with_validation(replace(listing, files=files, given_splits=False), config)


def _with_validation(listing: Listing, config: DataConfig) -> Listing:
    """Moves data.val_share of the training images to the split `val`, in the same way as the test images are chosen.

    Raises:
      RestemError: the data name validation images themselves.
    """
    if not config.val_share:
        return listing
    if any(file.split == VAL for file in listing.files):
        raise RestemError(
            "the data have validation images of their own",
            where="data.val_share",
            expected="0",
            given=f"{config.val_share:g}",
            remedy="Remove data.val_share, or the split val from the data",
        )
    train = [file for file in listing.files if file.split == TRAIN]
    chosen = _chosen(train, config.val_share, config, salt="val\0")
    val = {file.path for file, taken in zip(train, chosen, strict=True) if taken}
    files = tuple(replace(file, split=VAL) if file.path in val else file for file in listing.files)
    return replace(listing, files=files)


def _chosen(files: Sequence[ImageFile], share: float, config: DataConfig, salt: str = "") -> list[bool]:
    """Which files are in the smaller split: by hashes alone, or with the classes' shares."""
    if config.split == "hash" or (config.group is not None and config.split is None):
        return [hash_chooses(salt + _unit(file), share) for file in files]
    return _stratified(files, share, salt)


def hash_chooses(key: str, share: float) -> bool:
    """Whether a path (or a group's name) is in the smaller split: it alone decides, so that this never changes."""
    return _rank(key) < share * 2**64


def _rank(key: str) -> int:
    # Unicode-normalised first, because macOS and Linux write the same accented name with different bytes.
    digest = hashlib.sha256(unicodedata.normalize("NFC", key).encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big")


def _unit(file: ImageFile) -> str:
    """What stays in one split: the group, or the image itself."""
    return file.group or file.key or file.path


def _stratified(files: Sequence[ImageFile], share: float, salt: str) -> list[bool]:
    sizes = Counter(file.label for file in files)
    wanted = {label: min(max(round(share * size), 1), size - 1) for label, size in sizes.items()}
    members: dict[str, Counter] = defaultdict(Counter)
    for file in files:
        members[_unit(file)][file.label] += 1
    have: Counter = Counter()
    chosen = set()
    for unit in sorted(members, key=lambda unit: (_rank(salt + unit), unit)):
        labels = members[unit]
        before = sum(abs(wanted[label] - have[label]) for label in labels)
        after = sum(abs(wanted[label] - have[label] - count) for label, count in labels.items())
        none_yet = not any(have[label] for label in labels)
        if after < before or (none_yet and after == before):
            chosen.add(unit)
            have.update(labels)
    return [_unit(file) in chosen for file in files]


def _check_groups(files: tuple[ImageFile, ...], config: DataConfig) -> None:
    sides: dict[str, set[str]] = defaultdict(set)
    for file in files:
        if file.group is not None:
            sides[file.group].add(file.split)
    divided = sorted(group for group, splits in sides.items() if len(splits) > 1)
    if divided and not config.allow_leaks:
        raise RestemError(
            f"{len(divided)} of {len(sides)} groups are in more than one split",
            where=f"data.group: {config.group}",
            expected="every group in one split",
            given=first_few(divided),
            remedy="Fix the splits, let Restem make them (data.split: hash), or set data.allow_leaks: true",
        )

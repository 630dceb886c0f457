"""Groups and metadata from DICOM files: `data.group: dicom.PatientID`, `data.metadata: [dicom.Modality]`.

Patient data never leave this module. A group is a hash, and only the assignment to splits sees it: the listing that is
returned has no groups any more, since the hash of a short number could be found by trying all numbers. Metadata are
stored with each example, so only elements that say nothing about a person are accepted.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import DICOM_PREFIX, DataConfig
from restem.example_gen.content import content, why_not_read
from restem.example_gen.dataset import ImageFile, Listing, Refused, first_few
from restem.images.formats.others import other_format
from restem.images.header import UnreadableImage

_START_BYTES = 512  # enough to see what a file is


def wants_tags(config: DataConfig) -> bool:
    """Whether data.group or data.metadata name elements of DICOM files."""
    return any(name.startswith(DICOM_PREFIX) for name in (config.group or "", *config.metadata))


def without_tags(config: DataConfig) -> DataConfig:
    """The configuration for the layouts, which know nothing of DICOM: without these names."""
    group = None if (config.group or "").startswith(DICOM_PREFIX) else config.group
    metadata = tuple(name for name in config.metadata if not name.startswith(DICOM_PREFIX))
    return config.model_copy(update={"group": group, "metadata": metadata})


def with_tags(listing: Listing, config: DataConfig, assign: Callable[[Listing, DataConfig], Listing]) -> Listing:
    """The listing with splits, and with metadata from the files. Files without the group's element are refused.

    Args:
      listing: without splits, as listed with `without_tags(config)`.
      config: the configuration.
      assign: assigns the splits, see `splits.assign_splits`.

    Raises:
      RestemError: a patient is in two given splits, or the errors of `assign`.
    """
    grouped = (config.group or "").startswith(DICOM_PREFIX)
    files, refused = [], list(listing.refused)
    for file in listing.files:
        try:
            files.append(_with_tags(listing.folder, file, config, grouped))
        except UnreadableImage as error:
            refused.append(Refused(file.path, str(error)))
    refused.sort(key=lambda one: one.path)
    full = replace(listing, files=tuple(files), refused=tuple(refused))
    if not grouped:
        return assign(full, config)
    if listing.given_splits and config.split in (None, "given"):
        _check_given(full, config)
    # The check above names files; the general one would name the groups.
    assigned = assign(full, config.model_copy(update={"allow_leaks": True}))
    return replace(assigned, files=tuple(replace(file, group=None) for file in assigned.files))


def _with_tags(folder: str, file: ImageFile, config: DataConfig, grouped: bool) -> ImageFile:
    keyword = (config.group or "").removeprefix(DICOM_PREFIX) if grouped else ""
    from_file = [name.removeprefix(DICOM_PREFIX) for name in config.metadata if name.startswith(DICOM_PREFIX)]
    found = _read(folder, file, (*([keyword] if grouped else []), *from_file), config.max_bytes)
    if grouped and not found[keyword]:
        raise UnreadableImage(f"It has no {keyword}, which data.group ({config.group}) needs.")
    listed = iter(file.metadata)
    metadata = tuple(
        found[name.removeprefix(DICOM_PREFIX)] if name.startswith(DICOM_PREFIX) else next(listed)
        for name in config.metadata
    )
    group = _hash(found[keyword]) if grouped else file.group
    return replace(file, group=group, metadata=metadata)


def _read(folder: str, file: ImageFile, keywords: tuple[str, ...], max_bytes: int) -> dict[str, str]:
    from restem.images.formats.dicom import read_tags  # pydicom takes half a second to import

    full = storage.join(folder, file.path)
    local = file.record is None and not storage.is_remote(full)
    try:
        if local:
            with open(full, "rb") as opened:
                start = opened.read(_START_BYTES)
        else:
            start = content(folder, file, max_bytes)
    except OSError as error:
        raise why_not_read(full, error) from None
    if other_format(start) != "DICOM":
        raise UnreadableImage("It is not a DICOM file, but data.group or data.metadata name elements of DICOM files.")
    return read_tags(full if local else start, keywords)


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode(errors="surrogateescape")).hexdigest()


def _check_given(listing: Listing, config: DataConfig) -> None:
    """Refuses a patient in more than one split; the message names files, never the patient."""
    first: dict[str, ImageFile] = {}
    pairs: dict[str, str] = {}
    for file in listing.files:
        known = first.setdefault(file.group or "", file)
        if known.split != file.split:
            pairs.setdefault(file.group or "", f"{known.path} ({known.split}) and {file.path} ({file.split})")
    if pairs and not config.allow_leaks:
        raise RestemError(
            f"{len(pairs)} of {len(first)} groups are in more than one split",
            where=f"data.group: {config.group}",
            expected="every group in one split",
            given=first_few(list(pairs.values())),
            remedy="Fix the splits, let Restem make them (data.split: hash), or set data.allow_leaks: true",
        )

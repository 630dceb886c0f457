"""Lists the data: merges the spans of a path and assigns a split to every image."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from restem.errors import RestemError
from restem.example_gen import spans
from restem.example_gen.classes import LISTED, listed_change, refuse_missing
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import SHOWN, TEST, TRAIN, VAL, Listing, first_few
from restem.example_gen.dicom_tags import wants_tags, with_tags, without_tags
from restem.example_gen.labels import merge_labels
from restem.example_gen.layouts import folder, manifest, records
from restem.example_gen.questions import notes_on
from restem.example_gen.selection import Selection
from restem.example_gen.splits import assign_splits

# data.layout -> the module that lists it and computes its fingerprint.
LAYOUTS = {"folders": folder, "manifest": manifest, "tfrecord": records}


def list_data(path: str, config: DataConfig, *, scratch: str | None = None) -> Listing:
    """Lists the images in all spans of a path and decides every image's split.

    Args:
      path: as data.path.
      config: layout, names, splits.
      scratch: a folder that the workers can access, for unpacked TFRecord files.

    Raises:
      RestemError: the file or folder does not exist, is empty, or does not have the layout in `config`.
    """
    base = spans.base(path, config.found_layout)[0]
    found = spans.newest(path, config.spans)
    tags = wants_tags(config)
    plain = without_tags(config) if tags else config
    listings = [LAYOUTS[config.found_layout].list_images(span.path, base, plain, scratch) for span in found]
    merged = merge(base, listings, tuple(span.number for span in found if span.number is not None))
    if config.found_layout != "folders":
        merged = Selection(config).of_listing(merged)
    merged = merge_labels(merged, config)
    return with_tags(merged, config, assign_splits) if tags else assign_splits(merged, config)


def check_listing(path: str, config: DataConfig, *, scratch: str | None = None) -> Listing:
    """Lists a path and refuses data that are not suitable for training; takes a second for 100,000 files.

    Raises:
      RestemError: the errors of `list_data`; a class of data.classes is missing; fewer than two classes; a class
        without training images; no test images.
    """
    listing = list_data(path, config, scratch=scratch)
    if len(listing.classes) == 1 and config.found_layout == "folders" and not listing.given_splits:
        folder.point_deeper(listing)
    change = listed_change(config, listing.classes)
    refuse_missing(change, where=f"{LISTED}, data.path ({path})", allowed=config.allow_class_changes)
    check_counts(listing.classes, listing.counts(), path, given_splits=listing.given_splits)
    told = notes_on(listing, grouped=config.group is not None)
    return replace(listing, notes=(*listing.notes, *told, *([] if change is None else [change.sentence])))


def fingerprint(path: str, config: DataConfig) -> str:
    """A fingerprint that changes if an image is added, removed, renamed, edited, or relabelled.

    Returns:
      One line per span: 64 hexadecimal digits that cover the path, size and modification time of everything in it.

    Raises:
      RestemError: the path does not exist.
    """
    base = spans.base(path, config.found_layout)[0]
    layout = LAYOUTS[config.found_layout]
    plain = without_tags(config)
    return "\n".join(layout.fingerprint(span.path, base, plain) for span in spans.newest(path, config.spans))


def merge(base: str, listings: Sequence[Listing], numbers: tuple[int, ...] = ()) -> Listing:
    """Merges several listings with paths from the same folder.

    Raises:
      RestemError: some have given splits and some do not.
    """
    if len({one.given_splits for one in listings}) > 1:
        raise RestemError(
            "some spans have splits and some do not",
            where=f"data.path ({base})",
            expected="splits in all spans or in none",
        )
    if len(listings) == 1:
        return replace(listings[0], spans=numbers)
    return Listing(
        folder=base,
        classes=tuple(sorted({name for one in listings for name in one.classes})),
        files=tuple(sorted((file for one in listings for file in one.files), key=lambda file: file.path)),
        refused=tuple(sorted((one for listing in listings for one in listing.refused), key=lambda one: one.path)),
        given_splits=listings[0].given_splits,
        spans=numbers,
        notes=tuple(dict.fromkeys(note for one in listings for note in one.notes)),
    )


def check_counts(
    classes: tuple[str, ...], counts: dict[str, Counter], path: str, *, given_splits: bool, readable: bool = False
) -> None:
    """Refuses data that are not suitable for training.

    Args:
      classes: the names of all classes.
      counts: split -> class -> number of images.
      path: data.path, for the message.
      given_splits: the data say which image is in which split.
      readable: the counts are for readable images, not for all files.

    Raises:
      RestemError: fewer than two classes; a class without training images; no test images.
    """
    kind = "readable images" if readable else "images"
    if len(classes) < 2:
        raise RestemError(
            "there is only one class, so there is nothing to classify",
            where=f"data.path ({path})",
            expected="at least two classes",
            given=classes[0] if classes else "none",
        )
    if untrained := [name for name in classes if not counts[TRAIN][name]]:
        tested = [name for name in untrained if counts[TEST][name]]
        how = f"{kind} of every class for training"
        if given_splits:
            remedy = "Add images of the class to the training split, or remove the class"
        elif tested:
            remedy = (
                "All its images are in the test split (a hash of their paths decides): add images, lower "
                "data.test_share, set data.split: stratified, or create the sub-folders train/ and test/ yourself"
            )
        else:
            remedy = "Add images to it, or remove it"
        raise RestemError(
            f"{_plural(len(untrained), 'class has', 'classes have')} no {kind} to train on: {first_few(untrained)}",
            where=f"data.path ({path})",
            expected=how,
            given=", ".join(f"{name}: 0 for training, {counts[TEST][name]} for testing" for name in untrained[:SHOWN]),
            remedy=remedy,
        )
    if not sum(counts[TEST].values()):
        if given_splits:
            remedy = "Put some images into the test split"
            if sum(counts.get(VAL, {}).values()):
                remedy += "; or, if the validation images are for testing, name their split test"
        else:
            remedy = "Add images, raise data.test_share, or create train/ and test/"
        raise RestemError(
            f"there are no {kind} to test with",
            where=f"data.path ({path})",
            expected="at least one image in the test split",
            given=f"{sum(counts[TRAIN].values())} for training, none for testing",
            remedy=remedy,
        )


def _plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"

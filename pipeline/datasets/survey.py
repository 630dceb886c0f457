"""Looks at a sample of the images: what `restem init` knows of them."""

import contextlib
import random
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.content import content
from restem.example_gen.dataset import ImageFile, Listing, Refused
from restem.example_gen.listing import check_listing
from restem.example_gen.questions import MASK_QUESTION, Recurring, companions, recurring
from restem.example_gen.selection import Selection
from restem.images.arrays import read_array
from restem.images.bands import Bands, find_bands
from restem.images.config import ImageConfig
from restem.images.formats.pillow import explain_failure, open_image
from restem.images.header import Header, UnreadableImage
from restem.images.probe import probe
from restem.pipeline.config import Config
from restem.pipeline.datasets.dicom import DicomSurvey, names_patients, sampled_keys, survey_dicom
from restem.pipeline.datasets.inspection import ImageCheck, check_images
from restem.pipeline.datasets.layout import InferredLayout, infer_layout
from restem.pipeline.datasets.values import ValueSurvey, survey_values, value_keys

SAMPLE_FILES = 400
SEED = 0  # of the sample
MOST_REFUSED = 0.5  # share of the sample; if more files are no images, the folder is not what was meant
MASK_FILES = 60  # files of the sample whose pixels are counted
TWO_VALUES = 0.98  # share of an image's pixels in its two most frequent values (in steps of 16)
FEW_MASKS, ALL_MASKS = 0.03, 0.9  # share of the sample: fewer are chance, more are the images themselves
MIN_GROUPS = 10  # fewer different numbers in the names are not proposed as groups
BAND_FILES = 20  # files of the sample that are checked for band names
LOOKED_AT = 64  # pixels of an image's shorter side in the check for grey
GREY_SPREAD = 2  # grey levels by which the channels of a grey JPEG may differ because of rounding
GROUPS_SPLIT = "groups stay together, and each class has the same share as far as they allow it"


@dataclass(frozen=True)
class Survey:
    """The properties of a sample of the images.

    Attributes:
        inferred: the section `data`, with a suitable split.
        listing: the names of all files.
        headers: the headers of the sample's readable images.
        refused: the number of unreadable files in the sample.
        colourless: whether all colour images of the sample contain only grey.
        bands: the files' channels, if they are bands.
        dicom: what was found in DICOM files, if there are any.
        values: what was found in the values of other files.
        questions: what the user has to decide, as sentences.
    """

    inferred: InferredLayout
    listing: Listing
    headers: tuple[Header, ...]
    refused: int
    colourless: bool
    bands: Bands | None
    dicom: DicomSurvey | None = None
    values: ValueSurvey | None = None
    questions: tuple[str, ...] = ()


def survey(path: str, given: Mapping[str, Any] | None = None) -> Survey:
    """Reads up to 400 images, chosen at random with a seed.

    Args:
        path: local or remote.
        given: see `infer_layout`.

    Raises:
        RestemError: see `check_listing`; or most files cannot be read.
    """
    inferred = infer_layout(path, given)
    if inferred.data.group is not None and "split" not in inferred.reasons:
        # By a hash of the group alone, a class with few groups may have no test images.
        data = inferred.data.model_copy(update={"split": "stratified"})
        inferred = replace(inferred, data=data, reasons={**inferred.reasons, "split": GROUPS_SPLIT})
    with tempfile.TemporaryDirectory(prefix="restem-") as scratch:
        path = inferred.data.path
        listing = check_listing(path, inferred.data, scratch=scratch)
        masks = _masks(listing, inferred.data)
        if masks:
            why = "the same names as other images and nearly two values: masks? Remove this line if they are images"
            inferred = _decided(inferred, "exclude", (*inferred.data.exclude, *masks), why)
            listing = check_listing(path, inferred.data, scratch=scratch)
        numbers = None if inferred.data.group else recurring(listing.files)
        proposed = numbers is not None and not listing.given_splits and numbers.numbers >= MIN_GROUPS
        # The patient in the files is surer than a number in their names.
        if proposed and not names_patients(listing, _sample(listing.files, SAMPLE_FILES), inferred.data):
            assert numbers is not None
            grouped = _grouped(inferred, numbers)
            # A class may have too few groups for a split of its own: then the question remains.
            with contextlib.suppress(RestemError):
                listing, inferred = check_listing(path, grouped.data, scratch=scratch), grouped
        return _survey(inferred, listing)


def _decided(inferred: InferredLayout, key: str, value: object, reason: str) -> InferredLayout:
    data = inferred.data.model_copy(update={key: value})
    return replace(inferred, data=data, reasons={**inferred.reasons, key: reason})


def _grouped(inferred: InferredLayout, numbers: Recurring) -> InferredLayout:
    why = (
        f"{numbers.numbers:,} numbers in {numbers.images:,} names, up to {numbers.most:,} images each: if it is the "
        "patient, slide or scene, its images must stay in one split; remove this line if it is not"
    )
    grouped = _decided(inferred, "group", numbers.pattern, why)
    return _decided(grouped, "split", "stratified", GROUPS_SPLIT)


def _sample(files: Sequence[ImageFile], count: int) -> list[ImageFile]:
    """Some files, chosen at random but always the same, in their order."""
    chosen = random.Random(SEED).sample(range(len(files)), min(count, len(files)))
    return [files[index] for index in sorted(chosen)]


def _masks(listing: Listing, data: DataConfig) -> list[str]:
    """Patterns of images that have the names of others and nearly two values."""
    found = []
    for pattern in companions(file.path for file in listing.files if file.record is None):
        selection = Selection(DataConfig(path=data.path, include=(pattern,)))
        files = [file for file in listing.files if selection.takes(file.path)]
        seen = [_is_two_valued(listing, file, data) for file in _sample(files, MASK_FILES)]
        if len(files) < len(listing.files) and sum(seen) > ALL_MASKS * len(seen):
            found.append(pattern)
    return found


def _is_two_valued(listing: Listing, file: ImageFile, data: DataConfig) -> bool:
    """Whether nearly all pixels of an image have one of two colours, as a mask has; false if it cannot be read."""
    try:
        encoded = content(listing.folder, file, data.max_bytes)
        header = probe(encoded, max_pixels=data.max_pixels, max_bytes=data.max_bytes, array_axes=data.array_axes)
        pixels = _pixels(encoded, header)
    except Exception:  # It is only a hint; the file itself is judged elsewhere.
        return False
    if pixels.dtype not in (np.uint8, np.uint16):
        return False
    steps = (pixels.reshape(-1, pixels.shape[-1]) >> (4 if pixels.dtype == np.uint8 else 12)).astype(np.int64)
    _, counts = np.unique(steps, axis=0, return_counts=True)
    return bool(np.sort(counts)[-2:].sum() >= TWO_VALUES * counts.sum())


def _questions(listing: Listing, files: Sequence[ImageFile], data: DataConfig) -> tuple[str, ...]:
    """Images among others that are nearly two-valued."""
    some = _sample(files, MASK_FILES)
    masks = [file for file in some if _is_two_valued(listing, file, data)]
    if not FEW_MASKS * len(some) < len(masks) < ALL_MASKS * len(some):
        return ()
    told = f"{len(masks)} of {len(some)} sampled images have nearly two values only, such as {masks[0].path}."
    return (f"{told} {MASK_QUESTION} Then leave them out: data.exclude",)


def _survey(inferred: InferredLayout, listing: Listing) -> Survey:
    data = inferred.data
    sample = _sample(listing.files, SAMPLE_FILES)
    bands = _find_bands(listing, sample, data)
    dicom = survey_dicom(listing, sample, data)
    values = None if dicom else survey_values(listing, sample, data)
    keys = {**sampled_keys(dicom), **value_keys(values)}
    config = Config(data=data, image=ImageConfig(size=1, bands=bands.names if bands else None, **keys))
    checks = list(check_images(listing, sample, config))
    good = [(check.file, check.header) for check in checks if isinstance(check, ImageCheck)]
    refused = [check for check in checks if isinstance(check, Refused)]
    if len(refused) > MOST_REFUSED * len(checks) or not good:
        raise RestemError(
            "there is no readable image" if not good else "most files are not readable images",
            where=data.path,
            expected="a folder of images",
            given=f"{len(refused)} of {len(checks)} sampled files cannot be read; {refused[0].path}: "
            f"{refused[0].reason}",
            remedy="Check the folder, or leave other files out with data.exclude",
        )
    colour = [(file, header) for file, header in good if header.channels >= 3 and bands is None]
    colourless = all(_is_grey(listing, file, header) for file, header in colour)
    questions = _questions(listing, [file for file, _ in good], data)
    headers = tuple(header for _, header in good)
    return Survey(inferred, listing, headers, len(refused), colourless, bands, dicom, values, questions)


def _find_bands(listing: Listing, sample: Sequence[ImageFile], data: DataConfig) -> Bands | None:
    """The most common bands among a few readable files."""
    found: Counter[Bands | None] = Counter()
    for file in sample[:: max(1, len(sample) // BAND_FILES)]:
        try:
            encoded = content(listing.folder, file, data.max_bytes)
            header = probe(encoded, max_pixels=data.max_pixels, max_bytes=data.max_bytes, array_axes=data.array_axes)
            found[find_bands(encoded, header, partial(_pixels, encoded, header))] += 1
        except UnreadableImage:
            continue
    return found.most_common(1)[0][0] if found else None


def _is_grey(listing: Listing, file: ImageFile, header: Header) -> bool:
    """Whether red, green and blue of a readable image are equal."""
    pixels = _pixels(content(listing.folder, file, 2**31 - 1), header)[..., :3]
    differences = np.abs(np.diff(np.nan_to_num(pixels.astype(np.float64)), axis=-1))
    return bool(differences.max() <= (GREY_SPREAD if header.bit_depth <= 8 else 0))


def _pixels(data: bytes, header: Header) -> np.ndarray:
    """Evenly spaced pixels of an image, unconverted, [height, width, channels]; perhaps with NaN.

    Raises:
      UnreadableImage: the image data is damaged.
    """
    step = max(1, min(header.height, header.width) // LOOKED_AT)
    if not header.in_graph:
        return read_array(data, header, finite=False)[::step, ::step]
    try:
        if header.bit_depth > 8:  # A PNG, which Pillow would reduce to 8 bits.
            return np.atleast_3d(imagecodecs.png_decode(data))[::step, ::step]
        with open_image(data, header) as image:
            image.thumbnail((LOOKED_AT, LOOKED_AT), Image.Resampling.NEAREST)
            return np.asarray(image.convert(("L", "LA", "RGB", "RGBA")[header.channels - 1]))
    except Exception:  # the decoders may raise anything for damaged files
        raise UnreadableImage(explain_failure(data, header.format)) from None

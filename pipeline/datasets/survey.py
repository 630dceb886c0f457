"""Looks at a sample of the images: what `restem init` knows of them."""

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
from restem.images.arrays import read_array
from restem.images.bands import Bands, find_bands
from restem.images.config import ImageConfig
from restem.images.formats.pillow import explain_failure, open_image
from restem.images.header import Header, UnreadableImage
from restem.images.probe import probe
from restem.pipeline.config import Config
from restem.pipeline.datasets.dicom import DicomSurvey, sampled_keys, survey_dicom
from restem.pipeline.datasets.inspection import ImageCheck, check_images
from restem.pipeline.datasets.layout import InferredLayout, infer_layout

SAMPLE_FILES = 400
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
    """

    inferred: InferredLayout
    listing: Listing
    headers: tuple[Header, ...]
    refused: int
    colourless: bool
    bands: Bands | None
    dicom: DicomSurvey | None = None


def survey(path: str, given: Mapping[str, Any] | None = None) -> Survey:
    """Reads up to 400 images, evenly spaced over all files.

    Args:
        path: local or remote.
        given: see `infer_layout`.

    Raises:
        RestemError: see `check_listing`; or no image can be read.
    """
    inferred = infer_layout(path, given)
    if inferred.data.group is not None and "split" not in inferred.reasons:
        # By a hash of the group alone, a class with few groups may have no test images.
        data = inferred.data.model_copy(update={"split": "stratified"})
        inferred = replace(inferred, data=data, reasons={**inferred.reasons, "split": GROUPS_SPLIT})
    with tempfile.TemporaryDirectory(prefix="restem-") as scratch:
        return _survey(inferred, check_listing(inferred.data.path, inferred.data, scratch=scratch))


def _survey(inferred: InferredLayout, listing: Listing) -> Survey:
    data = inferred.data
    step = max(1, len(listing.files) // SAMPLE_FILES)
    sample = listing.files[::step][:SAMPLE_FILES]
    bands = _find_bands(listing, sample, data)
    dicom = survey_dicom(listing, sample, data)
    config = Config(data=data, image=ImageConfig(size=1, bands=bands.names if bands else None, **sampled_keys(dicom)))
    checks = list(check_images(listing, sample, config))
    good = [(check.file, check.header) for check in checks if isinstance(check, ImageCheck)]
    refused = [check for check in checks if isinstance(check, Refused)]
    if not good:
        raise RestemError(
            "there is no readable image",
            where=data.path,
            given=f"{len(checks)} sampled files; {refused[0].path}: {refused[0].reason}",
        )
    colour = [(file, header) for file, header in good if header.channels >= 3 and bands is None]
    colourless = all(_is_grey(listing, file, header) for file, header in colour)
    return Survey(inferred, listing, tuple(header for _, header in good), len(refused), colourless, bands, dicom)


def _find_bands(listing: Listing, sample: Sequence[ImageFile], data: DataConfig) -> Bands | None:
    """The most common bands among a few readable files."""
    found: Counter[Bands | None] = Counter()
    for file in sample[:: max(1, len(sample) // BAND_FILES)]:
        try:
            encoded = content(listing.folder, file, data.max_bytes)
            header = probe(encoded, max_pixels=data.max_pixels, max_bytes=data.max_bytes)
            found[find_bands(encoded, header, partial(_pixels, encoded, header))] += 1
        except UnreadableImage:
            continue
    return found.most_common(1)[0][0] if found else None


def _is_grey(listing: Listing, file: ImageFile, header: Header) -> bool:
    """Whether red, green and blue of a readable image are equal."""
    pixels = _pixels(content(listing.folder, file, 2**31 - 1), header)[..., :3]
    differences = np.abs(np.diff(pixels.astype(np.int64), axis=-1))
    return bool(differences.max() <= (GREY_SPREAD if header.bit_depth <= 8 else 0))


def _pixels(data: bytes, header: Header) -> np.ndarray:
    """Evenly spaced pixels of an image, unconverted: uint8 or uint16 [height, width, channels].

    Raises:
      UnreadableImage: the image data is damaged.
    """
    step = max(1, min(header.height, header.width) // LOOKED_AT)
    if not header.in_graph:
        return read_array(data, header)[::step, ::step]
    try:
        if header.bit_depth > 8:  # A PNG, which Pillow would reduce to 8 bits.
            return np.atleast_3d(imagecodecs.png_decode(data))[::step, ::step]
        with open_image(data, header) as image:
            image.thumbnail((LOOKED_AT, LOOKED_AT), Image.Resampling.NEAREST)
            return np.asarray(image.convert(("L", "LA", "RGB", "RGBA")[header.channels - 1]))
    except Exception:  # the decoders may raise anything for damaged files
        raise UnreadableImage(explain_failure(data, header.format)) from None

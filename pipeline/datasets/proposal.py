"""A first configuration for a folder of images, a manifest or TFRecord files, each value with the reason for it."""

import math
import os
import shlex
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import imagecodecs
import numpy as np
from PIL import Image

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.content import content
from restem.example_gen.dataset import ImageFile, Listing, Refused
from restem.example_gen.listing import check_listing
from restem.images.arrays import read_array
from restem.images.bands import Bands, find_bands
from restem.images.config import RGB, ImageConfig
from restem.images.formats.pillow import explain_failure, open_image
from restem.images.header import Header, UnreadableImage
from restem.images.probe import probe
from restem.pipeline.config import Config, slug
from restem.pipeline.datasets.inspection import ImageCheck, check_images
from restem.pipeline.datasets.layout import InferredLayout, infer_layout
from restem.yaml_dialect import dump_inline

SAMPLE_FILES = 400
BAND_FILES = 20  # of the sample, that are asked for the names of their bands
LOOKED_AT = 64  # pixels of an image's shorter side, to see whether it is grey
SOURCE_SIZE = 224  # pixels; what ImageNet's ResNets were trained at
MIN_SIZE = 32  # pixels; below, a ResNet's last layers have nothing left to look at
SMALL_STEM_UP_TO = SOURCE_SIZE // 2
GREY_SPREAD = 2  # grey levels between the channels that JPEG's rounding may leave in a grey image
SHOWN_CLASSES = 20
OWN_SPLITS = "the folder's own train/ and test/"
FEW_TEST_IMAGES = 3  # of a class: the split is stratified below


@dataclass(frozen=True)
class Survey:
    """What a sample of the images shows.

    Attributes:
        inferred: the section data, with the split that suits.
        listing: all there is, names only.
        headers: of the sample's readable images.
        refused: how many of the sample are unreadable.
        colourless: all of the sample's colour images are grey in fact.
        bands: the files' channels, where these are bands.
    """

    inferred: InferredLayout
    listing: Listing
    headers: tuple[Header, ...]
    refused: int
    colourless: bool
    bands: Bands | None


def survey(path: str) -> Survey:
    """Looks at up to 400 images, evenly taken from all.

    Raises:
        RestemError: what `check_listing` refuses, or no image can be read.
    """
    inferred = infer_layout(path)
    with tempfile.TemporaryDirectory(prefix="restem-") as scratch:
        inferred, listing = _with_a_split(inferred, scratch)
        return _survey(inferred, listing)


def _with_a_split(inferred: InferredLayout, scratch: str) -> tuple[InferredLayout, Listing]:
    """Stratified where a hash alone may leave a class without test or training images."""
    stratified = replace(
        inferred,
        data=inferred.data.model_copy(update={"split": "stratified"}),
        reasons={**inferred.reasons, "split": "a class has few images: each keeps its share for testing"},
    )
    try:
        listing = check_listing(inferred.data.path, inferred.data, scratch=scratch)
    except RestemError:
        # What is wrong otherwise is wrong here too, and told.
        return stratified, check_listing(inferred.data.path, stratified.data, scratch=scratch)
    if not listing.given_splits and min(listing.counts()["test"][name] for name in listing.classes) < FEW_TEST_IMAGES:
        return stratified, check_listing(inferred.data.path, stratified.data, scratch=scratch)
    return inferred, listing


def _survey(inferred: InferredLayout, listing: Listing) -> Survey:
    data = inferred.data
    step = max(1, len(listing.files) // SAMPLE_FILES)
    sample = listing.files[::step][:SAMPLE_FILES]
    bands = _find_bands(listing, sample, data)
    config = Config(data=data, image=ImageConfig(size=1, bands=bands.names if bands else None))
    checks = list(check_images(listing, sample, config))
    good = [(check.file, check.header) for check in checks if isinstance(check, ImageCheck)]
    refused = [check for check in checks if isinstance(check, Refused)]
    if not good:
        raise RestemError(
            "there is no readable image",
            where=data.path,
            given=f"{len(checks)} files were looked at; {refused[0].path}: {refused[0].reason}",
        )
    colour = [(file, header) for file, header in good if header.channels >= 3 and bands is None]
    colourless = all(_is_grey(listing, file, header) for file, header in colour)
    return Survey(inferred, listing, tuple(header for _, header in good), len(refused), colourless, bands)


def _find_bands(listing: Listing, sample: Sequence[ImageFile], data: DataConfig) -> Bands | None:
    """What the first readable files agree on."""
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
    """Whether red, green and blue of a readable image are alike."""
    pixels = _pixels(content(listing.folder, file, 2**31 - 1), header)[..., :3]
    differences = np.abs(np.diff(pixels.astype(np.int64), axis=-1))
    return bool(differences.max() <= (GREY_SPREAD if header.bit_depth <= 8 else 0))


def _pixels(data: bytes, header: Header) -> np.ndarray:
    """Some of an image's pixels, evenly taken, uint8 or uint16 [height, width, channels], as the file holds them.

    Raises:
      UnreadableImage: the image data are damaged.
    """
    step = max(1, min(header.height, header.width) // LOOKED_AT)
    if not header.in_graph:
        return read_array(data, header)[::step, ::step]
    try:
        if header.bit_depth > 8:  # A PNG, of which Pillow makes 8 bits.
            return np.atleast_3d(imagecodecs.png_decode(data))[::step, ::step]
        with open_image(data, header) as image:
            image.thumbnail((LOOKED_AT, LOOKED_AT), Image.Resampling.NEAREST)
            return np.asarray(image.convert(("L", "LA", "RGB", "RGBA")[header.channels - 1]))
    except Exception:  # whatever damaged bytes lead the decoders to
        raise UnreadableImage(explain_failure(data, header.format)) from None


def propose(path: str | Path, out: Path | None) -> str:
    """The YAML text of a configuration for the images that `path` names.

    Args:
        path: a folder of images, a manifest, or TFRecord files; of this machine, or an address.
        out: where the text will stand, so that what lies beside or below it can be named relatively.

    Raises:
        RestemError: it cannot be trained on.
    """
    path = str(path)
    if not storage.is_remote(path):
        path = str(Path(path).resolve())
    found = survey(path)
    listing = found.listing
    counts = listing.counts()
    train_images, test_images = (sum(counts[split].values()) for split in ("train", "test"))
    by_class = counts["train"] + counts["test"]
    height, width = _size(found)
    size = str(height) if height == width else f"[{height}, {width}]"
    small = max(height, width) <= SMALL_STEM_UP_TO
    batch_size = 16 if train_images < 500 else 32 if max(height, width) > 128 or train_images < 20_000 else 64
    epochs = min(20, max(4, math.ceil(4000 / max(1, train_images))))
    updates = epochs * math.ceil(train_images / batch_size)
    majority = max(counts["test"].values()) / test_images
    threshold = math.ceil((majority + (1 - majority) / 4) * 100) / 100
    this_file = shlex.quote(str(out)) if out else "THIS_FILE"
    lines = [
        f"# Proposed by restem init for the images in {path}; look it over, every value has its reason.",
        "#",
        f"#   restem inspect --config {this_file}      what it would train on",
        f"#   restem run --config {this_file}          trains, compares and pushes",
        "#",
        f"# Found: {len(listing.files)} images in {len(listing.classes)} classes ({_layout(found)}); "
        f"{_described(found)}.",
        *_class_lines(by_class),
        f"name: {_name(path)}",
        "",
        "data:",
        f"  path: {dump_inline(_path(path, out))}",
        *_data_lines(found),
        *_split_lines(found, train_images, test_images),
        *_quarantine_lines(found),
        "",
        "image:",
        f"  size: {size}  # {_size_why(found, height, width)}",
        *_channel_lines(found),
        "",
        "model:",
        "  backbone: ResNet50  # the smallest; ResNet101 and 152 take two and three times as long",
        "  weights: imagenet  # downloaded by Keras; offline: a checkpoint's path, or pretrain (see restem pretrain)",
        "",
        "stem:",
        f"  small_images: {str(small).lower()}  # {_small_why(small)}",
        *_band_lines(found),
        "",
        "train:",
        "  seed: 0  # of initial weights and shuffling",
        f"  batch_size: {batch_size}  # {_batch_why(train_images, batch_size)}",
        "  head: {epochs: 10, learning_rate: 0.001}  # the new head alone first: quick, the features are computed once",
        f"  all: {{epochs: {epochs}, learning_rate: 0.0001}}  # then everything, gently: {updates} steps",
        "",
        "evaluate:",
        f"  min_accuracy: {threshold:g}  # the largest class alone makes {majority:.2f} of the test images",
        "  min_improvement: 0.0  # at least as good as the stock ResNet on the same images",
        *_slice_lines(found),
        "",
    ]
    return "\n".join(line.replace("\n", " ") for line in lines)


def _described(found: Survey) -> str:
    formats = ", ".join(f"{name} {count}" for name, count in Counter(h.format for h in found.headers).most_common())
    heights, widths = sorted(h.height for h in found.headers), sorted(h.width for h in found.headers)
    depths = ", ".join(str(depth) for depth in sorted({h.bit_depth for h in found.headers}))
    size = f"{heights[0]}x{widths[0]}"
    if (heights[0], widths[0]) != (heights[-1], widths[-1]):
        size += f" to {heights[-1]}x{widths[-1]}"
    return f"of {len(found.headers)} looked at: {formats}; {size} pixels (height x width); {depths} bits a channel"


def _class_lines(by_class: Counter) -> list[str]:
    ordered = by_class.most_common()
    shown = ", ".join(f"{name} {count}" for name, count in ordered[:SHOWN_CLASSES])
    more = f" and {len(ordered) - SHOWN_CLASSES} more" if len(ordered) > SHOWN_CLASSES else ""
    lines = [f"# Images by class: {shown}{more}."]
    ratio = ordered[0][1] / max(1, ordered[-1][1])
    if ratio >= 3:
        lines.append(f"# The largest class has {ratio:.0f} times the smallest's images: accuracy alone flatters here.")
    return lines


def _layout(found: Survey) -> str:
    kinds = {"folders": "a folder a class", "manifest": "a manifest", "tfrecord": "TFRecord files"}
    return kinds[found.inferred.data.found_layout]


def _data_lines(found: Survey) -> list[str]:
    """What had to be inferred of a manifest or of TFRecord files."""
    data, reasons = found.inferred.data, found.inferred.reasons
    lines = []
    if DataConfig(path=data.path).found_layout != data.found_layout:
        lines.append(f"  layout: {data.found_layout}  # the folder holds such files")
    for key in ("columns", "features", "group", "weight", "metadata"):
        if key in reasons:
            value = getattr(data, key)
            value = value.model_dump(exclude_unset=True) if key in ("columns", "features") else value
            lines.append(f"  {key}: {dump_inline(value)}  # {reasons[key]}")
    return lines


def _split_lines(found: Survey, train_images: int, test_images: int) -> list[str]:
    numbers = f"{train_images} and {test_images} images"
    reasons = found.inferred.reasons
    if found.listing.given_splits:
        return [f"  # {reasons.get('split', OWN_SPLITS)}: {numbers}"]
    unit = (
        "group" if found.inferred.data.group else "path" if found.inferred.data.found_layout != "tfrecord" else "image"
    )
    share = f"  test_share: 0.2  # no split is given: a hash of each {unit} gives {numbers}"
    if found.inferred.data.split == "stratified":
        return [f"  split: stratified  # {reasons['split']}", share]
    return [share]


def _slice_lines(found: Survey) -> list[str]:
    metadata = found.inferred.data.metadata
    return (
        [f"  slices: {dump_inline(metadata)}  # the report shows the accuracy by each of their values"]
        if metadata
        else []
    )


def _quarantine_lines(found: Survey) -> list[str]:
    sampled = len(found.headers) + found.refused
    no_images = len(found.listing.refused)
    files = len(found.listing.files) + no_images
    share = (found.refused / max(1, sampled) * len(found.listing.files) + no_images) / max(1, files)
    limit = 0.05 if share <= 0.03 else min(1.0, math.ceil(share * 150) / 100)
    seen = f"{found.refused} of {sampled} looked at are unreadable, {no_images} more are not images of a class"
    return [f"  max_quarantined: {limit:g}  # share of bad files that stops the run; {seen}"]


def _size(found: Survey) -> tuple[int, int]:
    """Median height and width: at most 224 and at least 32, the sides' ratio kept unless it is nearly square."""
    height, width = median(h.height for h in found.headers), median(h.width for h in found.headers)
    if max(height, width) <= 1.2 * min(height, width):
        height = width = max(height, width)
    scale = min(1.0, SOURCE_SIZE / max(height, width))
    scale = max(scale, MIN_SIZE / min(height, width))
    return min(4096, round(height * scale)), min(4096, round(width * scale))


def _size_why(found: Survey, height: int, width: int) -> str:
    middle = f"{median(h.height for h in found.headers):g}x{median(h.width for h in found.headers):g}"
    if max(height, width) == SOURCE_SIZE:
        return f"the median image has {middle}; ImageNet's ResNets were trained at {SOURCE_SIZE}"
    if min(height, width) == MIN_SIZE:
        return f"the median image has {middle}; a ResNet needs at least {MIN_SIZE}"
    return f"the median image's size ({middle})"


def _channel_lines(found: Survey) -> list[str]:
    deep = []
    depth = max(header.bit_depth for header in found.headers)
    if depth > 8:
        deep = [
            f"  bits: 16  # the files have up to {depth} bits a channel",
            "  normalise: dataset  # values of more than 8 bits seldom fill the range: each channel is measured on the "
            "training images and brought to the mean and deviation that the source was trained with, for candidate and "
            "baseline alike",
        ]
    return [*_channels(found), *deep]


def _channels(found: Survey) -> list[str]:
    if found.bands is not None:
        names = found.bands.names
        why = f"{len(names)} channels in the files' order"
        if found.bands.as_alpha:
            why += f"; the files call the last one alpha, but it holds a picture: channels: {len(names) - 1} drops it"
        elif any(name.startswith("band_") for name in names):
            why += (
                "; the files do not name them: rename those that are red, green and blue, they have pretrained kernels"
            )
        return [f"  bands: [{', '.join(names)}]  # {why}"]
    kinds = Counter("grey" if h.channels < 3 else "colour" for h in found.headers)
    if not kinds["colour"]:
        return ["  channels: 1  # all images looked at are grey"]
    if found.colourless:
        return ["  channels: 1  # the colour files looked at hold nothing but grey"]
    return [f"  channels: 3  # {kinds['colour']} of {len(found.headers)} images looked at are in colour"]


def _band_lines(found: Survey) -> list[str]:
    """What the stem does with bands that the source does not have."""
    unknown = [name for name in (found.bands.names if found.bands else ()) if name not in RGB]
    if not unknown:
        return []
    return [
        f"  extra_bands: mean  # {', '.join(unknown)}: start at the mean of the pretrained kernels, so that they are "
        "seen from the start; zero keeps the source's function exactly, and training has to find them"
    ]


def _small_why(small: bool) -> str:
    if small:
        return (
            f"at most {SMALL_STEM_UP_TO} pixels, half of what the source saw: this stem sees them as if twice as large"
        )
    return f"more than {SMALL_STEM_UP_TO} pixels: the stock stem suits"


def _batch_why(train_images: int, batch_size: int) -> str:
    return f"{math.ceil(train_images / batch_size)} steps an epoch; lower it if memory runs out"


def _name(path: str) -> str:
    """The folder's, or the manifest's without its ending; of a pattern of files, the folder's."""
    name = path.rstrip("/").rpartition("/")[2]
    if set(name) & set("*?"):
        name = path.rstrip("/").rpartition("/")[0].rpartition("/")[2]
    return slug(name.split(".")[0] or name)


def _path(path: str, out: Path | None) -> str:
    """Relative to the configuration where that goes down only: such a pair can be moved together."""
    if out is None or storage.is_remote(path):
        return path
    relative = os.path.relpath(path, out.resolve().parent)
    return path if relative.startswith("..") else relative

"""A first configuration for a folder of images, each value with the reason for it."""

import math
import os
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import yaml
from PIL import Image, ImageChops

from components.errors import RestemError
from components.example_gen.config import DataConfig
from components.example_gen.listing import ImageFile, Listing, check_listing
from components.images.config import ImageConfig
from components.images.probe import Header
from pipeline.config import Config, slug
from pipeline.inspection import look_at, open_image

SAMPLE_FILES = 400
SOURCE_SIZE = 224  # pixels; what ImageNet's ResNets were trained at
MIN_SIZE = 32  # pixels; below, a ResNet's last layers have nothing left to look at
SMALL_STEM_UP_TO = SOURCE_SIZE // 2
GREY_SPREAD = 2  # grey levels between the channels that JPEG's rounding may leave in a grey image
SHOWN_CLASSES = 20


@dataclass(frozen=True)
class Survey:
    """What a sample of the folder shows.

    Attributes:
        listing: the whole folder, names only.
        headers: of the sample's readable images.
        refused: how many of the sample are unreadable.
        colourless: all of the sample's colour images are grey in fact.
    """

    listing: Listing
    headers: tuple[Header, ...]
    refused: int
    colourless: bool


def survey(folder: Path) -> Survey:
    """Looks at up to 400 files, evenly taken from all.

    Raises:
        RestemError: what `check_listing` refuses, or no image can be read.
    """
    data = DataConfig(path=str(folder))
    listing = check_listing(data.path, data)
    step = max(1, len(listing.files) // SAMPLE_FILES)
    sample = listing.files[::step][:SAMPLE_FILES]
    config = Config(data=data, image=ImageConfig(size=1))
    looks = list(look_at(listing, sample, config))
    good = [(look.file, look.header) for look in looks if look.header is not None]
    if not good:
        raise RestemError(
            "there is no readable image",
            where=str(folder),
            given=f"{len(looks)} files were looked at; {looks[0].file.path}: {looks[0].reason}",
        )
    colour = [(file, header) for file, header in good if header.channels >= 3]
    colourless = bool(good) and all(_is_grey(listing, file, header) for file, header in colour)
    return Survey(listing, tuple(header for _, header in good), len(looks) - len(good), colourless)


def _is_grey(listing: Listing, file: ImageFile, header: Header) -> bool:
    data = (Path(listing.folder) / file.path).read_bytes()
    with open_image(data, header) as image:
        image.thumbnail((64, 64), Image.Resampling.BOX)
        red, green, blue = image.convert("RGB").split()
        spreads = (ImageChops.difference(red, green), ImageChops.difference(green, blue))
        return all(spread.getextrema()[1] <= GREY_SPREAD for spread in spreads)


def propose(folder: Path, out: Path | None) -> str:
    """The YAML text of a configuration for the images in `folder`.

    Args:
        folder: the images.
        out: where the text will stand, so that a folder beside or below it can be named relatively.

    Raises:
        RestemError: the folder cannot be trained on.
    """
    found = survey(folder.resolve())
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
    channels, channels_why = _channels(found)
    this_file = shlex.quote(str(out)) if out else "THIS_FILE"
    lines = [
        f"# Proposed by restem init for the images in {folder}; look it over, every value has its reason.",
        "#",
        f"#   restem inspect --config {this_file}      what it would train on",
        f"#   restem run --config {this_file}          trains, compares and pushes",
        "#",
        f"# Found: {len(listing.files)} files in {len(listing.classes)} classes; {_described(found)}.",
        *_class_lines(by_class),
        f"name: {slug(folder.resolve().name)}",
        "",
        "data:",
        f"  path: {_quoted(_path(folder, out))}",
        *_split_lines(listing, train_images, test_images),
        *_quarantine_lines(found),
        "",
        "image:",
        f"  size: {size}  # {_size_why(found, height, width)}",
        f"  channels: {channels}  # {channels_why}",
        "",
        "model:",
        "  backbone: ResNet50  # the smallest; ResNet101 and 152 take two and three times as long",
        "  weights: imagenet  # downloaded by Keras; offline: a checkpoint's path, or pretrain (see restem pretrain)",
        "",
        "stem:",
        f"  small_images: {str(small).lower()}  # {_small_why(small)}",
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


def _split_lines(listing: Listing, train_images: int, test_images: int) -> list[str]:
    if listing.given_splits:
        return [f"  # the folder's own train/ and test/: {train_images} and {test_images} images"]
    return [
        f"  test_share: 0.2  # there is no train/ and test/: a hash of each path gives {train_images} and {test_images}"
    ]


def _quarantine_lines(found: Survey) -> list[str]:
    sampled = len(found.headers) + found.refused
    strays = len(found.listing.strays)
    files = len(found.listing.files) + strays
    share = (found.refused / max(1, sampled) * len(found.listing.files) + strays) / max(1, files)
    limit = 0.05 if share <= 0.03 else min(1.0, math.ceil(share * 150) / 100)
    seen = f"{found.refused} of {sampled} looked at are unreadable, {strays} lie outside the class folders"
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


def _channels(found: Survey) -> tuple[int, str]:
    kinds = Counter("grey" if h.channels < 3 else "colour" for h in found.headers)
    if not kinds["colour"]:
        return 1, "all images looked at are grey"
    if found.colourless:
        return 1, "the colour files looked at hold nothing but grey"
    return 3, f"{kinds['colour']} of {len(found.headers)} images looked at are in colour"


def _small_why(small: bool) -> str:
    if small:
        return (
            f"at most {SMALL_STEM_UP_TO} pixels, half of what the source saw: this stem sees them as if twice as large"
        )
    return f"more than {SMALL_STEM_UP_TO} pixels: the stock stem suits"


def _batch_why(train_images: int, batch_size: int) -> str:
    return f"{math.ceil(train_images / batch_size)} steps an epoch; lower it if memory runs out"


def _path(folder: Path, out: Path | None) -> str:
    """Relative to the configuration where that goes down only: such a pair can be moved together."""
    folder = folder.resolve()
    if out is None:
        return str(folder)
    relative = os.path.relpath(folder, out.resolve().parent)
    return str(folder) if relative.startswith("..") else relative


def _quoted(text: str) -> str:
    return yaml.safe_dump(text, allow_unicode=True, width=10_000).removesuffix("\n").removesuffix("...").strip()

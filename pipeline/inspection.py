"""What a configuration would train on: every file is looked at with Pillow, without TensorFlow, TFX or training."""

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from components.errors import RestemError
from components.example_gen.listing import ImageFile, Listing, check_counts, check_listing
from components.images.arrays import read_array
from components.images.config import Requirements
from components.images.probe import Header, UnreadableImage, check_bytes, check_suits, explain_failure, probe
from pipeline.config import Config

BATCH_FILES = 256


@dataclass(frozen=True)
class Look:
    """One file: its header, or the reason why it would be put to quarantine."""

    file: ImageFile
    header: Header | None
    reason: str | None = None


@dataclass(frozen=True)
class Inspection:
    """What would be trained on.

    Attributes:
        classes: names, sorted.
        counts: split -> class -> readable images.
        quarantined: path and reason of every refused file, sorted by path.
        formats, sizes, channels: how many images of each format, (height, width), number of channels.
        problem: why `restem run` would refuse it all, or None.
    """

    classes: tuple[str, ...]
    counts: dict[str, Counter]
    quarantined: tuple[dict[str, str], ...]
    formats: Counter
    sizes: Counter
    channels: Counter
    problem: str | None

    def to_dict(self) -> dict:
        """For JSON."""
        return {
            "classes": list(self.classes),
            "splits": {split: sum(counts.values()) for split, counts in self.counts.items()},
            "by_class": {split: {name: counts[name] for name in self.classes} for split, counts in self.counts.items()},
            "quarantined": list(self.quarantined),
            "formats": dict(self.formats),
            "channels": {str(channels): images for channels, images in self.channels.items()},
            "problem": self.problem,
        }


def inspect(config: Config) -> Inspection:
    """Looks at every file that `config` names; `data.path` is a folder.

    Raises:
        RestemError: what is wrong with the folder as a whole (see check_listing).
    """
    listing = check_listing(config.data.path, config.data)
    counts = {split: Counter() for split in listing.counts()}
    formats, sizes, channels = Counter(), Counter(), Counter()
    refused = [{"path": stray.path, "reason": stray.reason} for stray in listing.strays]
    for look in look_at(listing, listing.files, config):
        if look.reason is not None:
            refused.append({"path": look.file.path, "reason": look.reason})
            continue
        counts[look.file.split][look.file.label] += 1
        formats[look.header.format] += 1
        sizes[look.header.height, look.header.width] += 1
        channels[look.header.channels] += 1
    refused.sort(key=lambda entry: entry["path"])
    problem = _problem(listing, counts, len(refused), config)
    return Inspection(listing.classes, counts, tuple(refused), formats, sizes, channels, problem)


def look_at(listing: Listing, files: tuple[ImageFile, ...], config: Config) -> Iterator[Look]:
    """Decodes files of a listing, as many at once as there are processors, and yields a look at each, in order."""
    wanted = config.image.requirements()

    def look(file: ImageFile) -> Look:
        try:
            return Look(file, _read(Path(listing.folder) / file.path, config, wanted))
        except UnreadableImage as error:
            return Look(file, None, str(error))

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(files), BATCH_FILES):
            yield from threads.map(look, files[start : start + BATCH_FILES])


def _read(path: Path, config: Config, wanted: Requirements) -> Header:
    try:
        check_bytes(path.stat().st_size, config.data.max_bytes)
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"The file cannot be read: {error.strerror}.") from None
    header = probe(data, max_pixels=config.data.max_pixels, max_bytes=config.data.max_bytes)
    check_suits(header, wanted)
    if not header.in_graph:
        read_array(data, header)
        return header
    try:
        with warnings.catch_warnings(), open_image(data, header) as image:
            warnings.simplefilter("ignore")
            image.load()
    except Exception:  # Pillow's plugins raise whatever damaged bytes lead them to.
        raise UnreadableImage(explain_failure(data, header.format)) from None
    return header


def open_image(data: bytes, header: Header) -> Image.Image:
    """The image behind a header that was checked, whatever Pillow's own limit of pixels."""
    import io

    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        return Image.open(io.BytesIO(data), formats=[header.format])
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _problem(listing: Listing, counts: dict[str, Counter], refused: int, config: Config) -> str | None:
    files = len(listing.files) + len(listing.strays)
    if refused > config.data.max_quarantined * files:
        return (
            f"{refused} of {files} files would go to quarantine, more than data.max_quarantined "
            f"({config.data.max_quarantined:g}) allows."
        )
    try:
        check_counts(listing.classes, counts, listing.folder, given_splits=listing.given_splits, readable=True)
    except RestemError as error:
        return str(error)
    return None

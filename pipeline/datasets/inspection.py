"""Shows what a configuration would train on: decodes every image with the function of a run; trains nothing."""

import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from restem.errors import RestemError
from restem.example_gen.content import with_size
from restem.example_gen.dataset import TRAIN, ImageFile, Listing, Refused
from restem.example_gen.duplicates import Duplicates, describe_leaks, digest_line, find_duplicates
from restem.example_gen.listing import check_counts, check_listing
from restem.example_gen.missing import Missing, MissingCounts
from restem.example_gen.near import Look, NearDuplicates, check_near, find_near, look_of
from restem.example_gen.questions import missing_sentence
from restem.images.header import Header
from restem.pipeline.config import Config
from restem.pipeline.environment.quiet import start_tensorflow

Progress = Callable[[int, int], None]  # files that are done, and all


@dataclass(frozen=True)
class ImageCheck:
    """A readable image and its header.

    digest: the SHA-256 of the file.
    encoded: the model's input, if requested.
    look: what it looks like, if requested; None if it is too plain to be compared.
    missing: the share of its pixels without data.
    """

    file: ImageFile
    header: Header
    digest: bytes
    encoded: bytes = b""
    look: bytes | None = None
    missing: float = 0.0


@dataclass(frozen=True)
class Inspection:
    """The dataset that a run would train on.

    Attributes:
        classes: names, sorted.
        counts: split -> class -> number of readable images.
        quarantined: all rejected files, sorted by path.
        formats, sizes, channels: number of images by format, by (height, width), by number of channels.
        duplicates: identical images under several names.
        near: images that look the same in several splits.
        missing: the images with pixels without data, and what they declare.
        spans: the numbers of the spans, if data.path has {SPAN}.
        notes: notes to the user about the data.
        samples: the first readable training images of every class, up to the requested number.
        problem: why `restem run` would stop, or None.
    """

    classes: tuple[str, ...]
    counts: dict[str, Counter]
    quarantined: tuple[Refused, ...]
    formats: Counter
    sizes: Counter
    channels: Counter
    duplicates: Duplicates
    near: NearDuplicates
    missing: MissingCounts
    spans: tuple[int, ...]
    notes: tuple[str, ...]
    samples: tuple[ImageCheck, ...]
    problem: str | None

    def to_dict(self) -> dict:
        """For JSON."""
        return {
            "classes": list(self.classes),
            "splits": {split: sum(counts.values()) for split, counts in self.counts.items()},
            "by_class": {split: {name: counts[name] for name in self.classes} for split, counts in self.counts.items()},
            "quarantined": [asdict(refused) for refused in self.quarantined],
            "formats": dict(self.formats),
            "channels": {str(channels): images for channels, images in self.channels.items()},
            "duplicates": self.duplicates.counts(),
            "leaks": [[copy.path for copy in group] for group in self.duplicates.leaks],
            "near_duplicates": [
                {
                    "paths": [pair.first.path, pair.second.path],
                    "splits": [pair.first.split, pair.second.split],
                    "correlation": round(pair.correlation, 4),
                    "mirrored": pair.mirrored,
                }
                for pair in self.near.pairs
            ],
            "nodata": self.missing.to_dict(),
            "spans": list(self.spans),
            "notes": list(self.notes),
            "problem": self.problem,
        }


def inspect(config: Config, *, samples: int = 0, progress: Progress = lambda done, total: None) -> Inspection:
    """Decodes all images of `config`; `data.path` is not embedded data.

    Args:
        config: the configuration of the run.
        samples: the number of encoded training images to keep for every class.
        progress: see `check_images`.

    Raises:
        RestemError: the dataset as a whole is wrong (see check_listing).
    """
    with tempfile.TemporaryDirectory(prefix="restem-") as scratch:
        return _inspect(check_listing(config.data.path, config.data, scratch=scratch), config, samples, progress)


def _inspect(listing: Listing, config: Config, samples: int, progress: Progress) -> Inspection:
    counts: dict[str, Counter] = {split: Counter() for split in listing.counts()}
    formats: Counter = Counter()
    sizes: Counter = Counter()
    channels: Counter = Counter()
    kept: dict[str, list[ImageCheck]] = {name: [] for name in listing.classes}
    refused = [with_size(listing.folder, one) for one in listing.refused]
    lines = []
    looks: list[Look] = []
    missing = MissingCounts(config.image.nodata_rule)
    plain = 0
    for check in check_images(listing, listing.files, config, encode=samples > 0, look=True, progress=progress):
        if isinstance(check, Refused):
            refused.append(check)
            continue
        file = check.file
        counts[file.split][file.label] += 1
        formats[check.header.format] += 1
        sizes[check.header.height, check.header.width] += 1
        channels[check.header.channels] += 1
        lines.append(digest_line(check.digest, file.path, file.label, file.split))
        missing.add(Missing(file.path, check.missing, check.header.nodata))
        plain += check.look is None
        if check.look is not None:
            looks.append(Look(file.path, file.label, file.split, check.look))
        if file.split == TRAIN and len(kept[file.label]) < samples:
            kept[file.label].append(check)
    refused.sort(key=lambda one: one.path)
    duplicates = find_duplicates(lambda: lines)
    images = sum(sum(by_class.values()) for by_class in counts.values())
    notes = (*listing.notes, *missing.sentences(images), missing_sentence(listing.classes, counts))
    near = find_near(looks, plain).without({copy.path for group in duplicates.leaks for copy in group})
    return Inspection(
        listing.classes,
        counts,
        tuple(refused),
        formats,
        sizes,
        channels,
        duplicates,
        near,
        missing,
        listing.spans,
        tuple(note for note in notes if note),
        tuple(check for checks in kept.values() for check in checks),
        _problem(listing, counts, len(refused), duplicates, near, config),
    )


def check_images(
    listing: Listing,
    files: Sequence[ImageFile],
    config: Config,
    *,
    encode: bool = False,
    look: bool = False,
    progress: Progress = lambda done, total: None,
) -> Iterator[ImageCheck | Refused]:
    """Decodes images of a listing with the function that the pipeline uses. Refused files may come earlier.

    Args:
        listing: the listing, with the folder that contains the files.
        files: the files to decode.
        config: the limits and the model's image format.
        encode: whether the checks contain the model's input.
        look: whether they contain what the image looks like.
        progress: called after each file with the number of files that are done, and of all.
    """
    start_tensorflow()
    from restem.example_gen.reading import ImageDecoder, limits_of

    decoder = ImageDecoder(listing.folder, limits_of(config.data, config.image.requirements()))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # The ImageCheck has all that matters.
        for done, one in enumerate(decoder.decode(files), start=1):
            progress(done, len(files))
            if isinstance(one, Refused):
                yield one
            else:
                seen = look_of(one.data, rule=config.image.nodata_rule) if look else None
                data = one.data if encode else b""
                yield ImageCheck(one.file, one.header, one.digest, data, seen, one.missing)


def _problem(
    listing: Listing,
    counts: dict[str, Counter],
    refused: int,
    duplicates: Duplicates,
    near: NearDuplicates,
    config: Config,
) -> str | None:
    files = len(listing)
    if refused > config.data.max_quarantined * files:
        return (
            f"{refused} of {files} files would go to quarantine, more than data.max_quarantined "
            f"({config.data.max_quarantined:g}) allows."
        )
    try:
        check_counts(listing.classes, counts, listing.folder, given_splits=listing.given_splits, readable=True)
    except RestemError as error:
        return str(error)
    if duplicates.leaks and not config.data.allow_leaks:
        return f"{describe_leaks(duplicates.leaks)}\nRemove the copies, or set data.allow_leaks: true."
    try:
        check_near(near, config.data, listing.folder)
    except RestemError as error:
        return str(error)
    return None

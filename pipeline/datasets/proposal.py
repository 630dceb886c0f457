"""Proposes a configuration for a folder of images, a manifest or TFRecord files, with a reason for each value."""

import math
import os
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from restem import storage
from restem.evaluator.config import DEFAULT_MARGIN
from restem.evaluator.figures import about
from restem.evaluator.paired import needed_images, visible_difference
from restem.evaluator.terms import EACH_SIDE, POWER
from restem.example_gen.config import DataConfig
from restem.example_gen.questions import missing_sentence
from restem.images.config import RGB
from restem.pipeline.config import slug
from restem.pipeline.datasets.dicom import dicom_lines, group_lines
from restem.pipeline.datasets.layout import GIVEN_KEYS
from restem.pipeline.datasets.offline import BACKBONE, Measure, model_lines, plan, size_reason
from restem.pipeline.datasets.survey import Survey, survey
from restem.pipeline.datasets.values import value_lines
from restem.visible import visible
from restem.yaml_dialect import dump_inline

SOURCE_SIZE = 224  # pixels; the training size of ImageNet's ResNets
MIN_SIZE = 32  # pixels; in smaller images nothing is left for a ResNet's last layers
SMALL_STEM_UP_TO = SOURCE_SIZE // 2
SHOWN_CLASSES = 20
LISTED_CLASSES = 200  # more are not listed in data.classes
MODEL_LINES = (
    "model:",
    f"  backbone: {BACKBONE}  # the smallest; ResNet101 and 152 take two and three times as long",
    "  weights: imagenet  # downloaded by Keras; offline: the path of a checkpoint, or pretrain (restem pretrain)",
)
OWN_SPLITS = "the folder's own train/ and test/"
VAL_SHARE, FEW_VAL_IMAGES = 0.1, 3  # of every class
DEFAULT_QUARANTINED = 0.05
MOST_LEFT_OUT = 0.15  # share of bad files for which the limit is raised
SHOWN_REASONS = 3
IMBALANCED = 3  # largest to smallest class
DISAGREEMENT = 0.1  # assumed share of test images on which only one of two models is right


def propose(
    path: str | Path,
    out: Path | None,
    *,
    reason: str = "",
    measure: Measure | None = None,
    given: Mapping[str, Any] | None = None,
) -> str:
    """The YAML text of a configuration for the images at `path`.

    Args:
        path: a folder of images, a manifest, or TFRecord files; local or remote.
        out: the file for the text, so that a path inside its folder can be relative.
        reason: why ImageNet's weights cannot be had; empty: they can.
        measure: how fast this machine trains; needed with a reason.
        given: keys of the section `data` that the user has decided, see `infer_layout`.

    Raises:
        RestemError: the data cannot be used for training.
    """
    path = str(path)
    if not storage.is_remote(path):
        path = str(Path(path).resolve())
    found = survey(path, given)
    path = found.inferred.data.path
    listing = found.listing
    counts = listing.counts()
    train_images, test_images = (sum(counts[split].values()) for split in ("train", "test"))
    height, width = _size(found)
    small = max(height, width) <= SMALL_STEM_UP_TO
    batch_size = 16 if train_images < 500 else 32 if max(height, width) > 128 or train_images < 20_000 else 64
    epochs = min(20, max(4, math.ceil(4000 / max(1, train_images))))
    offline, size_why = None, _size_why(found, height, width)
    if reason:
        assert measure is not None
        offline = plan(reason, train_images, epochs, height, width, measure)
        size_why = size_reason(offline, height) or size_why
        height, width, small = offline.height, offline.width, False
    size = str(height) if height == width else f"[{height}, {width}]"
    updates = epochs * math.ceil(train_images / batch_size)
    this_file = shlex.quote(str(out)) if out else "THIS_FILE"
    lines = [
        f"# Proposed by restem init for the images in {path}. Please review it; each value has a reason.",
        "#",
        f"#   restem inspect --config {this_file} --contact-sheet sheet.png      shows what it would train on",
        f"#   restem run --config {this_file}          trains, compares and pushes",
        "#",
        f"# Found: {len(listing.files)} images in {len(listing.classes)} classes ({_layout(found)}); "
        f"{_described(found)}.",
        *_class_lines(counts["train"] + counts["test"]),
        *_question_lines(found),
        f"name: {_name(path)}",
        "",
        "data:",
        f"  path: {dump_inline(_path(path, out))}",
        *_data_lines(found),
        *group_lines(found.dicom, found.inferred.data, given_splits=listing.given_splits),
        *_contract_lines(listing.classes),
        *_split_lines(found, train_images, test_images),
        *_validation_lines(counts),
        *_quarantine_lines(found),
        "",
        "image:",
        f"  size: {size}  # {size_why}",
        *_channel_lines(found),
        "",
        *(model_lines(offline) if offline else MODEL_LINES),
        "",
        "stem:",
        f"  small_images: {str(small).lower()}  # {_small_why(small, trained_here=offline is not None)}",
        *_band_lines(found),
        "",
        "train:",
        "  seed: 0  # for initial weights and shuffling",
        f"  batch_size: {batch_size}  # {_batch_why(train_images, batch_size)}",
        *_balance_lines(counts["train"]),
        *_choice_lines(counts),
        *_augment_lines(small, this_file),
        "  head: {epochs: 10, learning_rate: 0.001}  # first only the new head: fast, features are computed once",
        f"  all: {{epochs: {epochs}, learning_rate: 0.0001}}  # then all layers at a low rate: {updates} steps",
        "",
        "evaluate:",
        *_requirement_lines(counts["test"]),
        *_slice_lines(found),
        "",
    ]
    return "\n".join(visible(line) for line in lines)


def _described(found: Survey) -> str:
    formats = ", ".join(f"{name} {count}" for name, count in Counter(h.format for h in found.headers).most_common())
    heights, widths = sorted(h.height for h in found.headers), sorted(h.width for h in found.headers)
    depths = ", ".join(str(depth) for depth in sorted({h.bit_depth for h in found.headers}))
    size = f"{heights[0]}x{widths[0]}"
    if (heights[0], widths[0]) != (heights[-1], widths[-1]):
        size += f" to {heights[-1]}x{widths[-1]}"
    return f"{len(found.headers)} sampled: {formats}; {size} pixels (height x width); {depths} bits per channel"


def _class_lines(by_class: Counter) -> list[str]:
    ordered = by_class.most_common()
    shown = ", ".join(f"{name} {count}" for name, count in ordered[:SHOWN_CLASSES])
    more = f" and {len(ordered) - SHOWN_CLASSES} more" if len(ordered) > SHOWN_CLASSES else ""
    lines = [f"# Images by class: {shown}{more}."]
    ratio = _imbalance(by_class)
    if ratio >= IMBALANCED:
        lines.append(
            f"# The largest class has {ratio:.0f} times as many images as the smallest: accuracy alone is misleading."
        )
    return lines


def _question_lines(found: Survey) -> list[str]:
    """What only the user can decide."""
    listing = found.listing
    told = [*found.questions, *listing.notes]
    if gone := missing_sentence(listing.classes, listing.counts()):
        told.append(gone)
    return [f"# Please check: {sentence}" + ("" if sentence.endswith(("?", ".")) else ".") for sentence in told]


def _validation_lines(counts: dict[str, Counter]) -> list[str]:
    """A share of the training images for validation, if the data have none and the smallest class can spare them."""
    if "val" in counts:
        return ["  # the data have validation images of their own"]
    if _can_validate(counts):
        return [f"  val_share: {VAL_SHARE}  # of the training images: the best epoch is chosen on them"]
    fewest = min(counts["train"].values())
    return [f"  # no val_share: the smallest class has only {fewest} training images; no epoch is chosen"]


def _can_validate(counts: dict[str, Counter]) -> bool:
    return "val" in counts or min(counts["train"].values()) * VAL_SHARE >= FEW_VAL_IMAGES


def _imbalance(by_class: Counter) -> float:
    """How many times the images of the smallest class the largest one has."""
    return max(by_class.values()) / max(1, min(by_class.values()))


def _balance_lines(train: Counter) -> list[str]:
    ratio = _imbalance(train)
    if ratio < IMBALANCED:
        return []
    return [f"  balance: weights  # the largest class has {ratio:.0f} times the training images of the smallest"]


def _choice_lines(counts: dict[str, Counter]) -> list[str]:
    if not _can_validate(counts):
        return []
    metric, why = "accuracy", "of all validation images"
    if _imbalance(counts["train"]) >= IMBALANCED:
        metric, why = "balanced_accuracy", "the mean of the classes' accuracies, because the classes differ in size"
    return [
        "  keep: best  # the epoch with the best metric on the validation images",
        f"  metric: {metric}  # {why}",
    ]


def _augment_lines(small: bool, this_file: str) -> list[str]:
    shift = 0.05 if small else 0.1
    return [
        f"  augment: {{translation: {shift}, brightness: 0.1, contrast: 0.1}}  # hardly ever change a class",
        f"  # To see it: restem inspect --config {this_file} --augmented augmented.png",
        "  # Before you add flip_horizontal, flip_vertical or quarter_turns, ask: would somebody who knows the images",
        "  # still give a mirrored or turned one the same class? Yes for cells and satellite images; no for digits,",
        "  # writing, left and right hands, or a chest X-ray. If you are not sure, leave them off.",
    ]


def _layout(found: Survey) -> str:
    kinds = {"folders": "one folder per class", "manifest": "a manifest", "tfrecord": "TFRecord files"}
    return kinds[found.inferred.data.found_layout]


def _data_lines(found: Survey) -> list[str]:
    """The keys that were inferred from a manifest or TFRecord files."""
    data, reasons = found.inferred.data, found.inferred.reasons
    lines = []
    if DataConfig(path=data.path).found_layout != data.found_layout:
        lines.append(f"  layout: {data.found_layout}  # the folder contains such files")
    for key in GIVEN_KEYS:
        if key in reasons:
            value = getattr(data, key)
            value = value.model_dump(exclude_unset=True) if key in ("columns", "features") else value
            lines.append(f"  {key}: {dump_inline(value)}  # {reasons[key]}")
    return [*lines, *(f"  # {note}" for note in found.listing.notes)]


def _contract_lines(classes: tuple[str, ...]) -> list[str]:
    """The list of classes, which the run compares with what it finds."""
    if len(classes) > LISTED_CLASSES:
        return [f"  # classes: a list of all {len(classes):,} names here stops a run in which one of them is missing"]
    return [f"  classes: {dump_inline(classes)}  # the run stops if one of them has no images"]


def _split_lines(found: Survey, train_images: int, test_images: int) -> list[str]:
    numbers = f"{train_images} and {test_images} images"
    reasons = found.inferred.reasons
    if found.listing.given_splits:
        return [f"  # {reasons.get('split', OWN_SPLITS)}: {numbers}"]
    if found.inferred.data.group:
        share = f"  test_share: 0.2  # the data has no split; whole groups give {numbers}"
        return [f"  split: stratified  # {reasons['split']}", share]
    return [f"  test_share: 0.2  # the data has no split; hashes choose the same share of each class: {numbers}"]


def _requirement_lines(test: Counter) -> list[str]:
    """What a candidate must meet, with the smallest loss that so many test images can exclude."""
    count, imbalanced = sum(test.values()), _imbalance(test) >= IMBALANCED
    metric = "balanced_accuracy" if imbalanced else "accuracy"
    smallest = max(DEFAULT_MARGIN, visible_difference(DISAGREEMENT, count, EACH_SIDE, POWER))
    margin = math.ceil(round(smallest * 100, 6)) / 100
    why = (
        f"a loss of {margin * 100:g} points against the stock ResNet can be seen with {count:,} test images, if the "
        "two disagree on one in ten"
    )
    if margin > DEFAULT_MARGIN:
        enough = needed_images(DISAGREEMENT, DEFAULT_MARGIN, 0.0, EACH_SIDE, POWER)
        why += f"; a smaller one cannot; for {DEFAULT_MARGIN:g} about {about(enough)} would do"
    share = 1 / len(test) if imbalanced else max(test.values()) / max(1, count)
    which = " (the mean of the classes' accuracies, because they differ in size)" if imbalanced else ""
    sure = f"confidence: {EACH_SIDE:g}"
    return [
        f"  require:  # all of it, with one-sided {EACH_SIDE:.0%} confidence",
        f"    - {{metric: {metric}, not_worse_than_baseline_by: {margin:g}, {sure}}}  # {why}",
        f"    - {{metric: {metric}, better_than_largest_class_by: 0, {sure}}}  # always predicting it gives "
        f"{share:.2f}{which}",
    ]


def _slice_lines(found: Survey) -> list[str]:
    metadata = found.inferred.data.metadata
    return (
        [f"  slices: {dump_inline(metadata)}  # the report shows the accuracy for each of their values"]
        if metadata
        else []
    )


def _quarantine_lines(found: Survey) -> list[str]:
    """The limit; it is raised for a few bad files, but never so far that a large part of the data is left out."""
    sampled = len(found.headers) + found.refused
    no_images = len(found.listing.refused)
    files = len(found.listing.files) + no_images
    share = (found.refused / max(1, sampled) * len(found.listing.files) + no_images) / max(1, files)
    limit = DEFAULT_QUARANTINED if share <= 0.03 else math.ceil(share * 150) / 100
    seen = f"{found.refused} of {sampled} sampled files are unreadable, {no_images} more are not images of a class"
    if share <= MOST_LEFT_OUT:
        return [f"  max_quarantined: {limit:g}  # the run stops if more files are bad; {seen}"]
    reasons = Counter(_kind(one.reason) for one in found.listing.refused).most_common(SHOWN_REASONS)
    told = "".join(f"; {count} x {reason}" for reason, count in reasons)
    return [
        f"  max_quarantined: {DEFAULT_QUARANTINED:g}  # restem run will STOP: {seen}{told}",
        f"  # restem inspect names them. If they may really be left out: max_quarantined: {min(1.0, limit):g}",
    ]


def _kind(reason: str) -> str:
    """A reason without the number of its row."""
    return re.sub(r"^(Line|Row) \d+: ", "", reason).rstrip(".")


def _size(found: Survey) -> tuple[int, int]:
    """Median height and width, at most 224 and at least 32; square if nearly square, else with the same ratio."""
    height, width = median(h.height for h in found.headers), median(h.width for h in found.headers)
    if max(height, width) <= 1.2 * min(height, width):
        height = width = max(height, width)
    scale = min(1.0, SOURCE_SIZE / max(height, width))
    scale = max(scale, MIN_SIZE / min(height, width))
    return min(4096, round(height * scale)), min(4096, round(width * scale))


def _size_why(found: Survey, height: int, width: int) -> str:
    middle = f"{median(h.height for h in found.headers):g}x{median(h.width for h in found.headers):g}"
    if max(height, width) == SOURCE_SIZE:
        return f"the median size is {middle}; ImageNet's ResNets were trained at {SOURCE_SIZE}"
    if min(height, width) == MIN_SIZE:
        return f"the median size is {middle}; a ResNet needs at least {MIN_SIZE}"
    return f"the median image's size ({middle})"


def _channel_lines(found: Survey) -> list[str]:
    deep = []
    depth = max(header.bit_depth for header in found.headers)
    if depth > 8:
        deep = [
            f"  bits: 16  # the files have up to {depth} bits per channel",
            "  normalise: dataset  # values of more than 8 bits rarely use the whole range: each channel is measured "
            "on the training images and normalised to the mean and standard deviation that the source was trained "
            "with, for both candidate and baseline",
        ]
    return [*_channels(found), *dicom_lines(found.dicom), *value_lines(found.values), *deep]


def _channels(found: Survey) -> list[str]:
    if found.bands is not None:
        names = found.bands.names
        why = f"{len(names)} channels in the files' order"
        if found.bands.as_alpha:
            why += f"; the files call the last one alpha, but it has image content; channels: {len(names) - 1} drops it"
        elif any(name.startswith("band_") for name in names):
            why += (
                "; the files have no band names: rename the bands that are red, green and blue, so that they keep "
                "their pretrained kernels"
            )
        return [f"  bands: [{', '.join(names)}]  # {why}"]
    kinds = Counter("grey" if h.channels < 3 else "colour" for h in found.headers)
    if not kinds["colour"]:
        return ["  channels: 1  # all sampled images are grey"]
    if found.colourless:
        return ["  channels: 1  # the sampled colour files contain only grey"]
    return [f"  channels: 3  # {kinds['colour']} of {len(found.headers)} sampled images are in colour"]


def _band_lines(found: Survey) -> list[str]:
    """The stem's rule for bands that the source does not have."""
    unknown = [name for name in (found.bands.names if found.bands else ()) if name not in RGB]
    if not unknown:
        return []
    return [
        f"  extra_bands: mean  # {', '.join(unknown)}: start at the mean of the pretrained kernels, so that they count "
        "from the start; with zero, the source's function is kept exactly and training must learn them"
    ]


def _small_why(small: bool, *, trained_here: bool) -> str:
    if trained_here:
        return "the source is trained on images of this size: the stock stem fits"
    if small:
        return (
            f"at most {SMALL_STEM_UP_TO} pixels, half the source's size: this stem acts as if they were upsampled by 2"
        )
    return f"more than {SMALL_STEM_UP_TO} pixels: the stock stem fits"


def _batch_why(train_images: int, batch_size: int) -> str:
    return f"{math.ceil(train_images / batch_size)} steps per epoch; reduce it if memory runs out"


def _name(path: str) -> str:
    """The folder's name, or the manifest's without its suffix; for a pattern of files, the folder's."""
    name = path.rstrip("/").rpartition("/")[2]
    if set(name) & set("*?"):
        name = path.rstrip("/").rpartition("/")[0].rpartition("/")[2]
    return slug(name.split(".")[0] or name)


def _path(path: str, out: Path | None) -> str:
    """Relative to the configuration if the path is inside its folder: then both can be moved together."""
    if out is None or storage.is_remote(path):
        return path
    relative = os.path.relpath(path, out.resolve().parent)
    return path if relative.startswith("..") else relative

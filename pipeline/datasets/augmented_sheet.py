"""A picture of what `train.augment` does: training images, each beside augmented versions of it.

The versions come from `restem.trainer.augmented`, as in training.
"""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from restem.errors import RestemError
from restem.images.config import ImageConfig
from restem.images.panels import panels
from restem.pipeline.datasets.contact_sheet import (
    BACKGROUND,
    CAPTION,
    INK,
    LARGEST,
    MARGIN,
    resampling,
    save_sheet,
    seen_by_the_model,
    to_8_bits,
)
from restem.pipeline.datasets.inspection import ImageCheck
from restem.trainer.augment_config import AugmentConfig
from restem.trainer.config import TrainConfig

ROWS, VERSIONS = 6, 6  # images, and versions of each
SMALLEST = 112  # pixels of an image's longer side in the picture: below each is its partner's name
NOTE = 16  # pixels


def refuse_nothing_to_show(augment: AugmentConfig) -> None:
    """Raises:
    RestemError: nothing is on in `train.augment`.
    """
    if not augment.on:
        raise RestemError(
            "no augmentation is on, so there is nothing to show",
            where="--augmented",
            expected="at least one key in train.augment",
            given="train.augment with all keys off",
            remedy="Add for example --set train.augment.translation=0.1",
        )


def write_augmented_sheet(path: Path, samples: Sequence[ImageCheck], image: ImageConfig, train: TrainConfig) -> None:
    """Writes the picture as a PNG; the same for the same images, settings and seed.

    Args:
        path: the file; its folder is created.
        samples: encoded training images; 6 of them are shown, of as many classes as possible.
        image: the model's image format.
        train: the section, with `augment` and `seed`.

    Raises:
        RestemError: the file cannot be written, or there is no image.
    """
    where = f"--augmented {path}"
    if not samples:
        raise RestemError("there is no readable training image to show", where=where)
    shown = _of_different_classes(samples)[:ROWS]
    originals = np.stack(seen_by_the_model([check.encoded for check in shown], image))
    versions, shares = augment(originals, image, train)
    names = [check.file.path for check in shown]
    captions = [f"{check.file.path} ({check.file.label})" for check in shown]
    notes = [[_partner(row, place, names) for row in one] for place, one in enumerate(shares.swapaxes(0, 1))]
    rows = [
        (caption, [original, *versions[:, place]], ["", *notes[place]])
        for place, (caption, original) in enumerate(zip(captions, originals, strict=True))
    ]
    save_sheet(draw_versions(rows, image, train), path, where)


def augment(originals: np.ndarray, image: ImageConfig, train: TrainConfig) -> tuple[np.ndarray, np.ndarray]:
    """Augments a batch as in training.

    Args:
        originals: uint8 or uint16 [images, height, width, channels].
        image: the model's image format.
        train: the section.

    Returns:
        The versions, of the same type, [6, images, height, width, channels], and how much of each image is in each,
        float32 [6, images, images].
    """
    from restem.trainer.augmented import Augmentation

    # Each image is a class of its own here: a mixed label tells which image is the partner.
    count = len(originals)
    augmentation = Augmentation(train.augment, float(image.white), count, train.seed)
    versions, shares = [], []
    for _ in range(VERSIONS):
        changed = augmentation(originals, np.arange(count))
        versions.append(np.clip(np.rint(changed.images), 0, image.white).astype(originals.dtype))
        shares.append(np.asarray(changed.target) if train.augment.mixes else np.eye(count))
    return np.stack(versions), np.stack(shares)


def draw_versions(
    rows: Sequence[tuple[str, Sequence[np.ndarray], Sequence[str]]], image: ImageConfig, train: TrainConfig
) -> Image.Image:
    """Draws a caption and a row of pictures for each image: the original and its versions.

    Images with more bands are shown by their first picture: the colours, or without these the first band.

    Args:
        rows: caption; uint8 or uint16 [height, width, channels] each; a note below each.
        image: the names of the channels.
        train: the section.
    """
    scale = min(max(1, SMALLEST / max(image.height, image.width)), LARGEST / max(image.height, image.width))
    height, width = max(1, round(image.height * scale)), max(1, round(image.width * scale))
    font, small = ImageFont.load_default(14), ImageFont.load_default(11)
    column = max(width, 64) + MARGIN
    note = NOTE if train.augment.mixes else 0
    row_height = CAPTION + height + note + MARGIN
    size = max(column * (1 + VERSIONS) + MARGIN, 480), 2 * CAPTION + MARGIN + len(rows) * row_height
    sheet = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    shown = panels(to_8_bits(rows[0][1][0]), image.names)
    what = f", of which you see: {shown[0][0]}" if len(shown) > 1 else ""
    channels = f"{image.count} channel{'s' if image.count > 1 else ''}"
    pen.text((MARGIN, 3), f"Original, and as in training: {channels}{what}", INK, font)
    pen.text((MARGIN, CAPTION + 3), _fitting(_settings(train.augment), small, size[0] - 2 * MARGIN), INK, small)
    top = 2 * CAPTION
    for caption, pictures, notes in rows:
        pen.text((MARGIN, top + 3), _fitting(caption, font, size[0] - 2 * MARGIN), INK, font)
        for place, (pixels, text) in enumerate(zip(pictures, notes, strict=True)):
            _, first = panels(to_8_bits(pixels), image.names)[0]
            picture = Image.fromarray(np.ascontiguousarray(first)).convert("RGB")
            left = MARGIN + place * column
            sheet.paste(picture.resize((width, height), resampling(scale)), (left, top + CAPTION))
            pen.text((left, top + CAPTION + height + 1), _fitting(text, small, column - MARGIN), INK, small)
        top += row_height
    return sheet


def _of_different_classes(samples: Sequence[ImageCheck]) -> list[ImageCheck]:
    """The first image of each class, then the second of each, and so on."""
    rows: dict[str, list[ImageCheck]] = {}
    for check in samples:
        rows.setdefault(check.file.label, []).append(check)
    return [check for column in zip_longest(*rows.values()) for check in column if check is not None]


def _partner(shares: np.ndarray, place: int, names: Sequence[str]) -> str:
    """What a version has of another image, such as "+ 30% 7.png"; nothing: an empty text."""
    others = [(share, name) for i, (share, name) in enumerate(zip(shares, names, strict=True)) if i != place]
    share, name = max(others, default=(0.0, ""))
    return f"+ {share:.0%} {name.rpartition('/')[2]}" if share >= 0.005 else ""


def _settings(augment: AugmentConfig) -> str:
    on = {name: value for name, value in augment.model_dump().items() if value}
    return "train.augment: " + ", ".join(name if value is True else f"{name} {value:g}" for name, value in on.items())


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text; where it is wider, its start and its end: names of files often differ at the end."""
    start, end = text[:6], text[6:]
    if font.getlength(text) <= width:
        return text
    while end and font.getlength(f"{start}...{end}") > width:
        end = end[1:]
    return f"{start}...{end}"

"""A picture of what the model sees: training images after preprocessing, one row per class.

The pixels come from `restem.images.graph.preprocess`, as in training and serving.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from restem.errors import RestemError
from restem.images.config import ImageConfig
from restem.images.panels import panels
from restem.pipeline.datasets.inspection import ImageCheck
from restem.pipeline.environment.quiet import start_tensorflow

COLUMNS = 8  # images per class
PANELS = 4  # rows per class: the colours and three more bands
ROWS = 40  # classes
SMALLEST, LARGEST = 64, 160  # pixels of an image's longer side in the picture
MARGIN, CAPTION = 6, 22  # pixels
BACKGROUND, INK = (255, 255, 255), (20, 20, 20)


def write_contact_sheet(path: Path, samples: Sequence[ImageCheck], image: ImageConfig) -> None:
    """Writes the picture as a PNG.

    Args:
        path: the file; its folder is created.
        samples: encoded training images, grouped by class; at most 8 images of each of the first 40 classes are shown.
        image: the model's image format.

    Raises:
        RestemError: the file cannot be written, or there is no image.
    """
    if not samples:
        raise RestemError("there is no readable training image to show", where=f"--contact-sheet {path}")
    rows: dict[str, list[ImageCheck]] = {}
    for check in samples:
        rows.setdefault(check.file.label, []).append(check)
    shown = {label: checks[:COLUMNS] for label, checks in list(rows.items())[:ROWS]}
    pixels = iter(seen_by_the_model([check.encoded for checks in shown.values() for check in checks], image))
    sheet = draw({label: [next(pixels) for _ in checks] for label, checks in shown.items()}, image)
    save_sheet(sheet, path, f"--contact-sheet {path}")


def save_sheet(sheet: Image.Image, path: Path, where: str) -> None:
    """Writes the picture as a PNG, and creates its folder.

    Raises:
        RestemError: it cannot be written; `where` is the option that asked for it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path, "PNG")
    except OSError as error:
        raise RestemError("the picture cannot be written", where=where, given=error.strerror) from None


def seen_by_the_model(encoded: Sequence[bytes], image: ImageConfig) -> list[np.ndarray]:
    """Encoded images -> the model's input for each: uint8 or uint16 [height, width, channels]."""
    start_tensorflow()
    import tensorflow as tf

    from restem.images.graph.preprocess import preprocess

    signature = [tf.TensorSpec([None], tf.string)]
    graph = tf.function(lambda batch: preprocess(batch, image), input_signature=signature, autograph=False)
    # In small batches: images may be large before they are resized.
    starts = range(0, len(encoded), COLUMNS)
    return [one for start in starts for one in graph(list(encoded[start : start + COLUMNS])).numpy()]


def draw(rows: dict[str, list[np.ndarray]], image: ImageConfig) -> Image.Image:
    """Draws a caption and a row of images for each class; images with more bands have a row for each band.

    Args:
        rows: class -> uint8 or uint16 [height, width, channels].
        image: the names of the channels.
    """
    scale = min(max(1, SMALLEST / max(image.height, image.width)), 8)
    scale = min(scale, LARGEST / max(image.height, image.width))
    height, width = max(1, round(image.height * scale)), max(1, round(image.width * scale))
    lines: list[tuple[str, list[np.ndarray]]] = []
    for label, images in rows.items():
        shown = [panels(to_8_bits(pixels), image.names) for pixels in images]
        for place, (caption, _) in enumerate(shown[0][:PANELS]):
            caption = label if len(shown[0]) == 1 else f"{label}: {caption}" if place == 0 else caption
            lines.append((caption, [one[place][1] for one in shown]))
    columns = max(len(images) for images in rows.values())
    columns_width = max(columns * (width + MARGIN) + MARGIN, 320)
    sheet = Image.new("RGB", (columns_width, len(lines) * (height + CAPTION + MARGIN) + CAPTION + MARGIN), BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    pen.text((MARGIN, 3), _headline(image, len(shown[0])), INK, font)
    top = CAPTION
    for caption, pictures in lines:
        pen.text((MARGIN, top + 3), caption, INK, font)
        for column, pixels in enumerate(pictures):
            small = (
                Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB").resize((width, height), resampling(scale))
            )
            sheet.paste(small, (MARGIN + column * (width + MARGIN), top + CAPTION))
        top += height + CAPTION + MARGIN
    return sheet


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """Reduces 16-bit pixels to their upper 8 bits for display."""
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def resampling(scale: float) -> Image.Resampling:
    """Nearest neighbour for enlargements, so that single pixels stay visible."""
    return Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX


def _headline(image: ImageConfig, pictures: int) -> str:
    """The model's image format, and how many pictures of each image are shown."""
    more = f"; the first {PANELS} of {pictures} pictures of each image" if pictures > PANELS else ""
    return f"{image.height} x {image.width} pixels, {image.count} channel{'s' if image.count > 1 else ''}{more}"

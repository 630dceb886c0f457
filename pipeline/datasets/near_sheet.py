"""A picture of images in different splits that look the same: what was compared, side by side."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from restem.example_gen.near import SIDE, Look, NearDuplicates
from restem.pipeline.datasets.contact_sheet import BACKGROUND, CAPTION, INK, MARGIN, save_sheet
from restem.visible import visible

ROWS = 40
SCALE = 5  # an image of 18 x 18 grey values is shown five times as large
LETTERS = 100  # of a path in a caption
WIDTH = 760  # pixels


def write_near_sheet(path: Path, found: NearDuplicates) -> bool:
    """Writes the picture as a PNG: one row for each of the first 40 pairs.

    Returns:
        Whether there are any; otherwise nothing is written.

    Raises:
        RestemError: the file cannot be written.
    """
    if not found.pairs:
        return False
    shown = found.pairs[:ROWS]
    side = SIDE * SCALE
    row = side + MARGIN
    sheet = Image.new("RGB", (WIDTH, CAPTION + len(shown) * row + MARGIN), BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    pen.text((MARGIN, 3), f"{len(shown)} of {len(found.pairs)} pairs, most similar first", INK, font)
    for index, pair in enumerate(shown):
        top = CAPTION + index * row
        for column, look in enumerate((pair.first, pair.second)):
            picture = Image.frombytes("L", (SIDE, SIDE), look.values).convert("RGB")
            sheet.paste(
                picture.resize((side, side), Image.Resampling.NEAREST), (MARGIN + column * (side + MARGIN), top)
            )
        left = 3 * MARGIN + 2 * side
        told = f"correlation {pair.correlation:.3f}{', mirrored' if pair.mirrored else ''}"
        for line, text in enumerate((_caption(pair.first), _caption(pair.second), told)):
            pen.text((left, top + 4 + line * 18), text, INK, font)
    save_sheet(sheet, path, f"--near-duplicates {path}")
    return True


def _caption(look: Look) -> str:
    text = f"{look.split}: {visible(look.path)}"
    return text if len(text) <= LETTERS else f"{text[: LETTERS // 2]} ... {text[-LETTERS // 2 :]}"

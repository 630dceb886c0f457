"""The demo's images: overwritten documents in four bands, made of scikit-learn's digits.

Forensic laboratories photograph documents in infrared: inks made of carbon stay black there, inks made of dyes become
transparent. Most of these documents are a digit in carbon ink under another digit in dye ink: red, green and blue show
both, and only near infrared tells which is the text. The others are one digit in dye ink: infrared shows blank paper,
and only red, green and blue can be read. So neither red, green and blue nor infrared alone is enough.
"""

from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

BANDS = ("red", "green", "blue", "nir")
SIZE = 32  # pixels
DYE_SHARE = 0.25  # of the documents are written in dye ink, with nothing over it
SHIFT_PIXELS = 2  # the upper digit is moved by at most this, in both directions
# Reflectances, 0 (black) to 1 (white). A document's colours are drawn anew: uniform, red, green and blue independently.
PAPER = (0.75, 0.95)
INK = (0.1, 0.45)
PAPER_NIR, CARBON_NIR = 0.85, 0.15
NOISE = 0.03  # standard deviation of the sensor's noise, in reflectance
_SEED = 0
_GDAL_METADATA = 42112  # the TIFF tag in which GDAL keeps the names of bands


def documents(pixels: np.ndarray, in_test: np.ndarray) -> np.ndarray:
    """Makes one document of each digit; the same ones every time.

    The inks overlap as filters do (Beer and Lambert): reflectance = paper * (ink / paper) ** coverage, so that the
    order in which they were written leaves no trace in the picture.

    Args:
      pixels: uint8 [N, height, width], how much ink each pixel of a scan has, 0..255.
      in_test: bool [N]. A digit is overwritten by one of its own split: no scan of the test split is ever trained on.

    Returns:
      uint8 [N, SIZE, SIZE, 4]: red, green, blue, near infrared; 0..255 is reflectance 0..1.
    """
    rng = np.random.default_rng(_SEED)
    drawn = [np.asarray(Image.fromarray(scan).resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for scan in pixels]
    coverage = np.stack(drawn) / 255
    of_split = {split: np.flatnonzero(in_test == split) for split in (False, True)}
    images = np.empty((len(pixels), SIZE, SIZE, len(BANDS)), np.uint8)
    for index, text in enumerate(coverage):
        paper, ink, dye = rng.uniform(*PAPER, 3), rng.uniform(*INK, 3), rng.uniform(*INK, 3)
        upper = coverage[rng.choice(of_split[bool(in_test[index])])]
        down, right = SHIFT_PIXELS + rng.integers(-SHIFT_PIXELS, SHIFT_PIXELS + 1, 2)
        upper = np.pad(upper, SHIFT_PIXELS)[down : down + SIZE, right : right + SIZE]
        in_dye_ink = rng.random() < DYE_SHARE
        visible = _inked(paper, ink, text)
        infrared = np.full_like(text, PAPER_NIR)
        if not in_dye_ink:
            visible = visible * _inked(paper, dye, upper) / paper
            infrared = _inked(np.array([PAPER_NIR]), np.array([CARBON_NIR]), text)[..., 0]
        seen = np.concatenate([visible, infrared[..., None]], axis=-1)
        seen = seen + rng.normal(0, NOISE, seen.shape)
        images[index] = np.round(np.clip(seen, 0, 1) * 255)
    return images


def write_tiff(path: Path, image: np.ndarray) -> None:
    """Writes one document; ordinary viewers show its colours, and GDAL's tag names its four bands.

    Args:
      path: the file.
      image: uint8 [height, width, 4].
    """
    import tifffile  # Most of a second to import.

    names = "".join(
        f'<Item name="DESCRIPTION" sample="{place}" role="description">{escape(name)}</Item>'
        for place, name in enumerate(BANDS)
    )
    tifffile.imwrite(
        path,
        image,
        photometric="rgb",
        extrasamples=["unspecified"],
        metadata=None,
        extratags=[(_GDAL_METADATA, "s", 0, f"<GDALMetadata>{names}</GDALMetadata>", True)],
    )


def _inked(paper: np.ndarray, ink: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """Reflectance [height, width, bands] of ink [bands] on paper [bands], where it covers [height, width], 0..1."""
    return paper * (ink / paper) ** coverage[..., None]

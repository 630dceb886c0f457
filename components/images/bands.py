"""Decides whether a file's channels are bands, and finds the names that the file gives them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from tifffile import EXTRASAMPLE, PHOTOMETRIC, TiffPage

from restem.images.config import GREY, RGB
from restem.images.formats.tiff import open_tiff
from restem.images.header import Header

_GDAL_METADATA = 42112  # the TIFF tag in which GDAL, and therefore rasterio, stores band names
_MOST_LETTERS = 1 << 16  # in that tag
_ORDINARY = {1: GREY, 3: RGB}
_WITH_ALPHA = (2, 4)  # channels


@dataclass(frozen=True)
class Bands:
    """The names of a file's channels in order.

    as_alpha: the file marks the last channel as alpha, but it contains image data.
    """

    names: tuple[str, ...]
    as_alpha: bool = False


def find_bands(data: bytes, header: Header, read: Callable[[], np.ndarray]) -> Bands | None:
    """A file's bands; None if its channels are grey or RGB, with or without alpha.

    A TIFF file may name them (GDAL's metadata), or say that the channels after RGB are not alpha. A `.npy` array does
    not describe its channels, and alpha is not expected in it. Channels without a name are called band_1 and so on.
    A channel marked as alpha is not always alpha: by default GDAL marks the fourth channel this way, even if it is
    near infrared, and four-channel images from microscopes are stored as PNG files.

    Args:
      data: the whole file.
      header: the result of `probe`.
      read: returns the file's pixels, [height, width, channels]; called only if the alpha values must be checked.
    """
    count = header.channels
    if header.format == "NPY":
        return Bands(_numbered(count)) if count not in _ORDINARY else None
    if header.format != "TIFF":
        return _in_alpha(count, read)
    with open_tiff(data) as file:
        page = file.pages.first
        named = _gdal_names(_text(page, _GDAL_METADATA), count)
        rgb = page.photometric == PHOTOMETRIC.RGB
        extra = tuple(page.extrasamples)
    if len(set(named)) == count:
        return None if named == _ORDINARY.get(count) else Bands(named)
    if header.pages == 1:
        if count in _ORDINARY or (count in _WITH_ALPHA and extra == (EXTRASAMPLE.ASSOCALPHA,)):
            return None
        if count in _WITH_ALPHA and extra == (EXTRASAMPLE.UNASSALPHA,):
            return _in_alpha(count, read)
    return Bands((*RGB, *_numbered(count)[len(RGB) :]) if rgb else _numbered(count))


def _in_alpha(count: int, read: Callable[[], np.ndarray]) -> Bands | None:
    """Bands if the last channel is not really alpha. Most alpha pixels are fully transparent or fully opaque."""
    if count not in _WITH_ALPHA:
        return None
    alpha = read()[..., -1]
    if np.mean((alpha == alpha.min()) | (alpha == alpha.max())) >= 0.5:
        return None
    return Bands((*RGB, "band_4") if count == 4 else _numbered(count), as_alpha=True)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"band_{place}" for place in range(1, count + 1))


def _text(page: TiffPage, code: int) -> str:
    """A tag's text; empty if the tag is missing or damaged."""
    try:
        value = page.tags[code].value
    except Exception:  # tifffile may raise anything on damaged bytes
        return ""
    return value if isinstance(value, str) else ""


def _gdal_names(text: str, count: int) -> tuple[str, ...]:
    """The band names in GDAL's XML; empty if it does not name all of them."""
    if len(text) > _MOST_LETTERS or "<!" in text:  # GDAL writes no declarations; entities could expand without limit.
        return ()
    try:
        items = ElementTree.fromstring(text).iter("Item")  # noqa: S314 - without declarations there are no entities
    except ElementTree.ParseError:
        return ()
    found = {
        item.get("sample"): _as_name(item.text or "") for item in items if item.get("name", "").upper() == "DESCRIPTION"
    }
    names = tuple(found.get(str(place), "") for place in range(count))
    return names if all(names) else ()


def _as_name(text: str) -> str:
    """The name as image.bands and the stem accept it: lower-case letters, digits and _ . + -."""
    name = re.sub(r"[^a-z0-9_.+-]+", "_", text.strip().lower()).strip("_.+-")
    return "grey" if name == "gray" else name

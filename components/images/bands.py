"""Whether a file's channels are bands, and what they are called, as far as the file tells."""

import re
from xml.etree import ElementTree

from tifffile import EXTRASAMPLE, PHOTOMETRIC, TiffPage

from components.images.config import GREY, MAX_BANDS, RGB
from components.images.probe import Header
from components.images.tiff import open_tiff

_GDAL_METADATA = 42112  # the TIFF tag in which GDAL, and with it rasterio, keeps the names of bands
_MOST_LETTERS = 1 << 16  # of that tag
_ORDINARY = {1: GREY, 3: RGB}


def find_bands(data: bytes, header: Header) -> tuple[str, ...] | None:
    """The names of a file's channels where they are bands; None where they are grey, or RGB, with or without alpha.

    TIFF files may name them (GDAL's metadata), or say that the channels behind RGB are not alpha; `.npy` arrays say
    nothing of their channels, and alpha is not expected in them. Channels without a name are called band_1 and so on.

    Args:
      data: the whole file.
      header: what `probe` says of it.
    """
    count = header.channels
    if header.format not in ("TIFF", "NPY") or count > MAX_BANDS:
        return None
    numbered = tuple(f"band_{place}" for place in range(1, count + 1))
    if header.format == "NPY":
        return numbered if count not in _ORDINARY else None
    with open_tiff(data) as file:
        page = file.pages.first
        named = _gdal_names(_text(page, _GDAL_METADATA), count)
        rgb = page.photometric == PHOTOMETRIC.RGB
        extra = [EXTRASAMPLE.UNASSALPHA, EXTRASAMPLE.ASSOCALPHA]
        alpha = len(page.extrasamples) == 1 and page.extrasamples[0] in extra
    if len(set(named)) == count:
        return None if named == _ORDINARY.get(count) else named
    if header.pages == 1 and (count in _ORDINARY or (alpha and count in (2, 4))):
        return None
    return (*RGB, *numbered[len(RGB) :]) if rgb else numbered


def _text(page: TiffPage, code: int) -> str:
    """A tag's text; empty where there is none, or a damaged one."""
    try:
        value = page.tags[code].value
    except Exception:  # whatever damaged bytes lead tifffile to
        return ""
    return value if isinstance(value, str) else ""


def _gdal_names(text: str, count: int) -> tuple[str, ...]:
    """The names of the bands in GDAL's XML; empty where it does not name each of them."""
    if len(text) > _MOST_LETTERS or "<!" in text:  # GDAL writes no declarations; entities could blow the text up.
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
    """As image.bands and the stem take it: small letters, digits and _ . + -."""
    name = re.sub(r"[^a-z0-9_.+-]+", "_", text.strip().lower()).strip("_.+-")
    return "grey" if name == "gray" else name

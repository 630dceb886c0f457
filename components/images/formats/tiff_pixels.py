"""The pixels of a TIFF: strips and tiles are decoded one after the other into the result.

So a file takes little more memory than its bytes and its pixels, whatever its layout, colours and orientation.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import tifffile
from tifffile import EXTRASAMPLE, PHOTOMETRIC

from restem.images.formats import ycbcr
from restem.images.formats.depth import to_full_range
from restem.images.formats.orientation import upright, upside_back
from restem.images.formats.rows import blocks, by_rows

CMYK = 4  # samples
_PALETTE_SHIFT, _PALETTE_8_BITS = 8, 255  # A colour map has 16 bits per colour.

# A decoded strip or tile [depth, height, width, samples], None if it is empty; and its first sample plane, depth, row
# and column.
_Piece = tuple[np.ndarray | None, tuple[int, int, int, int]]


def read_pages(data: bytes, pages: list[tifffile.TiffPage], orientation: int) -> np.ndarray:
    """The pixels [height, width, channels] of pages with one size and type, upright.

    Uncompressed pixels that need no conversion are a view of `data`.

    Args:
      data: the whole file.
      pages: checked by `restem.images.formats.tiff`.
      orientation: 1 to 8.

    Raises:
      Exception: the file is damaged.
    """
    page = pages[0]
    pieces = _pieces(data, page)
    planes, depth, height, width, samples = page.shaped
    if len(pages) * planes * depth == 1:
        first, _ = next(pieces)
        if first is not None and first.shape == (1, height, width, samples):
            whole = first[0]
            del first, pieces
            return upright(_converted(whole, page), orientation)
        pieces = _pieces(data, page)
    # Planes have one sample of a pixel each, so they are converted when all of them are there.
    by_plane = planes > 1 and _mixes_samples(page)
    kind, channels = (_stored_type(page), planes * samples) if by_plane else _result(page, planes * samples)
    shape = (width, height) if orientation >= 5 else (height, width)
    result = np.empty((*shape, len(pages) * depth, channels), kind)
    target = upside_back(result, orientation)
    for number, one in enumerate(pages):
        for piece, (plane, layer, row, column) in pieces if number == 0 else _pieces(data, one):
            chosen = slice(plane, plane + 1) if planes > 1 else slice(None)
            if piece is None:
                size = page.tiledepth if page.is_tiled else 1, *_segment_size(page)
                piece = np.broadcast_to(np.asarray(one.nodata, _stored_type(page)), (*size, samples))
            piece = piece[: depth - layer, : height - row, : width - column]
            for offset, values in enumerate(piece):
                at = number * depth + layer + offset
                for start, part in blocks(values):
                    rows = slice(row + start, row + start + len(part))
                    shown = part if by_plane else _converted(part, page)
                    target[rows, column : column + part.shape[1], at, chosen] = shown
    if by_plane:
        result = by_rows(lambda rows: _converted(rows, page), result, *_result(page, channels))
    return result.reshape(*shape, -1)


def read_luma(data: bytes, pages: list[tifffile.TiffPage]) -> np.ndarray:
    """The same for pages with luma and colour differences that are not JPEG."""
    arrays = [ycbcr.read_page(data, page, page.index) for page in pages]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, -1)


def _pieces(data: bytes, page: tifffile.TiffPage) -> Iterator[_Piece]:
    """All strips or tiles of a page."""
    if page.is_contiguous or page.jpegheader is not None:
        for plane, values in enumerate(_at_once(data, page)):
            yield values, (plane, 0, 0, 0)
        return
    decode = page.decode
    tables = {"jpegtables": page.jpegtables} if page.jpegtables is not None else {}
    for index in range(math.prod(page.chunked)):
        start, count = (
            (page.dataoffsets[index], page.databytecounts[index]) if index < len(page.dataoffsets) else (0, 0)
        )
        stored = memoryview(data)[start : start + count] if start > 0 and count > 0 else None
        segment, (plane, layer, row, column, _), _ = decode(stored, index, _fullsize=False, **tables)
        yield segment, (plane, layer, row, column)


def _at_once(data: bytes, page: tifffile.TiffPage) -> np.ndarray:
    """A page [planes, depth, height, width, samples] that is one run of bytes in the file, or one JPEG (NDPI)."""
    stored = _stored_type(page).newbyteorder(page.parent.byteorder)
    if not page.is_contiguous or page.is_subsampled or page.predictor != 1 or page.fillorder != 1:
        return page.asarray(squeeze=False, maxworkers=1)
    return np.frombuffer(data, stored, math.prod(page.shaped), page.dataoffsets[0]).reshape(page.shaped)


def _segment_size(page: tifffile.TiffPage) -> tuple[int, int]:
    return (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)


def _stored_type(page: tifffile.TiffPage) -> np.dtype:
    assert page._dtype is not None
    return np.dtype(page._dtype.char)


def _bits(page: tifffile.TiffPage) -> int:
    bits = page.bitspersample
    return max(bits) if isinstance(bits, tuple) else int(bits)


def _mixes_samples(page: tifffile.TiffPage) -> bool:
    """Whether a pixel's result depends on several of its samples."""
    return page.photometric == PHOTOMETRIC.SEPARATED or _has_associated_alpha(page)


def _has_associated_alpha(page: tifffile.TiffPage) -> bool:
    return tuple(page.extrasamples) == (EXTRASAMPLE.ASSOCALPHA,) and page.photometric != PHOTOMETRIC.MINISWHITE


def _result(page: tifffile.TiffPage, samples: int) -> tuple[np.dtype, int]:
    """Type and channels of `_converted`."""
    kind = _stored_type(page)
    if page.photometric == PHOTOMETRIC.PALETTE:
        return np.dtype(np.uint8), 3 * samples
    if page.photometric == PHOTOMETRIC.SEPARATED:
        return np.dtype(np.uint8), samples // CMYK * 3
    return np.dtype(np.uint8) if kind == np.bool_ else kind, samples


def _converted(stored: np.ndarray, page: tifffile.TiffPage) -> np.ndarray:
    """Converts stored numbers to pixels: colour map to RGB, ink to light, few bits to 8 or 16.

    [height, width, samples] -> [height, width, channels]; values that need no conversion are returned unchanged.
    """
    kind = _stored_type(page)
    steps = []
    if page.photometric == PHOTOMETRIC.PALETTE:
        steps.append(_through_palette(page))
    elif kind == np.bool_:
        steps.append(lambda rows: rows.astype(np.bool_).view(np.uint8) * np.uint8(255))
    elif kind in (np.uint8, np.uint16) and _bits(page) < 8 * kind.itemsize:
        most = 2 ** _bits(page) - 1
        steps.append(lambda rows: to_full_range(rows, most))
    if kind in (np.uint8, np.uint16, np.bool_) and page.photometric != PHOTOMETRIC.PALETTE:
        white = np.iinfo(np.uint8 if kind == np.bool_ else kind).max
        if page.photometric == PHOTOMETRIC.MINISWHITE:
            steps.append(lambda rows: white - rows)
        elif _has_associated_alpha(page):
            steps.append(lambda rows: _colours_alone(rows, page.samplesperpixel))
        elif page.photometric == PHOTOMETRIC.SEPARATED:
            steps.append(_light)
    if not steps:
        return stored if stored.dtype == kind else by_rows(lambda rows: rows, stored, kind)

    def convert(rows: np.ndarray) -> np.ndarray:
        rows = rows.astype(kind, copy=False)
        for step in steps:
            rows = step(rows)
        return rows

    return by_rows(convert, stored, *_result(page, stored.shape[-1]))


def _through_palette(page: tifffile.TiffPage) -> Callable[[np.ndarray], np.ndarray]:
    colours = np.asarray(page.colormap)
    # Some programs write 8 bits there. libtiff, too, takes a map for one of 8 bits if no value is larger.
    if colours.max(initial=0) > _PALETTE_8_BITS:
        colours = colours >> _PALETTE_SHIFT
    table = np.ascontiguousarray(colours.astype(np.uint8).T)
    last = len(table) - 1
    return lambda rows: table[np.minimum(rows, last)].reshape(*rows.shape[:-1], -1)


def _light(ink: np.ndarray) -> np.ndarray:
    """Cyan, magenta, yellow, black -> red, green, blue."""
    light = 255 - ink.astype(np.uint32).reshape(*ink.shape[:-1], -1, CMYK)
    rgb = (light[..., :3] * light[..., 3:] + 127) // 255
    return rgb.astype(np.uint8).reshape(*ink.shape[:-1], -1)


def _colours_alone(pixels: np.ndarray, samples: int) -> np.ndarray:
    """Divides colours by associated alpha (TIFF 6.0, 18: colours are stored premultiplied); black at alpha 0."""
    top = np.iinfo(pixels.dtype).max
    stored = pixels.reshape(*pixels.shape[:-1], -1, samples).astype(np.uint32)
    colours, alpha = stored[..., :-1], stored[..., -1:]
    whole = np.minimum((colours * top + alpha // 2) // np.maximum(alpha, 1), top)
    return np.concatenate([whole * (alpha > 0), alpha], -1).astype(pixels.dtype).reshape(pixels.shape)

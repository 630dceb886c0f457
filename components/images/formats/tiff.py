"""TIFF: any number of bands, 1 to 16 bits, floating point, pages as bands. tifffile reads it; TensorFlow does not.

The meaning of pages in OME or ImageJ files is ignored: the first page and the following pages with the same size and
type are used in file order, and each of their samples is a channel.
"""

import contextlib
import io
import logging
import operator
import struct
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC

from restem.images.formats import ycbcr
from restem.images.formats.jpeg import frame
from restem.images.formats.lzw import check_lzw
from restem.images.formats.tiff_pixels import CMYK, read_luma, read_pages
from restem.images.formats.tiff_work import check_directories, check_segments
from restem.images.formats.work import check_jpeg
from restem.images.header import Header, UnreadableImage, damaged, in_brackets, incomplete, needs_range
from restem.images.nodata import declared_value

# Our error gives the reason for a damaged file; tifffile would log one line after another.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

_REDUCED = 1  # bit of the tag NewSubfileType
_DNG_VERSION = 50706
_CR2 = b"CR"  # behind the first 8 bytes of Canon's raw files
_RAW = {32803, 34892}  # photometric interpretations of sensor data: a colour filter array, linear raw
_ORIENTATION = 274
_GDAL_NODATA = 42113  # GDAL's tag: a number as text
_BITS_REVERSED = 2  # value of the tag FillOrder
_GREY = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE)
_MAX_PAGES = 1024
# With these, a strip or tile decodes to the size in the file's header, or fails.
_STREAMS = {
    COMPRESSION.NONE,
    COMPRESSION.CCITTRLE,
    COMPRESSION.CCITTFAX3,
    COMPRESSION.CCITTFAX4,
    COMPRESSION.LZW,
    COMPRESSION.ADOBE_DEFLATE,
    COMPRESSION.DEFLATE,
    COMPRESSION.PACKBITS,
    COMPRESSION.LZMA,
    COMPRESSION.ZSTD,
}
# With these, each strip or tile is a complete file with its own header. Pillow reads all of these headers except LERC.
_FILES = {
    COMPRESSION.JPEG,
    COMPRESSION.ALT_JPEG,
    COMPRESSION.JPEG_LOSSY,
    COMPRESSION.JPEG2000,
    COMPRESSION.APERIO_JP2000_RGB,
    COMPRESSION.PNG,
    COMPRESSION.WEBP,
    COMPRESSION.LERC,
}
_JPEG = (COMPRESSION.JPEG, COMPRESSION.ALT_JPEG, COMPRESSION.JPEG_LOSSY)
_LERC = struct.Struct("<6s4x4xII")  # The Lerc2 signature, version and checksum, rows and columns.


def tiff_header(data: bytes, max_pixels: int) -> Header:
    """Reads the header from the first directory; no pixel is decoded.

    Args:
      data: the whole file.
      max_pixels: larger tiles are refused, even if the image inside them is small.

    Raises:
      UnreadableImage: the file is damaged, truncated, or of an unsupported kind.
    """
    with _sentences("header is"), open_tiff(data) as file:
        pages = _first_image(file)
        page = pages[0]
        for one in pages:
            _check_segments(one, max_pixels)
            check_segments(one, len(pages), len(data))
        depth = 8 if page.photometric == PHOTOMETRIC.PALETTE else _bits(page)
        channels = 3 if page.photometric in (PHOTOMETRIC.PALETTE, PHOTOMETRIC.SEPARATED) else page.samplesperpixel
        assert page.dtype is not None  # _first_image has looked.
        # A damaged tag may hold anything.
        height, width, layers = map(operator.index, (page.imagelength, page.imagewidth, page.imagedepth * len(pages)))
        if _orientation(page) >= 5:
            height, width = width, height
        return Header(
            "TIFF",
            width,
            height,
            operator.index(channels) * layers,
            depth,
            pages=layers,
            needs_range=needs_range(page.dtype) and page.photometric != PHOTOMETRIC.PALETTE,
            in_graph=False,
            altered=_altered(page),
            nodata=_declared_nodata(page),
            whole=page.dtype.kind != "f",
        )


def read_tiff(data: bytes) -> np.ndarray:
    """The pixels [height, width, channels] in the stored type; 1 to 7 bits are scaled to 0..255, 9 to 15 to 0..65535.

    They may be a view of `data`.

    Call `tiff_header` and check the limits first.

    Raises:
      UnreadableImage: the file is damaged or truncated.
    """
    with _sentences("image data are"), open_tiff(data) as file:
        pages = _first_image(file)
        page = pages[0]
        for one in pages:
            _check_complete(one, len(data))
            _check_stored(one, data)
        if page.photometric == PHOTOMETRIC.YCBCR and page.compression not in _JPEG:
            return read_luma(data, pages)
        return read_pages(data, pages, _orientation(page))


def _altered(page: tifffile.TiffPage) -> str:
    """See `Header.altered`."""
    if page.compression in _FILES and page.compression != COMPRESSION.PNG:
        name = COMPRESSION(page.compression).name
        return f"Its compression ({name}) may have changed its values"
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        return "Its values are inverted as it is read, because white is 0 in it (MINISWHITE)"
    if page.photometric not in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB):
        return f"Its values become red, green and blue as it is read ({PHOTOMETRIC(page.photometric).name})"
    if EXTRASAMPLE.ASSOCALPHA in tuple(page.extrasamples):
        return "Its colours are divided by their alpha as it is read"
    return ""


def _declared_nodata(page: tifffile.TiffPage) -> str | None:
    """The value of GDAL's tag; None if it is missing or damaged."""
    try:
        value = page.tags[_GDAL_NODATA].value
    except Exception:  # tifffile may raise anything on damaged bytes
        return None
    return declared_value(value) if isinstance(value, str) else None


@contextlib.contextmanager
def _sentences(what: str) -> Iterator[None]:
    """Turns any error that damaged bytes cause in tifffile, its codecs or here into a sentence."""
    try:
        yield
    except UnreadableImage:
        raise
    except Exception as error:
        raise UnreadableImage(f"The TIFF file's {what} damaged ({in_brackets(error)}).") from None


@contextlib.contextmanager
def open_tiff(data: bytes) -> Iterator[tifffile.TiffFile]:
    """The file. tifffile may raise anything on damaged bytes.

    The stream is closed as well: otherwise the file's objects, which refer to each other, would keep `data` in memory.
    """
    # For formats that extend TIFF, tifffile would look for other files (OME, MMStack), or guess pages from the first
    # ones (LSM, ScanImage).
    check_directories(data)
    how: dict[str, Any] = {"is_ome": False, "is_mmstack": False, "is_lsm": False, "is_scanimage": False}
    with io.BytesIO(data) as stream, tifffile.TiffFile(stream, **how) as file:
        yield file


def _first_image(file: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """The first page and the pages after it with the same size and type. tifffile parses each page on access."""
    _refuse_camera_raw(file)
    first = _full_page(file)
    page = file.pages[first]
    assert isinstance(page, tifffile.TiffPage)
    kind = (page.shaped, page.dtype, page.photometric)
    pages = [page]
    while len(pages) < _MAX_PAGES:
        try:
            other = file.pages[first + len(pages)]
        except IndexError:
            _check_last(file, pages[-1].offset)
            break
        assert isinstance(other, tifffile.TiffPage)  # Frames come only where they are asked for.
        if (other.shaped, other.dtype, other.photometric) != kind:
            break
        pages.append(other)
    if page.dtype is None or page.dtype.kind not in "buif":
        raise UnreadableImage(f"TIFF files with {page.bitspersample} bits per channel of this type are not supported.")
    _check_colours(page)
    return pages


def _full_page(file: tifffile.TiffFile) -> int:
    """The number of the first page that is not a reduced image, such as a thumbnail; 0 if all are."""
    for number in range(_MAX_PAGES):
        try:
            page = file.pages[number]
        except IndexError:
            break
        assert isinstance(page, tifffile.TiffPage)  # Frames come only where they are asked for.
        if not page.tags.valueof(254, 0) & _REDUCED:
            return number
    return 0


def _refuse_camera_raw(file: tifffile.TiffFile) -> None:
    """Refuses sensor data in a TIFF: their first page is only a small preview.

    Raises:
      UnreadableImage: it is a camera's raw file.
    """
    page = file.pages.first
    file.filehandle.seek(8)
    raw = file.filehandle.read(2) == _CR2 or _DNG_VERSION in page.tags or operator.index(page.photometric) in _RAW
    if not raw and page.subifds:
        try:
            raw = any(operator.index(getattr(one, "photometric", 0)) in _RAW for one in page.pages or ())
        except Exception:  # of damaged directories
            raw = False
    if raw:
        raise UnreadableImage(
            "It is a camera's raw file (DNG, NEF, CR2, ARW and others are TIFF files with sensor data): develop it, "
            "and save it as TIFF or PNG."
        )


def _check_last(file: tifffile.TiffFile, directory: int) -> None:
    """Refuses a file whose chain of pages continues although tifffile found no more pages.

    Raises:
      UnreadableImage: the last directory that was found refers to another one.
    """
    form, handle = file.tiff, file.filehandle
    handle.seek(directory)
    (tags,) = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))
    handle.seek(directory + form.tagnosize + tags * form.tagsize)
    if struct.unpack(form.offsetformat, handle.read(form.offsetsize)) != (0,):
        raise UnreadableImage(incomplete("TIFF"))


def _check_colours(page: tifffile.TiffPage) -> None:
    kind, samples = page.photometric, operator.index(page.samplesperpixel)
    if kind == PHOTOMETRIC.YCBCR and page.compression not in _JPEG and (why := ycbcr.unsupported(page)) is not None:
        raise UnreadableImage(f"TIFF files with YCbCr colours and {why} are not supported: save it as RGB.")
    known = (
        kind in _GREY
        or (kind == PHOTOMETRIC.RGB and samples >= 3)
        or (kind == PHOTOMETRIC.PALETTE and samples == 1 and page.colormap is not None)
        or (kind == PHOTOMETRIC.SEPARATED and samples == CMYK and page.dtype == np.uint8)
        or kind == PHOTOMETRIC.YCBCR
    )
    if not known:
        name = getattr(kind, "name", operator.index(kind))
        raise UnreadableImage(f"TIFF files with {name} colours in {samples} channel(s) are not supported.")


def _check_complete(page: tifffile.TiffPage, size: int) -> None:
    """Refuses a file with missing pixel data, because some codecs fill missing data silently."""
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if not ends or max(ends) > size or len(page.dataoffsets) != len(page.databytecounts):
        raise UnreadableImage(incomplete("TIFF"))


def _check_segments(page: tifffile.TiffPage, max_pixels: int) -> None:
    """Refuses unsupported compressions, and tiles that would decode to more than max_pixels."""
    if operator.index(page.compression) not in _STREAMS | _FILES:
        name = getattr(page.compression, "name", page.compression)
        raise UnreadableImage(f"TIFF files with {name} compression are not supported: use LZW or Deflate.")
    if page.is_tiled and page.tilelength * page.tilewidth * max(1, page.tiledepth) > max_pixels:
        raise UnreadableImage(
            f"Its tiles have {page.tilewidth} x {page.tilelength} pixels; the limit is data.max_pixels "
            f"({max_pixels:,})."
        )


def _check_stored(page: tifffile.TiffPage, data: bytes) -> None:
    """Refuses strips and tiles that are unsafe for their codecs.

    A strip or tile that is a complete file would be decoded whole, even if it is larger than the TIFF header says.
    imagecodecs may crash on damaged LZW.
    """
    lzw = page.compression == COMPRESSION.LZW
    if not lzw and page.compression not in _FILES:
        return
    if page.is_tiled:
        rows, columns = page.tilelength, page.tilewidth
    else:
        rows, columns = min(page.rowsperstrip, page.imagelength), page.imagewidth
    for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        stored = memoryview(data)[start : start + count]
        if lzw:
            # At most 12 bits for each byte; what follows is not decoded.
            stored = stored[: 2 * rows * columns * page.samplesperpixel * _bits(page) // 8 + 2**16]
            check_lzw(imagecodecs.bitorder_decode(bytes(stored)) if page.fillorder == _BITS_REVERSED else stored)
        elif stored:  # Empty strips and tiles are filled with zeros.
            if page.compression in _JPEG:
                check_jpeg(stored)
            width, height = _inner_size(bytes(stored), page.compression)
            if width > columns or height > rows:
                raise damaged("TIFF", f"a strip or tile has {width} x {height} pixels instead of {columns} x {rows}")


def _inner_size(data: bytes, compression: int) -> tuple[int, int]:
    """Width and height of a strip or tile that is a complete file."""
    if compression == COMPRESSION.LERC:
        mark, rows, columns = _LERC.unpack_from(data)
        if mark != b"Lerc2 ":
            raise ValueError("LERC of an unsupported version, or with additional compression")
        return columns, rows
    if compression in _JPEG and (found := frame(data)) is not None:
        return found[3], found[2]
    try:
        with Image.open(io.BytesIO(data)) as inner:
            return inner.size
    except Image.DecompressionBombError:
        raise ValueError("a strip or tile is larger than the image") from None
    except UnidentifiedImageError:
        raise ValueError(f"a strip or tile is not {COMPRESSION(compression).name}") from None


def _bits(page: tifffile.TiffPage) -> int:
    bits = page.bitspersample
    return max(bits) if isinstance(bits, tuple) else int(bits)


def _orientation(page: tifffile.TiffPage) -> int:
    tag = page.tags.get(_ORIENTATION)
    value = 1 if tag is None else tag.value
    return int(value) if value in range(1, 9) else 1

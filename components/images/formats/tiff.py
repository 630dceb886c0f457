"""TIFF: any number of bands, 1 to 16 bits, floating point, pages as bands. tifffile reads it; TensorFlow does not.

What the pages of a TIFF mean is not asked (OME, ImageJ): the first image and the pages of its size and type are taken
in the order in which they stand, and each of their samples is a channel.
"""

import contextlib
import io
import logging
import operator
import struct
from collections.abc import Iterator

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC

from restem.images.formats.lzw import check_lzw
from restem.images.header import Header, UnreadableImage, damaged, in_brackets, incomplete, needs_range

# What it finds odd in a damaged file is in our reason; its own log would be one line after the other.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

_PALETTE_SHIFT = 8  # A colour map has 16 bits a colour.
_CMYK = 4
_ORIENTATION = 274
_BITS_REVERSED = 2  # of the tag FillOrder
_GREY = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE)
_MAX_PAGES = 1024
# What a strip or tile becomes of these is as large as the file's header says, or an error.
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
# Of these a strip or tile is a file of its own, with a header of its own. Pillow reads all of them but LERC's.
_FILES = {
    COMPRESSION.JPEG,
    COMPRESSION.ALT_JPEG,
    COMPRESSION.JPEG2000,
    COMPRESSION.APERIO_JP2000_RGB,
    COMPRESSION.PNG,
    COMPRESSION.WEBP,
    COMPRESSION.LERC,
}
_LERC = struct.Struct("<6s4x4xII")  # Lerc2's mark, its version and checksum, rows and columns.


def tiff_header(data: bytes, max_pixels: int) -> Header:
    """What the first directory says; no pixel is decoded.

    Args:
      data: the whole file.
      max_pixels: larger tiles are refused, however small the image that is cut out of them.

    Raises:
      UnreadableImage: damaged, cut, or of a kind that is not read.
    """
    with _sentences("header is"), open_tiff(data) as file:
        pages = _first_image(file)
        page = pages[0]
        for one in pages:
            _check_segments(one, max_pixels)
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
        )


def read_tiff(data: bytes) -> np.ndarray:
    """The pixels [height, width, channels] in the type that is stored; 1 to 7 bits fill 0..255, 9 to 15 fill 0..65535.

    `tiff_header` has been asked before, and the limits have been checked.

    Raises:
      UnreadableImage: damaged or cut.
    """
    with _sentences("image data are"), open_tiff(data) as file:
        pages = _first_image(file)
        page = pages[0]
        for one in pages:
            _check_complete(one, len(data))
            _check_stored(one, data)
        stored = np.stack([one.asarray(squeeze=False, maxworkers=1) for one in pages])
        # [pages, separate samples, depth, height, width, contiguous samples]
        pixels = stored.reshape(len(pages), *page.shaped)
        pixels = pixels.transpose(3, 4, 0, 2, 1, 5).reshape(page.imagelength, page.imagewidth, -1)
        return _turned(_in_full_range(pixels, page), _orientation(page))


@contextlib.contextmanager
def _sentences(what: str) -> Iterator[None]:
    """Refuses a file with a sentence where damaged bytes lead tifffile, its codecs or us to whatever error."""
    try:
        yield
    except UnreadableImage:
        raise
    except Exception as error:
        raise UnreadableImage(f"The TIFF file's {what} damaged ({in_brackets(error)}).") from None


def open_tiff(data: bytes) -> tifffile.TiffFile:
    """The file, to be closed by the caller; raises whatever damaged bytes lead tifffile to."""
    # Formats that are TIFF with something else beside it would be looked up in other files (OME, MMStack), or have
    # pages that are guessed from the first ones (LSM, ScanImage).
    return tifffile.TiffFile(io.BytesIO(data), is_ome=False, is_mmstack=False, is_lsm=False, is_scanimage=False)


def _first_image(file: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """The first page, and those behind it that have its size and type: a file parses a page whenever it is asked."""
    page = file.pages.first
    kind = (page.shaped, page.dtype, page.photometric)
    pages = [page]
    while len(pages) < _MAX_PAGES:
        try:
            other = file.pages[len(pages)]
        except IndexError:
            _check_last(file, pages[-1].offset)
            break
        assert isinstance(other, tifffile.TiffPage)  # Frames come only where they are asked for.
        if (other.shaped, other.dtype, other.photometric) != kind:
            break
        pages.append(other)
    if page.dtype is None or page.dtype.kind not in "buif":
        raise UnreadableImage(f"TIFF files of {page.bitspersample} bits a channel in this form are not read.")
    _check_colours(page)
    return pages


def _check_last(file: tifffile.TiffFile, directory: int) -> None:
    """Refuses a file whose chain of pages goes on where tifffile has found no more of them.

    Raises:
      UnreadableImage: the directory there, the last that was found, names another one.
    """
    form, handle = file.tiff, file.filehandle
    handle.seek(directory)
    (tags,) = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))
    handle.seek(directory + form.tagnosize + tags * form.tagsize)
    if struct.unpack(form.offsetformat, handle.read(form.offsetsize)) != (0,):
        raise UnreadableImage(incomplete("TIFF"))


def _check_colours(page: tifffile.TiffPage) -> None:
    kind, samples = page.photometric, operator.index(page.samplesperpixel)
    known = (
        kind in _GREY
        or (kind == PHOTOMETRIC.RGB and samples >= 3)
        or (kind == PHOTOMETRIC.PALETTE and samples == 1 and page.colormap is not None)
        or (kind == PHOTOMETRIC.SEPARATED and samples == _CMYK and page.dtype == np.uint8)
        or (kind == PHOTOMETRIC.YCBCR and page.compression in (COMPRESSION.JPEG, COMPRESSION.ALT_JPEG))
    )
    if not known:
        name = getattr(kind, "name", operator.index(kind))
        raise UnreadableImage(f"TIFF files with colours as {name} in {samples} channel(s) are not read.")


def _check_complete(page: tifffile.TiffPage, size: int) -> None:
    """Refuses a file that ends before its pixels do: some codecs fill what is missing without a word."""
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if not ends or max(ends) > size or len(page.dataoffsets) != len(page.databytecounts):
        raise UnreadableImage(incomplete("TIFF"))


def _check_segments(page: tifffile.TiffPage, max_pixels: int) -> None:
    """Refuses strips and tiles that would become more than the image that is cut out of them."""
    if operator.index(page.compression) not in _STREAMS | _FILES:
        name = getattr(page.compression, "name", page.compression)
        raise UnreadableImage(f"TIFF files with {name} compression are not read: compress it with LZW or Deflate.")
    if page.is_tiled and page.tilelength * page.tilewidth * max(1, page.tiledepth) > max_pixels:
        raise UnreadableImage(
            f"Its tiles have {page.tilewidth} x {page.tilelength} pixels; more than data.max_pixels ({max_pixels:,}) "
            "are refused."
        )


def _check_stored(page: tifffile.TiffPage, data: bytes) -> None:
    """Refuses strips and tiles that their codecs must not see.

    Files of their own with another size than the TIFF's header says would be decoded whole, and imagecodecs does not
    survive all damaged LZW.
    """
    lzw = page.compression == COMPRESSION.LZW
    if not lzw and page.compression not in _FILES:
        return
    if page.is_tiled:
        rows, columns = page.tilelength, page.tilewidth
    else:
        rows, columns = min(page.rowsperstrip, page.imagelength), page.imagewidth
    for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        stored = data[start : start + count]
        if lzw:
            check_lzw(imagecodecs.bitorder_decode(stored) if page.fillorder == _BITS_REVERSED else stored)
        elif stored:  # What is left out is filled with zeros.
            width, height = _inner_size(stored, page.compression)
            if width > columns or height > rows:
                raise damaged("TIFF", f"{width} x {height} pixels are where {columns} x {rows} should be")


def _inner_size(data: bytes, compression: int) -> tuple[int, int]:
    """Width and height of a strip or tile that is a file of its own."""
    if compression == COMPRESSION.LERC:
        mark, rows, columns = _LERC.unpack_from(data)
        if mark != b"Lerc2 ":
            raise ValueError("LERC of another version, or compressed once more")
        return columns, rows
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


def _in_full_range(pixels: np.ndarray, page: tifffile.TiffPage) -> np.ndarray:
    """What the numbers mean: through the colour map, from ink to light, and from few bits to 8 or 16."""
    if page.photometric == PHOTOMETRIC.PALETTE:
        colours = (np.asarray(page.colormap) >> _PALETTE_SHIFT).astype(np.uint8)
        indices = np.minimum(pixels.astype(np.int64), colours.shape[1] - 1)
        return colours.T[indices].reshape(*pixels.shape[:2], -1)
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    elif pixels.dtype in (np.uint8, np.uint16) and _bits(page) < 8 * pixels.dtype.itemsize:
        top, most = np.iinfo(pixels.dtype).max, 2 ** _bits(page) - 1
        pixels = ((pixels.astype(np.uint64) * top + most // 2) // most).astype(pixels.dtype)
    if page.photometric == PHOTOMETRIC.MINISWHITE and pixels.dtype in (np.uint8, np.uint16):
        return np.iinfo(pixels.dtype).max - pixels
    if tuple(page.extrasamples) == (EXTRASAMPLE.ASSOCALPHA,) and pixels.dtype in (np.uint8, np.uint16):
        return _colours_alone(pixels, page.samplesperpixel)
    if page.photometric == PHOTOMETRIC.SEPARATED:
        light = 255 - pixels.astype(np.uint32).reshape(*pixels.shape[:2], -1, _CMYK)
        rgb = (light[..., :3] * light[..., 3:] + 127) // 255
        return rgb.astype(np.uint8).reshape(*pixels.shape[:2], -1)
    return pixels


def _colours_alone(pixels: np.ndarray, samples: int) -> np.ndarray:
    """Associated alpha (TIFF 6.0, 18: colours stand multiplied by it) -> colours as they are; black at alpha 0."""
    top = np.iinfo(pixels.dtype).max
    stored = pixels.reshape(*pixels.shape[:2], -1, samples).astype(np.uint32)
    colours, alpha = stored[..., :-1], stored[..., -1:]
    whole = np.minimum((colours * top + alpha // 2) // np.maximum(alpha, 1), top)
    return np.concatenate([whole * (alpha > 0), alpha], -1).astype(pixels.dtype).reshape(pixels.shape)


def _orientation(page: tifffile.TiffPage) -> int:
    tag = page.tags.get(_ORIENTATION)
    value = 1 if tag is None else tag.value
    return int(value) if value in range(1, 9) else 1


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """TIFF 6.0's tag Orientation, numbered like EXIF's."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels

"""TIFF files with luma and colour differences, as digital cameras and scanners write them, without JPEG compression.

tifffile gives the stored numbers, and no subsampled ones. Pillow's libtiff converts both to RGB, with the coefficients
and ranges that the file names (TIFF 6.0, 20 and 21).
"""

import io

import imagecodecs
import numpy as np
import tifffile
from PIL import ImageFile
from PIL.TiffImagePlugin import TiffImageFile
from tifffile import COMPRESSION

from restem.images.formats.pillow import in_blocks
from restem.images.header import UnreadableImage, incomplete

# The compressions for which `check_segments` knows how long a strip or tile must be.
_DECODERS = {
    COMPRESSION.NONE: None,
    COMPRESSION.LZW: imagecodecs.lzw_decode,
    COMPRESSION.ADOBE_DEFLATE: imagecodecs.zlib_decode,
    COMPRESSION.DEFLATE: imagecodecs.zlib_decode,
    COMPRESSION.PACKBITS: imagecodecs.packbits_decode,
}
_SAMPLES = 3
_FACTORS = (1, 2, 4)


def unsupported(page: tifffile.TiffPage) -> str | None:
    """What a page has that is not read; None if all of it is.

    With a predictor, the differences would be between values of different kinds; TIFF 6.0 has no YCbCr of 16 bits.
    """
    if page.samplesperpixel != _SAMPLES:
        return f"{page.samplesperpixel} channels"
    if page.dtype != np.uint8 or page.bitspersample != 8:
        return f"{page.bitspersample} bits per channel"
    if page.planarconfig != 1:
        return "each channel in a plane of its own"
    if page.predictor != 1:
        return "a predictor"
    if page.compression not in _DECODERS:
        return f"{getattr(page.compression, 'name', page.compression)} compression"
    if any(factor not in _FACTORS for factor in _subsampling(page)):
        return "this subsampling"
    return None


def read_page(data: bytes, page: tifffile.TiffPage, number: int) -> np.ndarray:
    """uint8 [height, width, 3], upright.

    Args:
      data: the whole file.
      page: one of which nothing is `unsupported`.
      number: its position in the file.

    Raises:
      UnreadableImage: pixel data are missing. Otherwise anything, as Pillow does for damaged files.
    """
    _check_segments(data, page)
    with TiffImageFile(io.BytesIO(data)) as image:
        image.seek(number)
        # Pillow itself would read uncompressed data without libtiff, as if they were RGB.
        how = ("RGBX", "raw", False, page.offset)
        image.tile = [ImageFile._Tile("libtiff", (0, 0, page.imagewidth, page.imagelength), 0, how)]
        image.__dict__["use_load_libtiff"] = True  # missing in Pillow's types
        image.load()  # and turns it upright
        return in_blocks(image, "RGB")


def _subsampling(page: tifffile.TiffPage) -> tuple[int, int]:
    """How many columns and rows share a pair of colour differences. The default is 2, unlike tifffile's."""
    across, down = page.tags.valueof(530, (2, 2))
    return int(across), int(down)


def _check_segments(data: bytes, page: tifffile.TiffPage) -> None:
    """Refuses strips and tiles with too few data: libtiff would fill them silently."""
    across, down = _subsampling(page)
    for number, (start, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        if page.is_tiled:
            rows, columns = page.tilelength, page.tilewidth
        else:
            rows = min(page.rowsperstrip, page.imagelength - number * page.rowsperstrip)
            columns = page.imagewidth
        units = -(-rows // down) * -(-columns // across)
        expected = units * (across * down + 2)
        stored = data[start : start + count]
        decoder = _DECODERS[COMPRESSION(page.compression)]
        found = len(stored) if decoder is None else len(decoder(stored, out=expected))
        if found < expected:
            raise UnreadableImage(incomplete("TIFF"))

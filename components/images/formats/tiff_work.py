"""Bounds the work of reading a TIFF: its directories before tifffile reads them, its strips and tiles before they are.

tifffile makes a Python number of every entry of a tag, and decodes strips and tiles one by one, of every page. All
pages may name the same entries, so a small file can cost hours.
"""

import operator
import struct

import tifffile

from restem.images.formats.work import too_much
from restem.images.header import UnreadableImage

_MOST_DIRECTORIES = 1024
_MOST_ENTRIES = 2_000_000  # of all tags with numbers, in all directories
_TEXTS = (1, 2, 6, 7)  # types whose values stay bytes: BYTE, ASCII, SBYTE, UNDEFINED
_SUB_DIRECTORIES, _MOST_SUB_DIRECTORIES = 330, 1000
_BIG = (b"II+\0", b"MM\0+")
# A strip or tile has at least so many values on average; small images may have this many in addition.
_VALUES, _FREE_SEGMENTS = 64, 4096


def check_directories(data: bytes) -> None:
    """Refuses a file whose directories name too many numbers. Damage is left to tifffile.

    Raises:
      UnreadableImage: it has.
    """
    order = "<" if data[:1] == b"I" else ">"
    if data[:4] in _BIG:
        number, tag, offset, first = struct.Struct(order + "Q"), struct.Struct(order + "HHQ8x"), order + "Q", 8
    else:
        number, tag, offset, first = struct.Struct(order + "H"), struct.Struct(order + "HHI4x"), order + "I", 4
    entries = 0
    try:
        (at,) = struct.unpack_from(offset, data, first)
        for _ in range(_MOST_DIRECTORIES):
            if at == 0:
                return
            (tags,) = number.unpack_from(data, at)
            end = at + number.size + min(tags, len(data)) * tag.size
            for code, kind, count in tag.iter_unpack(memoryview(data)[at + number.size : end]):
                entries += 0 if kind in _TEXTS else count
                if code == _SUB_DIRECTORIES and count > _MOST_SUB_DIRECTORIES:
                    raise too_much("TIFF", "directories inside its first one", _MOST_SUB_DIRECTORIES)
            if entries > _MOST_ENTRIES:
                raise too_much("TIFF", "numbers in its tags", _MOST_ENTRIES)
            (at,) = struct.unpack_from(offset, data, end)
    except struct.error:
        return


def check_segments(page: tifffile.TiffPage, pages: int, size: int) -> None:
    """Refuses pages with more strips or tiles, or more bytes in them, than their pixels justify.

    Args:
      page: one page.
      pages: how many pages there are like this one.
      size: of the file.

    Raises:
      UnreadableImage: it has.
    """
    values = operator.index(page.imagewidth) * page.imagelength * page.imagedepth * page.samplesperpixel
    segments = max(len(page.dataoffsets), len(page.databytecounts))
    if segments * pages > _FREE_SEGMENTS + values * pages // _VALUES:
        raise UnreadableImage(
            f"The TIFF file has {segments:,} strips or tiles for {values:,} values on each of {pages:,} page"
            f"{'s'[: pages > 1]}: decoding it could take very long. Save it with larger strips."
        )
    bits = max(page.bitspersample) if isinstance(page.bitspersample, tuple) else page.bitspersample
    stored = sum(page.databytecounts)
    if stored * pages > size + 2 * pages * (values * bits // 8 + 2**16):
        raise UnreadableImage(
            f"The TIFF file's strips or tiles have {stored:,} bytes together, but the file has {size:,}: decoding it "
            "could take very long."
        )

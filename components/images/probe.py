"""The format of a file and what its header says. No pixel is decoded, so a decompression bomb costs nothing."""

from restem.images.config import MAX_BANDS
from restem.images.formats.npy import npy_header
from restem.images.formats.pillow import pillow_header
from restem.images.formats.unread import what_it_is
from restem.images.header import Header, UnreadableImage, check_bytes, damaged

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NPY_START = b"\x93NUMPY"
# A file may hold this many times data.max_pixels values, counted over all its channels.
_VALUES_A_PIXEL = 4


def probe(data: bytes, *, max_pixels: int, max_bytes: int) -> Header:
    """Reads a file's header and checks it against the limits.

    Args:
      data: the file's content, or at least its beginning up to the header's end (of a TIFF, all of it).
      max_pixels: more pixels (width x height) are refused, and more than four times as many values in all channels.
      max_bytes: longer data are refused.

    Raises:
      UnreadableImage: empty, too large, no image, of a format that is not read, or with a damaged header.
    """
    if not data:
        raise UnreadableImage("The file is empty (0 bytes).")
    check_bytes(len(data), max_bytes)
    header: Header | None
    if data.startswith(_TIFF_STARTS):
        from restem.images.formats.tiff import tiff_header  # tifffile takes most of a second to import.

        header = tiff_header(data, max_pixels)
    elif data.startswith(_NPY_START):
        header = npy_header(data)
    else:
        header = pillow_header(data)
        if header is None:
            raise UnreadableImage(what_it_is(data))
    if header.width < 1 or header.height < 1 or header.channels < 1:
        raise damaged(header.format, f"size {header.width} x {header.height}")
    if header.pixels > max_pixels:
        raise UnreadableImage(
            f"It has {header.width} x {header.height} pixels; more than data.max_pixels ({max_pixels:,}) are refused."
        )
    if header.channels > MAX_BANDS:
        raise UnreadableImage(f"It has {header.channels:,} channels; more than {MAX_BANDS} are refused.")
    if header.pixels * header.channels > max_pixels * _VALUES_A_PIXEL:
        raise UnreadableImage(
            f"It has {header.width} x {header.height} pixels in {header.channels} channels; more values than "
            f"{_VALUES_A_PIXEL} times data.max_pixels ({max_pixels:,}) are refused."
        )
    return header

"""Detects a file's format and reads its header. No pixel is decoded, so a decompression bomb costs nothing."""

from restem.images.config import MAX_BANDS, ArrayAxes
from restem.images.formats.npy import npy_header
from restem.images.formats.others import other_header
from restem.images.formats.pillow import pillow_header
from restem.images.formats.unread import what_it_is
from restem.images.header import (
    MAX_DECODED_BYTES,
    MEMORY_FACTOR,
    Header,
    UnreadableImage,
    axes_hint,
    check_bytes,
    damaged,
)

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NPY_START = b"\x93NUMPY"
# A file may have this many times data.max_pixels values in all its channels together.
_VALUES_PER_PIXEL = 4


def probe(
    data: bytes,
    *,
    max_pixels: int,
    max_bytes: int,
    max_decoded_bytes: int = MAX_DECODED_BYTES,
    array_axes: ArrayAxes = "hwc",
) -> Header:
    """Reads a file's header and checks it against the limits.

    Args:
      data: the file's content, or at least its header (for TIFF, the whole file).
      max_pixels: the limit for pixels (width x height); the limit for the values in all channels is four times this.
      max_bytes: the limit for the length of data.
      max_decoded_bytes: the limit for all values of the decoded image in memory; the limit for the memory that reading
        the file takes is 2.5 times this.
      array_axes: the axes of `.npy` arrays: height, width, channels, or channels, height, width.

    Raises:
      UnreadableImage: the file is empty, too large, not an image, in an unsupported format, or has a damaged header.
    """
    if not data:
        raise UnreadableImage("The file is empty (0 bytes).")
    check_bytes(len(data), max_bytes)
    header: Header | None
    if data.startswith(_TIFF_STARTS):
        from restem.images.formats.tiff import tiff_header  # tifffile takes most of a second to import.

        header = tiff_header(data, max_pixels)
    elif data.startswith(_NPY_START):
        header = npy_header(data, channels_first=array_axes == "chw")
    else:
        header = pillow_header(data) or other_header(data)
        if header is None:
            raise UnreadableImage(what_it_is(data))
    if header.width < 1 or header.height < 1 or header.channels < 1:
        raise damaged(header.format, f"size {header.width} x {header.height}")
    if header.pixels > max_pixels:
        raise UnreadableImage(
            f"It has {header.width} x {header.height} pixels; the limit is data.max_pixels ({max_pixels:,})."
        )
    if header.channels > MAX_BANDS:
        raise UnreadableImage(f"It has {header.channels:,} channels; the limit is {MAX_BANDS}.{axes_hint(header)}")
    if header.pixels * header.channels > max_pixels * _VALUES_PER_PIXEL:
        raise UnreadableImage(
            f"It has {header.width} x {header.height} pixels in {header.channels} channels; the limit for the values "
            f"in all channels is {_VALUES_PER_PIXEL} times data.max_pixels ({max_pixels:,})."
        )
    decoded = header.decoded_bytes
    needed, most = header.memory_bytes(len(data)), int(MEMORY_FACTOR * max_decoded_bytes)
    if decoded > max_decoded_bytes or needed > most:
        raise UnreadableImage(
            f"It has {header.width} x {header.height} pixels in {header.channels} channels of {header.value_bytes} "
            f"bytes: {decoded:,} bytes in memory; the limit is data.max_decoded_bytes ({max_decoded_bytes:,}). Reading "
            f"it takes up to {needed:,} bytes; the limit is {MEMORY_FACTOR} times data.max_decoded_bytes ({most:,})."
        )
    return header

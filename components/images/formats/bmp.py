"""BMP files with run-length encoding that the installed Pillow decodes wrongly, without an error.

Its decoder reads a literal run of an odd number of 4-bit pixels one byte too short, and aligns literal runs to the file
instead of the pixel data. https://learn.microsoft.com/windows/win32/gdi/bitmap-compression describes the encoding.
"""

import struct

from restem.images.header import UnreadableImage

_OFFSET_AT, _COMPRESSION_AT, _HEADER_BYTES = 10, 30, 34
_RLE8, _RLE4 = 1, 2
_END_OF_LINE, _END, _DELTA = 0, 1, 2


def check_bmp(data: bytes) -> None:
    """Refuses run-length encoded data that are longer than any encoding of the pixels: Pillow's decoder is slow.

    Raises:
      UnreadableImage: they are.
    """
    if len(data) < _HEADER_BYTES:
        return
    place, _, width, height = struct.unpack_from("<IIii", data, _OFFSET_AT)
    (compression,) = struct.unpack_from("<I", data, _COMPRESSION_AT)
    most = 4 * abs(width) * abs(height) + 4 * abs(height) + 2**16
    if compression in (_RLE8, _RLE4) and len(data) - place > most:
        raise UnreadableImage(
            f"The BMP file has {len(data) - place:,} bytes of runs for {abs(width)} x {abs(height)} pixels: decoding "
            "it could take very long."
        )


def check_runs(data: bytes) -> None:
    """Refuses a run-length encoded BMP that Pillow would decode wrongly.

    Raises:
      UnreadableImage: it has a literal run that Pillow does not read as it is meant.
    """
    if len(data) < _HEADER_BYTES:
        return
    (place,) = struct.unpack_from("<I", data, _OFFSET_AT)
    (compression,) = struct.unpack_from("<I", data, _COMPRESSION_AT)
    if compression not in (_RLE8, _RLE4):
        return
    start = place
    while place + 1 < len(data):
        count, value = data[place], data[place + 1]
        place += 2
        if count or value == _END_OF_LINE:
            continue
        if value == _END:
            return
        if value == _DELTA:
            place += 2
            continue
        if (compression == _RLE4 and value % 2) or start % 2:
            raise UnreadableImage(
                "The BMP file has literal runs that this version of Pillow decodes wrongly: save it as a PNG, or as an "
                "uncompressed BMP."
            )
        size = (value + 1) // 2 if compression == _RLE4 else value
        place += size + size % 2

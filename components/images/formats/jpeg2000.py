"""JPEG 2000, as a codestream (.j2k) or a JP2 file: imagecodecs (OpenJPEG) reads it."""

import struct
from collections.abc import Iterator

import imagecodecs
import numpy as np

from restem.images.formats.depth import to_full_range
from restem.images.formats.work import check_boxes
from restem.images.header import LOSSY, Header, UnreadableImage

_CODESTREAM = b"\xff\x4f\xff\x51"
_SIZE = struct.Struct(">4x4x8IH")  # SOC and SIZ, Lsiz and Rsiz; corners and tiles; the number of components
_COMPONENT = struct.Struct(">BBB")
_SOC = b"\xff\x4f"
_SEGMENT, _COD = struct.Struct(">HH"), struct.Struct(">HH10B")  # the marker and the segment's length
_COD_MARKER, _SOT_MARKER, _REVERSIBLE = 0xFF52, 0xFF90, 1
_SIGNED = 0x80
_MOST_BITS = 16
_MOST_COMPONENTS = 4  # grey or RGB, with or without alpha
_SRGB, _GREYSCALE = 16, 17  # enumerated colour spaces in a JP2 file
_ENUMERATED = 1
_LEAST_TILE = 1024  # pixels; programs use 256 x 256 and more


def codestream_size(data: bytes, at: int = 0) -> tuple[int, int, tuple[int, ...]]:
    """Width, height, and the depth of each component, negative if signed, from a codestream's marker SIZ.

    Raises:
      UnreadableImage: components have fewer pixels than the image, or different depths.
      ValueError, struct.error: this is not a codestream.
    """
    if data[at : at + 4] != _CODESTREAM:
        raise ValueError("there is no codestream")
    x1, y1, x0, y0, across, down, *_, components = _SIZE.unpack_from(data, at)
    if not 0 < components <= 16384:
        raise ValueError(f"{components} components")
    if across * down < _LEAST_TILE and (x1 > across or y1 > down):
        raise UnreadableImage(
            f"The JPEG 2000 file has tiles of {across} x {down} pixels: decoding it could take very long."
        )
    parts = [_COMPONENT.unpack_from(data, at + _SIZE.size + 3 * place) for place in range(components)]
    if any((across, down) != (1, 1) for _, across, down in parts):
        raise UnreadableImage("JPEG 2000 files with reduced colour channels are not supported: convert it to PNG.")
    depths = tuple((-1 if depth & _SIGNED else 1) * ((depth & ~_SIGNED) + 1) for depth, _, _ in parts)
    return x1 - x0, y1 - y0, depths


def header(data: bytes) -> Header:
    """The header of a file with 1 to 4 components of 1 to 16 bits.

    Raises:
      UnreadableImage: it is of another kind.
      ValueError, struct.error: it is damaged.
    """
    at = 0 if data.startswith(_CODESTREAM) else _check_jp2(data)
    width, height, depths = codestream_size(data, at)
    if len(set(depths)) > 1 or not 0 < depths[0] <= _MOST_BITS:
        raise UnreadableImage(
            "JPEG 2000 files must have unsigned values with up to 16 bits, the same in each channel; it has "
            + ", ".join(f"{abs(depth)} bits{' signed' if depth < 0 else ''}" for depth in depths[:_MOST_COMPONENTS])
            + "."
        )
    if len(depths) > _MOST_COMPONENTS:
        raise UnreadableImage(f"JPEG 2000 files with {len(depths)} channels are not supported: convert it to TIFF.")
    altered = "" if _is_reversible(data, at) else LOSSY.format("JPEG 2000 file")
    return Header("JPEG2000", width, height, len(depths), depths[0], in_graph=False, altered=altered)


def _is_reversible(data: bytes, at: int) -> bool:
    """Whether the codestream's first marker COD names the reversible wavelet (ITU-T T.800, A.6.1), as Sentinel-2 does.

    A file may still lack its last bits; then it has no exact values, and nothing in it says so.
    """
    at += len(_SOC)
    while at + _COD.size <= len(data):
        marker, length = _SEGMENT.unpack_from(data, at)
        if marker == _COD_MARKER:
            return _COD.unpack_from(data, at)[-1] == _REVERSIBLE
        if marker == _SOT_MARKER:
            break
        at += 2 + length
    return False


def read(data: bytes, header: Header) -> np.ndarray:
    """uint8 or uint16 [height, width, channels].

    Raises:
      Exception: the image data are damaged.
    """
    pixels = np.atleast_3d(imagecodecs.jpeg2k_decode(data, numthreads=1))
    return to_full_range(pixels, 2**header.bit_depth - 1)


def _check_jp2(data: bytes) -> int:
    """The offset of a JP2 file's codestream; refuses palettes and colours that are neither sRGB nor grey."""
    inside: list[tuple[int, int]] = [(0, len(data))]
    while inside:
        for name, start, end in _boxes(data, *inside.pop()):
            if name == b"jp2c":
                return start
            if name == b"jp2h":
                inside += [(end, len(data)), (start, end)]
                break
            if name == b"pclr":
                raise UnreadableImage("JPEG 2000 files with a palette are not supported: convert it to PNG.")
            if name == b"colr" and data[start] == _ENUMERATED:
                space = int.from_bytes(data[start + 3 : start + 7], "big")
                if space not in (_SRGB, _GREYSCALE):
                    raise UnreadableImage(
                        f"JPEG 2000 files with the colour space {space} are not supported: convert it to PNG."
                    )
    raise ValueError("there is no codestream")


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of each box."""
    boxes = 0
    while at + 8 <= end:
        boxes += 1
        check_boxes("JPEG 2000", boxes)
        size, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        stop = end if size == 0 else at + size
        if not start <= stop <= end:
            stop = end if name == b"jp2c" else -1
            if stop < 0:
                raise ValueError("a box is longer than the file")
        yield name, start, stop
        at = stop

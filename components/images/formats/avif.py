"""AVIF: Pillow reads the header, imagecodecs the pixels, because Pillow makes RGB of grey and 8 bits of 10 and 12.

Both use libavif.
"""

import io

import imagecodecs
import numpy as np
from PIL.AvifImagePlugin import AvifImageFile

from restem.images.formats.depth import to_full_range
from restem.images.formats.orientation import upright
from restem.images.formats.pillow import exif_orientation
from restem.images.header import LOSSY, Header

_CONFIGURATION = b"av1C"  # the decoder's configuration in the file's properties (AV1-ISOBMFF, 2.3)
_HIGH, _TWELVE, _MONOCHROME = 0x40, 0x20, 0x10
_TURNED = (5, 6, 7, 8)


def header(data: bytes) -> Header:
    """The header of the upright image.

    Raises:
      Exception: it is damaged.
    """
    image = AvifImageFile(io.BytesIO(data))
    width, height = image.size
    if exif_orientation(image) in _TURNED:
        width, height = height, width
    depth, grey = _depth(data)
    channels = (1 if grey else 3) + ("A" in image.mode)
    return Header("AVIF", width, height, channels, depth, in_graph=False, altered=LOSSY.format("AVIF"))


def read(data: bytes, header: Header) -> np.ndarray:
    """uint8 or uint16 [height, width, channels], upright; the first frame of a sequence.

    Raises:
      Exception: the image data are damaged.
    """
    turn = exif_orientation(AvifImageFile(io.BytesIO(data)))
    pixels = np.atleast_3d(imagecodecs.avif_decode(data, index=0, numthreads=1))
    if pixels.ndim == 4:
        pixels = pixels[0]
    return upright(to_full_range(pixels, 2**header.bit_depth - 1), turn)


def _depth(data: bytes) -> tuple[int, bool]:
    """Bits per channel, and whether it is grey."""
    at = data.find(_CONFIGURATION)
    if at < 0 or len(data) < at + 7:
        raise ValueError("the decoder's configuration is missing")
    flags = data[at + 6]
    return (8 if not flags & _HIGH else 12 if flags & _TWELVE else 10), bool(flags & _MONOCHROME)

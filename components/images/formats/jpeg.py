"""JPEG files that neither TensorFlow nor Pillow decodes: lossless ones, and those with more than 8 bits.

ITU-T T.81, B.2.2: the frame header (SOF) has the precision in bits, height, width and the number of components.
"""

import struct

import imagecodecs
import numpy as np

from restem.images.formats.depth import to_full_range
from restem.images.header import LOSSY, Header, UnreadableImage, in_brackets, incomplete

_LOSSLESS = 0xC3
_END = b"\xff\xd9"
# All frame headers; C4, C8 and CC are other markers.
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length


def frame(data: bytes) -> tuple[int, int, int, int, int] | None:
    """The frame header: marker, precision in bits, height, width, components; None if there is none."""
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:  # fill bytes
            place += 1
            continue
        if marker in _ALONE:
            place += 2
            continue
        if marker in _FRAMES and place + 10 <= len(data):
            precision, height, width, components = struct.unpack_from(">BHHB", data, place + 4)
            return marker, precision, height, width, components
        place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    return None


def unusual_jpeg_header(data: bytes) -> Header | None:
    """The header of a lossless JPEG or one with 9 to 16 bits; None for all others."""
    found = frame(data)
    if found is None:
        return None
    marker, precision, height, width, components = found
    if (marker != _LOSSLESS and precision == 8) or not 2 <= precision <= 16 or components not in (1, 3):
        return None
    altered = "" if marker == _LOSSLESS else LOSSY.format("JPEG")
    return Header("JPEG", width, height, components, precision, in_graph=False, altered=altered)


def read_unusual_jpeg(data: bytes) -> np.ndarray:
    """uint8 or uint16 [height, width, channels]; 9 to 15 bits are scaled to 0..65535.

    Raises:
      UnreadableImage: the image data are damaged.
    """
    found = frame(data)
    assert found is not None
    marker, precision, height, width, components = found
    if data.rstrip(b"\0")[-2:] != _END:  # The codecs fill missing data silently.
        raise UnreadableImage(incomplete("JPEG"))
    try:
        pixels = imagecodecs.ljpeg_decode(data) if marker == _LOSSLESS else imagecodecs.jpeg8_decode(data)
        pixels = np.asarray(pixels).reshape(height, width, components)
    except Exception as error:  # the codecs raise their own errors
        raise UnreadableImage(f"The JPEG file's image data are damaged ({in_brackets(error)}).") from None
    return to_full_range(pixels, 2**precision - 1)

"""HEIC and HEIF with pi-heif (libheif), an optional package: the extra `heif`.

pi-heif is pillow-heif without its encoders: those in pillow-heif's binary packages are under the GPL.
"""

import io

import numpy as np

from restem.images.formats.depth import to_full_range
from restem.images.header import LOSSY, Header, UnreadableImage

_MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def header(data: bytes) -> Header:
    """The header of the primary image; libheif applies the file's rotation.

    Raises:
      UnreadableImage: the package is missing, or the colours are multiplied with alpha.
      Exception: it is damaged.
    """
    image, kind = _primary(data)
    width, height = image.size
    channels, depth = _MODES[kind], int(image.info["bit_depth"])
    return Header("HEIC", width, height, channels, depth, in_graph=False, altered=LOSSY.format("HEIC"))


def read(data: bytes, header: Header) -> np.ndarray:
    """uint8 or uint16 [height, width, channels].

    Raises:
      Exception: the image data are damaged.
    """
    image, _ = _primary(data)
    pixels = np.array(image)  # A copy, because the memory belongs to `image`.
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return to_full_range(pixels[:, : header.width], 2**header.bit_depth - 1)


def _primary(data: bytes):  # noqa: ANN202 - the package's types are there only if it is
    try:
        import pi_heif
    except ImportError:
        raise UnreadableImage(
            "HEIC needs an optional package: install it with pip install 'restem[heif]', or convert it to PNG."
        ) from None
    file = pi_heif.HeifFile(io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    image = file[file.primary_index]
    kind = image.mode.partition(";")[0]
    if kind not in _MODES:
        raise UnreadableImage(f"HEIC files with the channels {kind} are not supported: convert it to PNG.")
    return image, kind

"""PNG, JPEG, BMP, GIF and WebP with Pillow: all headers, and the pixels of files that TensorFlow does not decode."""

import io
import struct

import numpy as np
from PIL import Image, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from restem.images.header import ENDS_EARLY, Header, UnreadableImage, damaged, in_brackets, incomplete

_PLUGINS = {
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"\xff\xd8\xff": JpegImageFile,
    b"BM": BmpImageFile,
    b"GIF8": GifImageFile,
    b"RIFF": WebPImageFile,
}
_PLUGINS_BY_FORMAT = {plugin.format: plugin for plugin in _PLUGINS.values()}
# Colour type in a PNG's header -> channels; a palette (3) gives red, green, blue.
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_PNG_PALETTE = 3
_BMP_BITS = (8, 24, 32)
_BMP_HEADER_BYTES = 40  # The first Windows version; the OS/2 header is shorter.
_GIF_SIZE_AT = 6
_EXIF_ORIENTATION = 274


def open_image(data: bytes, header: Header) -> ImageFile:
    """Opens a file with a checked header as a Pillow image, without decoding it; not for TIFF and .npy.

    It calls the plugin instead of Image.open, which has its own size limit, shared by all threads.
    """
    return _PLUGINS_BY_FORMAT[header.format](io.BytesIO(data))


def pillow_header(data: bytes) -> Header | None:
    """The header of a file in one of these formats; None for other formats.

    Raises:
      UnreadableImage: the header is damaged.
    """
    plugin = next((plugin for start, plugin in _PLUGINS.items() if data.startswith(start)), None)
    if plugin is None or (plugin is WebPImageFile and data[8:12] != b"WEBP"):
        return None
    kind = plugin.format
    assert kind is not None
    try:
        image = plugin(io.BytesIO(data))  # As in open_image.
        width, height = image.size
        if kind in ("JPEG", "WEBP") and exif_orientation(image) in (5, 6, 7, 8):
            width, height = height, width
        channels, bit_depth, in_graph = _describe(data, image, kind)
    except Exception as error:  # Pillow's plugins may raise anything on damaged bytes.
        reason = in_brackets(error)
        if "-bit layers" in reason:
            raise UnreadableImage(f"JPEG files must have 8 bits per channel ({reason}).") from None
        if kind == "WEBP" and len(data) < 8 + int.from_bytes(data[4:8], "little"):
            raise UnreadableImage(incomplete(kind)) from None
        raise damaged(kind, reason) from None
    return Header(kind, width, height, channels, bit_depth, in_graph=in_graph)


def read_pixels(data: bytes, header: Header) -> np.ndarray:
    """uint8 [height, width, 3 or 4], upright.

    Raises:
      UnreadableImage: the image data are damaged.
    """
    try:
        with open_image(data, header) as image:
            image.load()
            upright = image if exif_orientation(image) == 1 else ImageOps.exif_transpose(image)
            return np.asarray(upright.convert("RGBA" if header.channels == 4 else "RGB"))
    except Exception:  # Pillow's plugins may raise anything on damaged bytes.
        raise UnreadableImage(explain_failure(data, header.format)) from None


def explain_failure(data: bytes, kind: str) -> str:
    """A sentence that says why a file with a valid header could not be decoded."""
    if kind not in _PLUGINS_BY_FORMAT:
        return f"The {kind} file's data are damaged."
    try:
        with _PLUGINS_BY_FORMAT[kind](io.BytesIO(data)) as image:
            image.load()
    except Exception as error:
        reason = in_brackets(error)
        if "truncated" in reason or reason == ENDS_EARLY:
            return incomplete(kind)
        return f"The {kind} file's image data are damaged ({reason})."
    # Pillow is more tolerant, or supports a variant that TensorFlow does not.
    return f"The {kind} file's image data are damaged, or a variant that TensorFlow does not decode."


def exif_orientation(image: Image.Image) -> int:
    """1 to 8; 1 (upright) if it is missing, or if the EXIF data cannot be read, since the image still can."""
    try:
        return image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # Pillow may raise anything on damaged bytes.
        return 1


def _describe(data: bytes, image: Image.Image, kind: str) -> tuple[int, int, bool]:
    """Channels, bit depth, and whether TensorFlow decodes it."""
    if kind == "PNG":
        depth, colour_type = data[24], data[25]
        transparent_palette = colour_type == _PNG_PALETTE and "transparency" in image.info
        channels = 4 if transparent_palette else _PNG_CHANNELS[colour_type]
        return channels, 8 if colour_type == _PNG_PALETTE else depth, True
    if isinstance(image, JpegImageFile):
        return (1 if image.layers == 1 else 3), 8, True
    if kind == "WEBP":
        return len(image.getbands()), 8, False
    if kind == "BMP":  # It always has a palette or RGB; the padding byte of 32 bits is dropped.
        bits = int.from_bytes(data[28:30], "little")
        compressed = int.from_bytes(data[30:34], "little") != 0
        old = int.from_bytes(data[14:18], "little") < _BMP_HEADER_BYTES
        plain = bits in _BMP_BITS and not compressed and not old
        return (3 if plain or image.mode != "RGBA" else 4), 8, plain
    assert isinstance(image, GifImageFile)
    return _describe_gif(data, image)


def _describe_gif(data: bytes, image: GifImageFile) -> tuple[int, int, bool]:
    """TensorFlow is not used for animations (it decodes all frames to return one), transparency and partial frames."""
    try:
        animated = image.is_animated
    except Exception:  # Pillow may raise anything on damaged bytes; the decoder reports the damage later.
        animated = True
    transparent = "transparency" in image.info
    fills = image.tile[0].extents == (0, 0, *struct.unpack_from("<HH", data, _GIF_SIZE_AT))
    return (4 if transparent else 3), 8, fills and not (transparent or animated)

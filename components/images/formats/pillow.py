"""PNG, JPEG, BMP, GIF and WebP, by Pillow: headers of all, pixels of those that TensorFlow does not decode."""

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
# Colour types in a PNG's header to channels; a palette (3) stands for red, green, blue.
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_PNG_PALETTE = 3
_BMP_BITS = (8, 24, 32)
_BMP_HEADER_BYTES = 40  # Of Windows' first form; OS/2's is shorter.
_GIF_SIZE_AT = 6
_EXIF_ORIENTATION = 274


def open_image(data: bytes, header: Header) -> ImageFile:
    """Pillow's image behind a header that was checked, nothing decoded yet; not for TIFF and .npy.

    By the plugin itself and not by Image.open, which refuses large images with a limit of its own, one for all threads.
    """
    return _PLUGINS_BY_FORMAT[header.format](io.BytesIO(data))


def pillow_header(data: bytes) -> Header | None:
    """The header of a file of these formats; none of any other.

    Raises:
      UnreadableImage: it is damaged.
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
    except Exception as error:  # Pillow's plugins raise whatever damaged bytes lead them to.
        told = in_brackets(error)
        if "-bit layers" in told:
            raise UnreadableImage(f"JPEG files of other than 8 bits a channel are not read ({told}).") from None
        if kind == "WEBP" and len(data) < 8 + int.from_bytes(data[4:8], "little"):
            raise UnreadableImage(incomplete(kind)) from None
        raise damaged(kind, told) from None
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
    except Exception:  # Pillow's plugins raise whatever damaged bytes lead them to.
        raise UnreadableImage(explain_failure(data, header.format)) from None


def explain_failure(data: bytes, kind: str) -> str:
    """Why a file whose header was fine could not be decoded, as a sentence."""
    if kind not in _PLUGINS_BY_FORMAT:
        return f"The {kind} file's data are damaged."
    try:
        with _PLUGINS_BY_FORMAT[kind](io.BytesIO(data)) as image:
            image.load()
    except Exception as error:
        told = in_brackets(error)
        if "truncated" in told or told == ENDS_EARLY:
            return incomplete(kind)
        return f"The {kind} file's image data are damaged ({told})."
    # Pillow is more lenient, or reads a variety that TensorFlow does not.
    return f"The {kind} file's image data are damaged, or of a variety that TensorFlow does not decode."


def exif_orientation(image: Image.Image) -> int:
    """1 to 8; 1, upright, where none is told, or where the EXIF cannot be read: the image can."""
    try:
        return image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # Pillow raises whatever damaged bytes lead it to.
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
    if kind == "BMP":  # Always through a palette or RGB; the filler byte of 32 bits is dropped.
        bits = int.from_bytes(data[28:30], "little")
        compressed = int.from_bytes(data[30:34], "little") != 0
        old = int.from_bytes(data[14:18], "little") < _BMP_HEADER_BYTES
        plain = bits in _BMP_BITS and not compressed and not old
        return (3 if plain or image.mode != "RGBA" else 4), 8, plain
    assert isinstance(image, GifImageFile)
    return _describe_gif(data, image)


def _describe_gif(data: bytes, image: GifImageFile) -> tuple[int, int, bool]:
    """TensorFlow decodes all frames of a GIF to give one, and none that is transparent or a part of the picture."""
    try:
        animated = image.is_animated
    except Exception:  # Whatever damaged bytes lead it to; the decoder will tell.
        animated = True
    transparent = "transparency" in image.info
    fills = image.tile[0].extents == (0, 0, *struct.unpack_from("<HH", data, _GIF_SIZE_AT))
    return (4 if transparent else 3), 8, fills and not (transparent or animated)

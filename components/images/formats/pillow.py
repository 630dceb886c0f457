"""PNG, JPEG, BMP, GIF and WebP with Pillow: all headers, and the pixels of files that TensorFlow does not decode."""

import io
import struct

import imagecodecs
import numpy as np
from PIL import Image, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from restem.images.formats.bmp import check_bmp, check_runs
from restem.images.formats.jpeg import read_unusual_jpeg, unusual_jpeg_header
from restem.images.formats.orientation import upright
from restem.images.formats.work import check_gif, check_jpeg, check_png
from restem.images.header import ENDS_EARLY, LOSSY, Header, UnreadableImage, damaged, in_brackets, incomplete

_PLUGINS = {
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"\xff\xd8\xff": JpegImageFile,
    b"BM": BmpImageFile,
    b"GIF8": GifImageFile,
    b"RIFF": WebPImageFile,
}
_CHECKS = {"PNG": check_png, "JPEG": check_jpeg, "GIF": check_gif, "BMP": check_bmp}
_PLUGINS_BY_FORMAT = {plugin.format: plugin for plugin in _PLUGINS.values()}
# Colour type in a PNG's header -> channels; a palette (3) gives red, green, blue.
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_PNG_PALETTE, _PNG_COLOUR_TYPE_AT = 3, 25
_WEBP_CHUNKS_AT = 12
_PNG_SIGNATURE_BYTES = 8
_PNG_TEXTS = {b"tEXt", b"zTXt", b"iTXt", b"iCCP"}
_CMYK_LAYERS = 4
_EMPTY_COMMENT = b"\x21\xfe\x00"
_BMP_OFFSET_AT = 10
_BMP_BITS = (8, 24, 32)
_BMP_HEADER_BYTES = 40  # The first Windows version; the OS/2 header is shorter.
_GIF_SIZE_AT = 6
_EXIF_ORIENTATION = 274
_BLOCK_ROWS = 64


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
    if kind in _CHECKS:
        _CHECKS[kind](data)
    if kind == "JPEG" and (unusual := unusual_jpeg_header(data)) is not None:
        return unusual
    try:
        image = plugin(io.BytesIO(_without_texts(data) if kind == "PNG" else data))  # As in open_image.
        width, height = image.size
        if kind in ("JPEG", "WEBP") and exif_orientation(image) in (5, 6, 7, 8):
            width, height = height, width
        channels, bit_depth, in_graph = _describe(data, image, kind)
    except Exception as error:  # Pillow's plugins may raise anything on damaged bytes.
        reason = in_brackets(error)
        if kind == "WEBP" and len(data) < 8 + int.from_bytes(data[4:8], "little"):
            raise UnreadableImage(incomplete(kind)) from None
        raise damaged(kind, reason) from None
    return Header(kind, width, height, channels, bit_depth, in_graph=in_graph, altered=_altered(data, image, kind))


def read_pixels(data: bytes, header: Header) -> np.ndarray:
    """uint8 [height, width, 3 or 4], upright.

    Raises:
      UnreadableImage: the image data are damaged.
    """
    if header.format == "JPEG" and unusual_jpeg_header(data) is not None:
        return read_unusual_jpeg(data)
    if header.format == "BMP":
        check_runs(data)
    try:
        with open_image(data, header) as image:
            if isinstance(image, WebPImageFile) and not getattr(image, "is_animated", False):
                return _read_webp(data, image, header)
            image.load()
            standing = image if exif_orientation(image) == 1 else ImageOps.exif_transpose(image)
            return in_blocks(standing, "RGBA" if header.channels == 4 else "RGB")
    except Exception:  # Pillow's plugins may raise anything on damaged bytes.
        raise UnreadableImage(explain_failure(data, header.format)) from None


def _read_webp(data: bytes, image: WebPImageFile, header: Header) -> np.ndarray:
    """A WebP file with one frame. Pillow needs seven times its size in memory."""
    orientation = exif_orientation(image)
    image.close()
    return upright(np.asarray(imagecodecs.webp_decode(data, hasalpha=header.channels == 4)), orientation)


def in_blocks(image: Image.Image, mode: str) -> np.ndarray:
    """The pixels [height, width, channels] in this mode, a few rows at a time: Pillow would copy the image thrice."""
    width, height = image.size
    result = np.empty((height, width, len(mode)), np.uint8)
    for top in range(0, height, _BLOCK_ROWS):
        bottom = min(top + _BLOCK_ROWS, height)
        result[top:bottom] = np.asarray(image.crop((0, top, width, bottom)).convert(mode))
    return result


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
        depth, colour_type = data[24], data[_PNG_COLOUR_TYPE_AT]
        transparent_palette = colour_type == _PNG_PALETTE and "transparency" in image.info
        channels = 4 if transparent_palette else _PNG_CHANNELS[colour_type]
        return channels, 8 if colour_type == _PNG_PALETTE else depth, True
    if isinstance(image, JpegImageFile):
        # Without Adobe's marker TensorFlow takes ink for light. Pillow and OpenCV do not.
        return (1 if image.layers == 1 else 3), 8, image.layers != _CMYK_LAYERS or "adobe" in image.info
    if kind == "WEBP":
        return len(image.getbands()), 8, False
    if kind == "BMP":  # It always has a palette or RGB; the padding byte of 32 bits is dropped.
        bits = int.from_bytes(data[28:30], "little")
        compressed = int.from_bytes(data[30:34], "little") != 0
        old = int.from_bytes(data[14:18], "little") < _BMP_HEADER_BYTES
        plain = bits in _BMP_BITS and not compressed and not old and not _has_more(data, bits)
        return (3 if plain or image.mode != "RGBA" else 4), 8, plain
    assert isinstance(image, GifImageFile)
    return _describe_gif(data, image)


def _altered(data: bytes, image: Image.Image, kind: str) -> str:
    """See `Header.altered`."""
    if kind == "JPEG" or (kind == "WEBP" and not _is_lossless_webp(data)):
        return LOSSY.format("WebP" if kind == "WEBP" else kind)
    palette = image.mode == "P" or (kind == "PNG" and data[_PNG_COLOUR_TYPE_AT] == _PNG_PALETTE) or kind == "GIF"
    return "It has a palette, and its values become colours as it is read" if palette else ""


def _is_lossless_webp(data: bytes) -> bool:
    """Whether the first chunk with pixels is lossless; not of an animation."""
    place = _WEBP_CHUNKS_AT
    while place + 8 <= len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        if name in (b"VP8L", b"VP8 ", b"ANMF"):
            return name == b"VP8L"
        place += 8 + size + size % 2
    return False


def _describe_gif(data: bytes, image: GifImageFile) -> tuple[int, int, bool]:
    """TensorFlow is not used for animations (it decodes all frames to return one), transparency and partial frames."""
    try:
        animated = image.is_animated
    except Exception:  # Pillow may raise anything on damaged bytes; the decoder reports the damage later.
        animated = True
    transparent = "transparency" in image.info
    fills = image.tile[0].extents == (0, 0, *struct.unpack_from("<HH", data, _GIF_SIZE_AT))
    # TensorFlow's reader refuses an empty comment.
    comment = data.find(_EMPTY_COMMENT, 0, image.tile[0].offset) >= 0
    return (4 if transparent else 3), 8, fills and not (transparent or animated or comment)


def _has_more(data: bytes, bits: int) -> bool:
    """Whether a BMP has bytes behind its pixels, such as a colour profile: TensorFlow refuses it."""
    offset, _, width, height = struct.unpack_from("<IIii", data, _BMP_OFFSET_AT)
    return len(data) > offset + (abs(width) * bits + 31) // 32 * 4 * abs(height)


def _without_texts(data: bytes) -> bytes:
    """A PNG without its texts and colour profile, which Pillow would unpack, and refuse above 1 MB.

    A damaged file is returned unchanged, so that Pillow finds the damage.
    """
    parts, place = [data[:_PNG_SIGNATURE_BYTES]], _PNG_SIGNATURE_BYTES
    while place + 8 <= len(data):
        length, name = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        end = place + length + 12
        if end > len(data) or name == b"IDAT":
            break
        if name not in _PNG_TEXTS:
            parts.append(data[place:end])
        place = end
    return data if len(parts) == 1 else b"".join(parts) + data[place:]

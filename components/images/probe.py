"""What a file's header says: format, size, channels, depth. No pixel is decoded, so a decompression bomb costs nothing.

Also the sentences that tell a user why a file is not read.
"""

import io
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

FORMATS = ("PNG", "JPEG", "BMP", "GIF")
_PLUGINS = {
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"\xff\xd8\xff": JpegImageFile,
    b"BM": BmpImageFile,
    b"GIF8": GifImageFile,
}
# Colour types in a PNG's header to channels; a palette (3) stands for red, green, blue.
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_PNG_PALETTE = 3
_BMP_BITS = (8, 24, 32)
_BMP_HEADER_BYTES = 40  # Of Windows' first form; OS/2's is shorter.
_LISTED = f"{', '.join(FORMATS[:-1])} and {FORMATS[-1]}"


class UnreadableImage(ValueError):
    """A file that cannot become an example; the message is a sentence for the user, with its full stop."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file's header says.

    format: one of FORMATS, found by content; the file's name does not matter.
    width, height: pixels.
    channels: what decoding gives before anything is converted: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. A
      palette counts as RGB (with alpha, where it has transparent entries), CMYK as RGB.
    bit_depth: bits a channel, as stored: 1, 2, 4, 8 or 16. A palette's colours have 8.
    """

    format: str
    width: int
    height: int
    channels: int
    bit_depth: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def probe(data: bytes, *, max_pixels: int, max_bytes: int) -> Header:
    """Reads a file's header and checks it against the limits.

    Args:
      data: the file's content, or at least its beginning up to the header's end.
      max_pixels: more pixels (width x height) are refused.
      max_bytes: longer data are refused.

    Raises:
      UnreadableImage: empty, too large, no image, of a format that is not read, or with a damaged header.
    """
    if not data:
        raise UnreadableImage("The file is empty (0 bytes).")
    check_bytes(len(data), max_bytes)
    plugin = next((plugin for start, plugin in _PLUGINS.items() if data.startswith(start)), None)
    if plugin is None:
        raise UnreadableImage(_what_it_is(data))
    kind = plugin.format
    try:
        # The plugin itself and not Image.open, which refuses large images with a limit of its own.
        image = plugin(io.BytesIO(data))
    except Exception as error:  # Pillow's plugins raise whatever damaged bytes lead them to.
        raise UnreadableImage(f"The {kind} file's header is damaged ({_in_brackets(error)}).") from None
    width, height = image.size
    if width * height > max_pixels:
        raise UnreadableImage(
            f"It has {width} x {height} pixels; more than data.max_pixels ({max_pixels:,}) are refused."
        )
    if width < 1 or height < 1:
        raise UnreadableImage(f"The {kind} file's header is damaged (size {width} x {height}).")
    channels, bit_depth = _describe(data, image, kind)
    return Header(kind, width, height, channels, bit_depth)


def check_bytes(size: int, max_bytes: int) -> None:
    """Refuses a file by its size in bytes.

    Raises:
      UnreadableImage: it is larger than max_bytes.
    """
    if size > max_bytes:
        raise UnreadableImage(f"The file has {size:,} bytes; more than data.max_bytes ({max_bytes:,}) are refused.")


def explain_failure(data: bytes, kind: str) -> str:
    """Why a file whose header was fine could not be decoded, as a sentence."""
    try:
        with _PLUGINS_BY_FORMAT[kind](io.BytesIO(data)) as image:
            image.load()
    except Exception as error:
        told = _in_brackets(error)
        if "truncated" in told:
            return f"The {kind} file is incomplete: it ends before its image does."
        return f"The {kind} file's image data are damaged ({told})."
    # Pillow is more lenient, or reads a variety that TensorFlow does not.
    return f"The {kind} file's image data are damaged, or of a variety that TensorFlow does not decode."


def _describe(data: bytes, image: Image.Image, kind: str) -> tuple[int, int]:
    """Channels and bit depth."""
    if kind == "PNG":
        depth, colour_type = data[24], data[25]
        transparent_palette = colour_type == _PNG_PALETTE and "transparency" in image.info
        return 4 if transparent_palette else _PNG_CHANNELS[colour_type], 8 if colour_type == _PNG_PALETTE else depth
    if kind == "JPEG":
        return (1 if image.layers == 1 else 3), image.bits
    if kind == "BMP":  # Always through a palette or RGB; the filler byte of 32 bits is dropped.
        bits = int.from_bytes(data[28:30], "little")
        compression = int.from_bytes(data[30:34], "little")
        old = int.from_bytes(data[14:18], "little") < _BMP_HEADER_BYTES
        if old or compression or bits not in _BMP_BITS:
            how = "one of OS/2" if old else "a compressed one" if compression else f"one of {bits} bits a pixel"
            raise UnreadableImage(f"Only uncompressed BMP files of 8, 24 or 32 bits a pixel are read; this is {how}.")
    return 3, 8


def _what_it_is(data: bytes) -> str:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return f"{image.format} is not among the formats that are read ({_LISTED}): convert it to one of them."
    except (UnidentifiedImageError, Image.DecompressionBombError):
        pass
    except Exception:  # noqa: S110 - damaged bytes lead Pillow's many plugins anywhere; it is no image all the same
        pass
    if b"\0" not in data[:1024]:
        return f"It is text, not an image ({_LISTED} are read)."
    return f"It is not an image ({_LISTED} are read)."


def _in_brackets(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().rstrip(".")


_PLUGINS_BY_FORMAT = {plugin.format: plugin for plugin in _PLUGINS.values()}

"""What a file's header says: format, size, channels, depth. No pixel is decoded, so a decompression bomb costs nothing.

Also the sentences that tell a user why a file is not read.
"""

import io
import struct
from dataclasses import dataclass

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from components.images.config import MAX_BANDS, Requirements

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "NPY")
_PLUGINS = {
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"\xff\xd8\xff": JpegImageFile,
    b"BM": BmpImageFile,
    b"GIF8": GifImageFile,
    b"RIFF": WebPImageFile,
}
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NPY_START = b"\x93NUMPY"
# Colour types in a PNG's header to channels; a palette (3) stands for red, green, blue.
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_PNG_PALETTE = 3
_BMP_BITS = (8, 24, 32)
_BMP_HEADER_BYTES = 40  # Of Windows' first form; OS/2's is shorter.
_GIF_SIZE_AT = 6
_EXIF_ORIENTATION = 274
# Without names at most these many channels mean something: RGB and alpha.
_UNNAMED_CHANNELS = 4
# A file may hold this many times data.max_pixels values, counted over all its channels.
_VALUES_A_PIXEL = 4
_MOST_WORDS = 120
_ENDS_EARLY = "it ends too early"
_LISTED = "PNG, JPEG, BMP, GIF, WebP, TIFF and NumPy's .npy"
# What people have that is no file of these, and that Pillow does not know either: place, bytes there, name.
_OTHERS = (
    (128, b"DICM", "DICOM"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"SIMPLE  =", "FITS"),
    (344, b"n+1\0", "NIfTI"),
    (0, b"NRRD000", "NRRD"),
    (0, b"ZISRAWFILE", "CZI"),
    (0, b"%PDF-", "PDF"),
)
_PACKED = ((b"PK\x03\x04", "a ZIP archive, as .npz is"), (b"\x1f\x8b", "packed with gzip"))
_GIT_LFS = b"version https://git-lfs"


class UnreadableImage(ValueError):
    """A file that cannot become an example; the message is a sentence for the user, with its full stop."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file's header says.

    format: one of FORMATS, found by content; the file's name does not matter.
    width, height: pixels, of the image as it is to be seen: a JPEG's EXIF orientation counts.
    channels: what decoding gives before anything is converted: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha, or any
      number of bands. A palette counts as RGB (with alpha, where it has transparent entries), CMYK as RGB.
    bit_depth: bits a channel, as stored. A palette's colours have 8.
    pages: of a TIFF; they are channels too.
    needs_range: floating point or signed values, which have no meaning without image.value_range.
    in_graph: whether TensorFlow decodes the file; if not, `components.images.arrays` does, when it is taken in.
    """

    format: str
    width: int
    height: int
    channels: int
    bit_depth: int
    pages: int = 1
    needs_range: bool = False
    in_graph: bool = True

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def probe(data: bytes, *, max_pixels: int, max_bytes: int) -> Header:
    """Reads a file's header and checks it against the limits.

    Args:
      data: the file's content, or at least its beginning up to the header's end (of a TIFF, all of it).
      max_pixels: more pixels (width x height) are refused, and more than four times as many values in all channels.
      max_bytes: longer data are refused.

    Raises:
      UnreadableImage: empty, too large, no image, of a format that is not read, or with a damaged header.
    """
    if not data:
        raise UnreadableImage("The file is empty (0 bytes).")
    check_bytes(len(data), max_bytes)
    if data.startswith(_TIFF_STARTS):
        from components.images.tiff import tiff_header  # tifffile takes most of a second to import.

        header = tiff_header(data, max_pixels)
    elif data.startswith(_NPY_START):
        from components.images.arrays import npy_header

        header = npy_header(data)
    else:
        header = _pillow_header(data)
    if header.width < 1 or header.height < 1 or header.channels < 1:
        raise damaged(header.format, f"size {header.width} x {header.height}")
    if header.pixels > max_pixels:
        raise UnreadableImage(
            f"It has {header.width} x {header.height} pixels; more than data.max_pixels ({max_pixels:,}) are refused."
        )
    if header.channels > MAX_BANDS:
        raise UnreadableImage(f"It has {header.channels:,} channels; more than {MAX_BANDS} are refused.")
    if header.pixels * header.channels > max_pixels * _VALUES_A_PIXEL:
        raise UnreadableImage(
            f"It has {header.width} x {header.height} pixels in {header.channels} channels; more values than "
            f"{_VALUES_A_PIXEL} times data.max_pixels ({max_pixels:,}) are refused."
        )
    return header


def check_bytes(size: int, max_bytes: int) -> None:
    """Refuses a file by its size in bytes.

    Raises:
      UnreadableImage: it is larger than max_bytes.
    """
    if size > max_bytes:
        raise UnreadableImage(f"The file has {size:,} bytes; more than data.max_bytes ({max_bytes:,}) are refused.")


def check_suits(header: Header, wanted: Requirements) -> None:
    """Refuses a file that is no image for this configuration.

    Raises:
      UnreadableImage: another number of channels than named bands, values without a meaning, or too small.
    """
    if wanted.channels is None:
        if header.pages > 1:
            raise UnreadableImage(f"It has {header.pages} pages: name the channel(s) of each in image.bands.")
        if header.channels > _UNNAMED_CHANNELS:
            raise UnreadableImage(f"It has {header.channels} channels: name them in image.bands.")
    elif header.channels != wanted.channels:
        has = f"{header.channels} channel{'s' if header.channels > 1 else ''}"
        raise UnreadableImage(f"It has {has}, but image.bands names {wanted.channels}.")
    if header.needs_range and not wanted.value_range:
        raise UnreadableImage(
            "Its values are floating point or signed, and what is black and what is white is not told: set "
            "image.value_range: [black, white]."
        )
    times = wanted.upsampling(header.height, header.width)
    if wanted.max_upsampling is not None and times > wanted.max_upsampling:
        raise UnreadableImage(
            f"It has {header.width} x {header.height} pixels: image.size needs it {times:.3g} times as large, and more "
            f"than image.max_upsampling ({wanted.max_upsampling:g}) times is refused."
        )


def explain_failure(data: bytes, kind: str) -> str:
    """Why a file whose header was fine could not be decoded, as a sentence."""
    if kind not in _PLUGINS_BY_FORMAT:
        return f"The {kind} file's data are damaged."
    try:
        with _PLUGINS_BY_FORMAT[kind](io.BytesIO(data)) as image:
            image.load()
    except Exception as error:
        told = in_brackets(error)
        if "truncated" in told or told == _ENDS_EARLY:
            return incomplete(kind)
        return f"The {kind} file's image data are damaged ({told})."
    # Pillow is more lenient, or reads a variety that TensorFlow does not.
    return f"The {kind} file's image data are damaged, or of a variety that TensorFlow does not decode."


def damaged(kind: str, what: str) -> UnreadableImage:
    """The refusal of a header that cannot be true."""
    return UnreadableImage(f"The {kind} file's header is damaged ({what}).")


def incomplete(kind: str) -> str:
    """The sentence for a file that was cut."""
    return f"The {kind} file is incomplete: it ends before its image does."


def in_brackets(error: Exception) -> str:
    """An error's own words, to be put in brackets; of those that speak of Python's types, what they mean."""
    # Pillow's plugins raise a SyntaxError in place of what they met.
    if isinstance(error.__cause__ or error, struct.error | IndexError | EOFError) or "Truncated File" in str(error):
        return _ENDS_EARLY
    if isinstance(error, TypeError | AttributeError | LookupError | ArithmeticError):
        return "its fields contradict each other"
    words = next(iter(str(error).strip().splitlines()), "").rstrip(".") or type(error).__name__
    return words if len(words) <= _MOST_WORDS else words[:_MOST_WORDS] + "..."


def exif_orientation(image: Image.Image) -> int:
    """1 to 8; 1, upright, where none is told, or where the EXIF cannot be read: the image can."""
    try:
        return image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # Pillow raises whatever damaged bytes lead it to.
        return 1


def open_image(data: bytes, header: Header) -> ImageFile:
    """Pillow's image behind a header that was checked, nothing decoded yet; not for TIFF and .npy.

    By the plugin itself and not by Image.open, which refuses large images with a limit of its own, one for all threads.
    """
    return _PLUGINS_BY_FORMAT[header.format](io.BytesIO(data))


def _pillow_header(data: bytes) -> Header:
    plugin = next((plugin for start, plugin in _PLUGINS.items() if data.startswith(start)), None)
    if plugin is None or (plugin is WebPImageFile and data[8:12] != b"WEBP"):
        raise UnreadableImage(_what_it_is(data))
    kind = plugin.format
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


def _describe(data: bytes, image: Image.Image, kind: str) -> tuple[int, int, bool]:
    """Channels, bit depth, and whether TensorFlow decodes it."""
    if kind == "PNG":
        depth, colour_type = data[24], data[25]
        transparent_palette = colour_type == _PNG_PALETTE and "transparency" in image.info
        channels = 4 if transparent_palette else _PNG_CHANNELS[colour_type]
        return channels, 8 if colour_type == _PNG_PALETTE else depth, True
    if kind == "JPEG":
        return (1 if image.layers == 1 else 3), 8, True
    if kind == "WEBP":
        return len(image.getbands()), 8, False
    if kind == "BMP":  # Always through a palette or RGB; the filler byte of 32 bits is dropped.
        bits = int.from_bytes(data[28:30], "little")
        compressed = int.from_bytes(data[30:34], "little") != 0
        old = int.from_bytes(data[14:18], "little") < _BMP_HEADER_BYTES
        plain = bits in _BMP_BITS and not compressed and not old
        return (3 if plain or image.mode != "RGBA" else 4), 8, plain
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


def _what_it_is(data: bytes) -> str:
    """The sentence about a file that is none of FORMATS."""
    name = next((name for at, start, name in _OTHERS if data.startswith(start, at)), None) or _known_to_pillow(data)
    if name is not None:
        return f"{name} is not among the formats that are read ({_LISTED}): convert it to one of them."
    packed = next((what for start, what in _PACKED if data.startswith(start)), None)
    if packed is not None:
        return f"It is {packed}, not an image ({_LISTED} are read): unpack it."
    if data.startswith(_GIT_LFS):
        return "It is Git LFS's pointer to the image, not the image: fetch it with git lfs pull."
    if b"\0" not in data[:1024]:
        return f"It is text, not an image ({_LISTED} are read)."
    return f"It is not an image ({_LISTED} are read)."


def _known_to_pillow(data: bytes) -> str | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.format
    except Exception:  # Damaged bytes lead Pillow's many plugins anywhere; it is no image all the same.
        return None


_PLUGINS_BY_FORMAT = {plugin.format: plugin for plugin in _PLUGINS.values()}

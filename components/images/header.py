"""A file's header, the check that it suits a configuration, and the sentences that say why a file is refused."""

import struct
from dataclasses import dataclass

import numpy as np

from restem.images.config import DicomReading, Requirements
from restem.images.nodata import Nodata

# Without names, the meaning of at most this many channels is known: RGB and alpha.
_UNNAMED_CHANNELS = 4
_MOST_WORDS = 120
# The default of data.max_decoded_bytes.
MAX_DECODED_BYTES = 2**30
# Reading an image may take this many times data.max_decoded_bytes.
MEMORY_FACTOR = 2.5
# What reading needs besides the file, as a multiple of the decoded image; `memory_bytes` says why.
_NEEDED = {"GIF": 2.4, "BMP": 2.4, "WEBP": 2.5, "JPEGXL": 2.5, "AVIF": 2.4, "HEIC": 3.0, "DICOM": 3.8}
_NEEDED_OTHERWISE = 1.3
_OPENJPEG_VALUE_BYTES = 4
ENDS_EARLY = "it ends too early"
LOSSY = "It is a {}, whose values were changed by compression"
_WHOLE_BYTES = 8  # bits
_LOSSLESS = "use the original file, or one without loss (TIFF with LZW or Deflate, PNG without a palette, .npy)"
_NOT_FINITE = "set image.nodata: nan, or replace them"


class UnreadableImage(ValueError):
    """A file that cannot become an example; the message is a sentence for the user, with a full stop."""


@dataclass(frozen=True, slots=True)
class Header:
    """The contents of a file's header.

    format: "PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "NPY" or a name in `formats.others`, by content; the file's
      name does not matter.
    width, height: of the upright image in pixels, after applying a JPEG's EXIF orientation.
    channels: what decoding gives before any conversion: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha, or any number
      of bands. A palette counts as RGB (with alpha if it has transparent entries), CMYK as RGB.
    bit_depth: bits per channel, as stored. A palette's colours have 8.
    pages: number of pages of a TIFF; they are channels too.
    needs_range: the values are floating point, signed, or have more than 16 bits: they have no meaning without
      image.value_range.
    in_graph: whether TensorFlow decodes the file; if not, `restem.images.arrays` decodes it during ingestion.
    channels_first: whether the axes of a `.npy` array are channels, height, width.
    altered: why the pixels may have other values than those that were stored or meant, as a sentence without a full
      stop; empty: they are the same, except for the scaling of few bits.
    nodata: the value that the file declares as no data, as image.nodata takes it; None if it declares none.
    whole: whether the values are integers. With 32 bits or more they are read as float64.
    """

    format: str
    width: int
    height: int
    channels: int
    bit_depth: int
    pages: int = 1
    needs_range: bool = False
    in_graph: bool = True
    channels_first: bool = False
    altered: str = ""
    nodata: str | None = None
    whole: bool = True

    @property
    def value_bytes(self) -> int:
        """Bytes of each value of the decoded image: 1 or 2, or 4 or 8 for all that becomes floating point."""
        if self.needs_range:
            return 8 if self.bit_depth >= (32 if self.whole else 64) else 4
        return 1 if self.bit_depth <= 8 else 2

    @property
    def decoded_bytes(self) -> int:
        """All values of the decoded image in memory."""
        return self.pixels * self.channels * self.value_bytes

    def memory_bytes(self, file_bytes: int) -> int:
        """The most memory that reading a file of this size takes, from its bytes to the serialized example.

        - Files that the graph decodes: TensorFlow keeps the memory of the decoded image while the file's bytes are
          copied from it to the example; that of a BMP's twice.
        - Others: the file and its pixels, then the pixels and their lossless form, which may be as large, then that
          form and the example. Pillow has 4 bytes per pixel in addition, libjxl and libavif another image, pydicom two
          (RLE), OpenJPEG 4 bytes per value and the compressed data again.
        """
        decoded = self.decoded_bytes
        if self.in_graph:
            return decoded * (2 if self.format == "BMP" else 1) + 2 * file_bytes
        if self.format == "JPEG2000":
            return 2 * file_bytes + decoded + _OPENJPEG_VALUE_BYTES * self.pixels * self.channels
        needed = file_bytes + int(_NEEDED.get(self.format, _NEEDED_OTHERWISE) * decoded)
        return max(needed, int(MEMORY_FACTOR * decoded))

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def check_bytes(size: int, max_bytes: int) -> None:
    """Refuses a file that is too large in bytes.

    Raises:
      UnreadableImage: it is larger than max_bytes.
    """
    if size > max_bytes:
        raise UnreadableImage(f"The file has {size:,} bytes; the limit is data.max_bytes ({max_bytes:,}).")


def check_suits(header: Header, wanted: Requirements) -> None:
    """Refuses a file that does not suit this configuration.

    Raises:
      UnreadableImage: the number of channels differs from image.bands, the values need a range, or it is too small.
    """
    if wanted.channels is None:
        if header.pages > 1:
            raise UnreadableImage(f"It has {header.pages} pages: name the channels of each page in image.bands.")
        if header.channels > _UNNAMED_CHANNELS:
            raise UnreadableImage(f"It has {header.channels} channels: name them in image.bands.{axes_hint(header)}")
    elif header.channels != wanted.channels:
        has = f"{header.channels} channel{'s' if header.channels > 1 else ''}"
        raise UnreadableImage(
            f"It has {has}, but image.bands names {wanted.channels}.{axes_hint(header, wanted.channels)}"
        )
    check_dicom(header, wanted.dicom)
    check_nodata(header, wanted.nodata)
    windowed = wanted.dicom is not None and header.format == "DICOM" and wanted.dicom.window != "full"
    if header.needs_range and not wanted.value_range and not windowed:
        raise UnreadableImage(
            "Its values are floating point, signed, or have more than 16 bits, and black and white are not defined: "
            "set image.value_range: [black, white]."
        )
    times = wanted.upsampling(header.height, header.width)
    if wanted.max_upsampling is not None and times > wanted.max_upsampling:
        raise UnreadableImage(
            f"It has {header.width} x {header.height} pixels: image.size would enlarge it {times:.3g} times; the limit "
            f"is image.max_upsampling ({wanted.max_upsampling:g})."
        )


def axes_hint(header: Header, named: int = _UNNAMED_CHANNELS) -> str:
    """A question with the key to set, to append to a refusal, if an array's first axis may be its channels.

    Args:
      header: of a file with too many channels.
      named: how many channels are expected at most.
    """
    if header.format != "NPY" or header.channels_first or not 1 < header.height <= named < header.channels:
        return ""
    shape = f"{header.height} x {header.width} x {header.channels}"
    return f" Or do its channels come first ({shape})? Then set data.array_axes: chw."


def check_dicom(header: Header, reading: DicomReading | None) -> None:
    """Refuses a DICOM file if nothing says how it is read.

    Raises:
      UnreadableImage: it is one, and `reading` is None.
    """
    if header.format == "DICOM" and reading is None:
        raise UnreadableImage(
            "It is a DICOM file, and how its values become black to white is not defined: set image.dicom, for example "
            "image.dicom: {window: file}."
        )


def check_nodata(header: Header, rule: Nodata | None) -> None:
    """Refuses a file in which the pixels without data cannot be found.

    Raises:
      UnreadableImage: its values are not those that were stored, or it has no mask band.
    """
    if rule is None or not rule.needs_exact_values:
        return
    if header.altered:
        raise UnreadableImage(f"{header.altered}, so image.nodata ({rule.text}) cannot be found in it: {_LOSSLESS}.")
    if rule.mask is not None and rule.mask >= header.channels:
        raise UnreadableImage(
            f"It has {header.channels} channel{'s' if header.channels > 1 else ''}, but image.nodata says that channel "
            f"{rule.mask + 1} is the mask."
        )
    if rule.value and header.bit_depth < _WHOLE_BYTES * 2 and header.bit_depth != _WHOLE_BYTES:
        top = 255 if header.bit_depth < _WHOLE_BYTES else 65535
        raise UnreadableImage(
            f"Its values have {header.bit_depth} bits and are scaled to 0..{top} as it is read, so image.nodata "
            f"({rule.text}) cannot be found in it: only 0 can, or a mask band ({{band: N}})."
        )


def check_finite(not_finite: int, rule: Nodata | None) -> None:
    """Refuses a file with values that are not finite and are not no data.

    Raises:
      UnreadableImage: not_finite, the number of such values, is not 0.
    """
    if not_finite:
        hidden = f" where the mask of image.nodata ({rule.text}) is not 0" if rule and rule.mask is not None else ""
        raise UnreadableImage(f"It has values that are not finite (NaN or infinity){hidden}: {_NOT_FINITE}.")


def check_share(missing: int, pixels: int, rule: Nodata) -> None:
    """Refuses a file with too many pixels without data.

    Raises:
      UnreadableImage: more than image.max_nodata.
    """
    share = missing / max(1, pixels)
    if share > rule.most:
        raise UnreadableImage(
            f"{percent(share, rule.most)} of its pixels have no data (image.nodata: {rule.text}); the limit is "
            f"image.max_nodata ({rule.most:g})."
        )


def percent(share: float, beside: float = 0.0) -> str:
    """A share in percent, with as many decimals as tell it from the share `beside`: 3%, 62.5%, 50.0001%."""
    places = next((n for n in range(8) if round(share * 100, n) not in (0, round(beside * 100, n))), 0)
    return f"{share * 100:.{max(places, 0 if share in (0, 1) else 1)}f}%"


def damaged(kind: str, what: str) -> UnreadableImage:
    """The error for a header with impossible values."""
    return UnreadableImage(f"The {kind} file's header is damaged ({what}).")


def incomplete(kind: str) -> str:
    """The sentence for a truncated file."""
    return f"The {kind} file is incomplete: the image data are cut off."


def in_brackets(error: Exception) -> str:
    """An error's message, to put in brackets; messages about Python types are replaced by their meaning."""
    # Pillow's plugins raise a SyntaxError instead of the original error.
    if isinstance(error.__cause__ or error, struct.error | IndexError | EOFError) or "Truncated File" in str(error):
        return ENDS_EARLY
    if isinstance(error, TypeError | AttributeError | LookupError | ArithmeticError):
        return "its fields contradict each other"
    words = next(iter(str(error).strip().splitlines()), "").rstrip(".") or type(error).__name__
    return words if len(words) <= _MOST_WORDS else words[:_MOST_WORDS] + "..."


def needs_range(dtype: np.dtype) -> bool:
    """Whether values of this type have no meaning without a black and white value."""
    return dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.bool_)

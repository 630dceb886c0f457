"""A file's header, the check that it suits a configuration, and the sentences that say why a file is refused."""

import struct
from dataclasses import dataclass

import numpy as np

from restem.images.config import Requirements

# Without names, the meaning of at most this many channels is known: RGB and alpha.
_UNNAMED_CHANNELS = 4
_MOST_WORDS = 120
# The default of data.max_decoded_bytes.
MAX_DECODED_BYTES = 2**30
ENDS_EARLY = "it ends too early"


class UnreadableImage(ValueError):
    """A file that cannot become an example; the message is a sentence for the user, with a full stop."""


@dataclass(frozen=True, slots=True)
class Header:
    """The contents of a file's header.

    format: "PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF" or "NPY", by content; the file's name does not matter.
    width, height: of the upright image in pixels, after applying a JPEG's EXIF orientation.
    channels: what decoding gives before any conversion: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha, or any number
      of bands. A palette counts as RGB (with alpha if it has transparent entries), CMYK as RGB.
    bit_depth: bits per channel, as stored. A palette's colours have 8.
    pages: number of pages of a TIFF; they are channels too.
    needs_range: the values are floating point or signed, which have no meaning without image.value_range.
    in_graph: whether TensorFlow decodes the file; if not, `restem.images.arrays` decodes it during ingestion.
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
    def value_bytes(self) -> int:
        """Bytes of each value of the decoded image: 1, 2, or 4 for floating point and everything that becomes it."""
        if self.needs_range:
            return max(4, self.bit_depth // 8)
        return 1 if self.bit_depth <= 8 else 2

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
            shape = f"{header.height} x {header.width} x {header.channels}"
            first = header.format == "NPY" and header.height <= _UNNAMED_CHANNELS
            hint = f" Or do its channels come first ({shape})? Then save np.moveaxis(array, 0, -1)." if first else ""
            raise UnreadableImage(f"It has {header.channels} channels: name them in image.bands.{hint}")
    elif header.channels != wanted.channels:
        has = f"{header.channels} channel{'s' if header.channels > 1 else ''}"
        raise UnreadableImage(f"It has {has}, but image.bands names {wanted.channels}.")
    if header.needs_range and not wanted.value_range:
        raise UnreadableImage(
            "Its values are floating point or signed, and black and white are not defined: set "
            "image.value_range: [black, white]."
        )
    times = wanted.upsampling(header.height, header.width)
    if wanted.max_upsampling is not None and times > wanted.max_upsampling:
        raise UnreadableImage(
            f"It has {header.width} x {header.height} pixels: image.size would enlarge it {times:.3g} times; the limit "
            f"is image.max_upsampling ({wanted.max_upsampling:g})."
        )


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

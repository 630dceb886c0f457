"""What a file's header says, whether it suits a configuration, and the sentences that tell why a file is not read."""

import struct
from dataclasses import dataclass

import numpy as np

from restem.images.config import Requirements

# Without names at most these many channels mean something: RGB and alpha.
_UNNAMED_CHANNELS = 4
_MOST_WORDS = 120
ENDS_EARLY = "it ends too early"


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
    in_graph: whether TensorFlow decodes the file; if not, `restem.images.arrays` does, when it is taken in.
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


def check_bytes(size: int, max_bytes: int) -> None:
    """Refuses a file by its size in bytes.

    Raises:
      UnreadableImage: it is larger than max_bytes.
    """
    if size > max_bytes:
        raise UnreadableImage(f"The file has {size:,} bytes; more than data.max_bytes ({max_bytes:,}) are refused.")


def check_suits(header: Header, wanted: Requirements) -> None:
    """Refuses a file that is not an image for this configuration.

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
            "Its values are floating point or signed, and black and white are not defined: set "
            "image.value_range: [black, white]."
        )
    times = wanted.upsampling(header.height, header.width)
    if wanted.max_upsampling is not None and times > wanted.max_upsampling:
        raise UnreadableImage(
            f"It has {header.width} x {header.height} pixels: image.size needs it {times:.3g} times as large, and more "
            f"than image.max_upsampling ({wanted.max_upsampling:g}) times is refused."
        )


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
        return ENDS_EARLY
    if isinstance(error, TypeError | AttributeError | LookupError | ArithmeticError):
        return "its fields contradict each other"
    words = next(iter(str(error).strip().splitlines()), "").rstrip(".") or type(error).__name__
    return words if len(words) <= _MOST_WORDS else words[:_MOST_WORDS] + "..."


def needs_range(dtype: np.dtype) -> bool:
    """Whether values of this type mean nothing without a declared black and white."""
    return dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.bool_)

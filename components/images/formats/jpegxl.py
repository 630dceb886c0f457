"""JPEG XL: imagecodecs (libjxl) decodes it. The header is read here, because libjxl's is not available without pixels.

The names are those of ISO/IEC 18181-1, Annexes C (the header) and D (metadata). The decoder gives an upright image.
"""

import imagecodecs
import numpy as np

from restem.images.formats.depth import to_full_range
from restem.images.formats.work import check_boxes
from restem.images.header import LOSSY, Header, UnreadableImage

_CODESTREAM = b"\xff\x0a"
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_SIDES = ((1, 9), (1, 13), (1, 18), (1, 30))  # (offset, bits)
_ALPHA = 0
_GREY = 1
_MOST_BITS = 16


class _Bits:
    """Reads numbers from the lowest bit of the first byte on."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def u(self, count: int) -> int:
        """`count` bits."""
        self._left -= count
        if self._left < 0:
            raise EOFError
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        return value

    def u32(self, *choices: tuple[int, int]) -> int:
        """Two bits choose the offset and the number of bits that follow."""
        offset, bits = choices[self.u(2)]
        return offset + self.u(bits)

    def enum(self) -> int:
        """A number for a name."""
        return self.u32((0, 0), (1, 0), (2, 4), (18, 6))


def header(data: bytes) -> Header:
    """The header of the upright image.

    Raises:
      UnreadableImage: it has floating point values, or channels besides alpha.
      ValueError, EOFError: it is damaged.
    """
    bits = _Bits(_codestream(data)[2:4096])
    width, height = _size(bits)
    orientation, depth, alpha, grey = 1, 8, 0, False
    if not bits.u(1):  # all_default
        orientation = _extra_fields(bits) if bits.u(1) else 1
        depth = _depth(bits)
        bits.u(1)  # modular_16bit_buffers
        extra = bits.u32((0, 0), (1, 0), (2, 4), (1, 12))
        if extra > 1:
            raise UnreadableImage(f"JPEG XL files with {extra} channels besides colours are not supported.")
        alpha = extra
        if extra:
            _check_alpha(bits, depth)
        bits.u(1)  # xyb_encoded
        if not bits.u(1):  # ColourEncoding.all_default
            bits.u(1)  # want_icc
            grey = bits.enum() == _GREY
    if depth > _MOST_BITS:
        raise UnreadableImage(f"JPEG XL files with {depth} bits per channel are not supported: use up to {_MOST_BITS}.")
    if orientation >= 5:
        width, height = height, width
    channels = (1 if grey else 3) + alpha
    return Header("JPEGXL", width, height, channels, depth, in_graph=False, altered=LOSSY.format("JPEG XL"))


def read(data: bytes, header: Header) -> np.ndarray:
    """uint8 or uint16 [height, width, channels]; the first frame of an animation.

    Raises:
      Exception: the image data are damaged.
    """
    pixels = np.atleast_3d(imagecodecs.jpegxl_decode(data, index=0, numthreads=1))
    if pixels.ndim == 4:
        pixels = pixels[0]
    # libjxl scales to the whole type, or keeps the stored bits: imagecodecs asks for the latter.
    return to_full_range(pixels, 2**header.bit_depth - 1)


def _codestream(data: bytes) -> bytes:
    """The codestream's beginning: the whole file, or inside a container's box jxlc or (the first) jxlp."""
    if data.startswith(_CODESTREAM):
        return data[:8192]
    at = boxes = 0
    while at + 8 <= len(data):
        boxes += 1
        check_boxes("JPEG XL", boxes)
        size, name, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        if name in (b"jxlc", b"jxlp"):
            start += 4 if name == b"jxlp" else 0
            if data[start : start + 2] == _CODESTREAM:
                return data[start : start + 8192]
            break
        if size < start - at:
            break
        at += size
    raise ValueError("there is no codestream")


def _size(bits: _Bits) -> tuple[int, int]:
    """SizeHeader: width and height."""
    small = bits.u(1)

    def side() -> int:
        return 8 * (1 + bits.u(5)) if small else bits.u32(*_SIDES)

    height = side()
    ratio = bits.u(3)
    if ratio == 0:
        return side(), height
    across, down = _RATIOS[ratio]
    return height * across // down, height


def _extra_fields(bits: _Bits) -> int:
    """The orientation; skips what follows it."""
    orientation = 1 + bits.u(3)
    if bits.u(1):  # intrinsic size
        _size(bits)
    if bits.u(1):  # preview
        small = bits.u(1)
        sides = ((16, 0), (32, 0), (1, 5), (33, 9)) if small else ((1, 6), (65, 8), (321, 10), (1345, 12))
        bits.u32(*sides)
        if bits.u(3) == 0:
            bits.u32(*sides)
    if bits.u(1):  # animation
        bits.u32((100, 0), (1000, 0), (1, 10), (1, 30))
        bits.u32((1, 0), (1001, 0), (1, 8), (1, 10))
        bits.u32((0, 0), (0, 3), (0, 16), (0, 32))
        bits.u(1)
    return orientation


def _depth(bits: _Bits) -> int:
    if bits.u(1):
        raise UnreadableImage("JPEG XL files with floating point values are not supported: convert it to TIFF.")
    return bits.u32((8, 0), (10, 0), (12, 0), (1, 6))


def _check_alpha(bits: _Bits, depth: int) -> None:
    """Refuses an extra channel that is not alpha, of another depth, or that the colours are multiplied with."""
    if bits.u(1):  # d_alpha: alpha with 8 bits
        kind, alpha_depth, associated = _ALPHA, 8, 0
    else:
        kind = bits.enum()
        alpha_depth = _depth(bits)
        shift = bits.u32((0, 0), (3, 0), (4, 0), (1, 3))
        for _ in range(bits.u32((0, 0), (0, 4), (16, 5), (48, 10))):
            bits.u(8)
        associated = bits.u(1) if kind == _ALPHA else 0
        if shift:
            raise UnreadableImage("JPEG XL files with a reduced alpha channel are not supported: convert it to PNG.")
    if kind != _ALPHA or associated or alpha_depth != depth:
        raise UnreadableImage(
            "JPEG XL files with a channel besides colours and plain alpha are not supported: convert it to PNG."
        )

"""Encodes pixels of unsupported formats losslessly, so that TensorFlow can decode them.

Up to four channels of 8 or 16 bits become a PNG. More channels, and floating point, become Restem's raw container:

| bytes | content |
|---|---|
| 0..7 | the signature `\\x8fRESTEM\\x01` |
| 8 | type of the values: 1 uint8, 2 uint16, 3 float32, 4 float64 |
| 9 | 0 |
| 10..11 | channels, unsigned |
| 12..15 | height in pixels, unsigned |
| 16..19 | width in pixels, unsigned |
| 20.. | a zlib stream of the values in the order row, column, channel |

Numbers are little-endian. The graph in `decode` reads the container with tf.io.decode_compressed and tf.io.decode_raw.
"""

import struct
import zlib
from typing import Any

import numpy as np

SIGNATURE = b"\x8fRESTEM\x01"
_HEADER = struct.Struct("<8sBBHII")
HEADER_BYTES = _HEADER.size
TYPE_AT, CHANNELS_AT, HEIGHT_AT, WIDTH_AT = 8, 10, 12, 16
TYPES = {"uint8": 1, "uint16": 2, "float32": 3, "float64": 4}
VALUE_BYTES = {"uint8": 1, "uint16": 2, "float32": 4, "float64": 8}  # in the order of TYPES
_PNG_CHANNELS = 4
_PNG_SIDE = 1_000_000  # libpng's limit


def to_decodable(pixels: np.ndarray) -> bytes:
    """Encodes pixels losslessly for the graph.

    It needs no more memory than the pixels and the result; if the caller keeps no reference to the pixels, no more than
    the larger of that and twice the result.

    Args:
      pixels: uint8, uint16, float32 or float64 [height, width, channels].

    Returns:
      A PNG if it can hold them, otherwise the raw container.
    """
    height, width, channels = pixels.shape
    fits = pixels.dtype in (np.uint8, np.uint16) and channels <= _PNG_CHANNELS and max(height, width) <= _PNG_SIDE
    pixels = _plain(pixels)  # The original is no longer referred to from here.
    parts = _png(pixels) if fits else _raw(pixels)
    del pixels
    return b"".join(parts)


def _png(pixels: np.ndarray) -> list[Any]:
    """The file, as an array: without `out`, imagecodecs would keep a buffer and a copy of it."""
    import imagecodecs  # Pillow writes 16 bits only for grey.

    # For 16 bits, this gives the same size as libpng's defaults in a tenth of the time, because it does not search for
    # matches in the noisy low bytes.
    how = {"level": 1, "strategy": imagecodecs.PNG.STRATEGY.RLE, "filter": imagecodecs.PNG.FILTER.PAETH}
    rows = pixels.nbytes + pixels.shape[0]  # one byte for each row's filter
    return [imagecodecs.png_encode(pixels, out=_buffer(rows), **how)]


def _buffer(size: int) -> Any:
    """Memory for the compressed form of so many bytes, even if they cannot be compressed.

    zlib adds less than 1/24, libpng 12 bytes to 8192. What is not written to takes no memory.
    """
    return np.empty(size + size // 16 + 2**16, np.uint8)


def _plain(pixels: np.ndarray) -> np.ndarray:
    """The array with the strides of its shape, as codecs and Pillow need them.

    NumPy calls an array contiguous whatever the strides of its axes with one element are, such as 0 after [..., None].
    """
    size, strides = pixels.itemsize, []
    for length in reversed(pixels.shape):
        strides.append(size)
        size *= length
    return pixels if pixels.strides == tuple(reversed(strides)) else pixels.copy(order="C")


def pack(pixels: np.ndarray) -> bytes:
    """uint8, uint16, float32 or float64 [height, width, channels] -> the raw container."""
    return b"".join(_raw(_plain(pixels)))


def _raw(pixels: np.ndarray) -> list[Any]:
    """The container's header and its stream, as an array."""
    import imagecodecs

    height, width, channels = pixels.shape
    header = _HEADER.pack(SIGNATURE, TYPES[pixels.dtype.name], 0, channels, height, width)
    little_endian = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    # A zlib stream from libdeflate: the same size in a sixth of the time of zlib's default level.
    values: Any = little_endian.reshape(-1).view(np.uint8)  # A buffer, without a copy; the stubs know only bytes.
    return [header, imagecodecs.deflate_encode(values, level=1, raw=False, out=_buffer(pixels.nbytes))]


def unpack(data: bytes) -> np.ndarray:
    """The inverse of pack, for code that shows images without TensorFlow.

    Raises:
      ValueError: the data are not a complete container.
    """
    signature, kind, _, channels, height, width = _HEADER.unpack_from(data)
    names = {code: name for name, code in TYPES.items()}
    if signature != SIGNATURE or kind not in names:
        raise ValueError("this is not a raw container")
    size = height * width * channels * np.dtype(names[kind]).itemsize
    values = zlib.decompressobj().decompress(data[HEADER_BYTES:], size)
    return np.frombuffer(values, np.dtype(names[kind]).newbyteorder("<")).reshape(height, width, channels)

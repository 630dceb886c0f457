"""How pixels that no decoder of TensorFlow takes are put so that one does, losslessly.

Up to four channels of 8 or 16 bits become a PNG. More channels, and floating point, become Restem's raw container:

| bytes | what |
|---|---|
| 0..7 | the signature `\\x8fRESTEM\\x01` |
| 8 | type of the values: 1 uint8, 2 uint16, 3 float32 |
| 9 | 0 |
| 10..11 | channels, unsigned |
| 12..15 | height in pixels, unsigned |
| 16..19 | width in pixels, unsigned |
| 20.. | a zlib stream of the values, by row, then column, then channel |

Numbers are little-endian. The graph in `decode` reads it with tf.io.decode_compressed and tf.io.decode_raw.
"""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x8fRESTEM\x01"
_HEADER = struct.Struct("<8sBBHII")
HEADER_BYTES = _HEADER.size
TYPE_AT, CHANNELS_AT, HEIGHT_AT, WIDTH_AT = 8, 10, 12, 16
TYPES = {"uint8": 1, "uint16": 2, "float32": 3}
_PNG_CHANNELS = 4
_PNG_SIDE = 1_000_000  # libpng's limit


def to_decodable(pixels: np.ndarray) -> bytes:
    """Encodes pixels losslessly for the graph.

    Args:
      pixels: uint8, uint16 or float32 [height, width, channels].

    Returns:
      A PNG where it can hold them, else the raw container.
    """
    height, width, channels = pixels.shape
    if pixels.dtype != np.float32 and channels <= _PNG_CHANNELS and max(height, width) <= _PNG_SIDE:
        return _png(pixels)
    return pack(pixels)


def _png(pixels: np.ndarray) -> bytes:
    import imagecodecs  # Pillow writes 16 bits for grey alone.

    # Of 16 bits a tenth of the time that libpng takes by itself, and as small: their low bytes are noise to search in.
    how = {"level": 1, "strategy": imagecodecs.PNG.STRATEGY.RLE, "filter": imagecodecs.PNG.FILTER.PAETH}
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels), **how))


def pack(pixels: np.ndarray) -> bytes:
    """uint8, uint16 or float32 [height, width, channels] -> the raw container."""
    import imagecodecs

    height, width, channels = pixels.shape
    header = _HEADER.pack(SIGNATURE, TYPES[pixels.dtype.name], 0, channels, height, width)
    little_endian = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    # A zlib stream by libdeflate: a sixth of zlib's time at its default level, and as small.
    return header + imagecodecs.deflate_encode(little_endian.tobytes(), level=1, raw=False)


def unpack(data: bytes) -> np.ndarray:
    """The inverse of pack, for what looks at images without TensorFlow.

    Raises:
      ValueError: not a whole container.
    """
    signature, kind, _, channels, height, width = _HEADER.unpack_from(data)
    names = {code: name for name, code in TYPES.items()}
    if signature != SIGNATURE or kind not in names:
        raise ValueError("this is not a raw container")
    size = height * width * channels * np.dtype(names[kind]).itemsize
    values = zlib.decompressobj().decompress(data[HEADER_BYTES:], size)
    return np.frombuffer(values, np.dtype(names[kind]).newbyteorder("<")).reshape(height, width, channels)

"""Reads the files that TensorFlow does not decode: NumPy arrays, WebP, TIFF and the rarer BMP and GIF files."""

from pathlib import Path

import numpy as np

from restem.images.container import to_decodable
from restem.images.formats import npy, pillow
from restem.images.header import Header, UnreadableImage
from restem.images.probe import probe

# Limits for single files that a client sends to a served model.
_MAX_PIXELS = 2**30
_MAX_BYTES = 2**31 - 1
_FLOAT32_WHOLE, _FLOAT64_WHOLE = 2**24, 2**53


def encode_for_serving(path: str | Path) -> bytes:
    """What a client sends to the served model for a file: `image_bytes`, or the feature of that name in a tf.Example.

    PNG, JPEG and the usual GIF and BMP files are sent unchanged. TIFF, WebP, `.npy`, other BMP files, and GIF files
    with transparency or several frames are decoded here and encoded losslessly, see `restem.images.container`. So
    serving the model needs only TensorFlow.

    Raises:
      UnreadableImage: the file is not an image, or is damaged; the message is a sentence.
      OSError: the file cannot be read.
    """
    data = Path(path).read_bytes()
    return decodable(data, probe(data, max_pixels=_MAX_PIXELS, max_bytes=_MAX_BYTES))


def decodable(data: bytes, header: Header) -> bytes:
    """The file unchanged if the graph decodes it, otherwise its pixels in a format that the graph decodes.

    Args:
      data: the file's content.
      header: the result of `probe`, which has checked the limits.

    Raises:
      UnreadableImage: the image data are damaged.
    """
    return data if header.in_graph else to_decodable(read_array(data, header))


def read_array(data: bytes, header: Header) -> np.ndarray:
    """The pixels of a file that TensorFlow does not decode.

    Returns:
      uint8, uint16, or (header.needs_range) float32 or float64 [height, width, channels].

    Raises:
      UnreadableImage: the image data are damaged, or contain values that float64 cannot represent.
    """
    if header.format == "NPY":
        pixels = npy.read_npy(data)
    elif header.format == "TIFF":
        from restem.images.formats.tiff import read_tiff

        pixels = read_tiff(data)
    else:
        pixels = pillow.read_pixels(data, header)
    return as_stored(pixels)


def as_stored(pixels: np.ndarray) -> np.ndarray:
    """uint8 and uint16 unchanged, true and false as 255 and 0, everything else as float32, or float64 if it is needed.

    float64 is for integers beyond 2**24, such as those of 32 bits, and for values beyond the range of float32.

    Raises:
      UnreadableImage: values are not finite, or are integers too large for float64 to represent exactly.
    """
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * 255
    low, high = (pixels.min(), pixels.max()) if pixels.size else (0, 0)  # NaN, if there is one
    if np.issubdtype(pixels.dtype, np.integer):
        largest = max(-int(low), int(high))
        if largest > _FLOAT64_WHOLE:
            raise UnreadableImage(f"It has whole numbers beyond {_FLOAT64_WHOLE:,}: scale them to 16 bits.")
        return pixels.astype(np.float32 if largest <= _FLOAT32_WHOLE else np.float64)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UnreadableImage("It has values that are not finite (NaN or infinity): replace them.")
    if max(-float(low), float(high)) > np.finfo(np.float32).max:
        with np.errstate(over="ignore"):
            pixels = pixels.astype(np.float64)
        if not (np.isfinite(pixels.min()) and np.isfinite(pixels.max())):  # of a longer type
            raise UnreadableImage("It has values beyond the range of 64-bit floating point: scale them.")
        return pixels
    return pixels.astype(np.float32, copy=False)

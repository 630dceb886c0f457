"""Reads the files that TensorFlow does not decode: NumPy arrays, WebP, TIFF and the rarer BMP and GIF files."""

from pathlib import Path

import numpy as np

from restem.images.config import DicomReading
from restem.images.container import to_decodable
from restem.images.formats import npy, pillow
from restem.images.formats.others import OTHERS, read_other
from restem.images.header import Header, UnreadableImage, check_dicom
from restem.images.probe import probe

# Limits for single files that a client sends to a served model.
_MAX_PIXELS = 2**30
_MAX_BYTES = 2**31 - 1
_FLOAT32_WHOLE = 2**24


def encode_for_serving(path: str | Path, dicom: DicomReading | None = None) -> bytes:
    """What a client sends to the served model for a file: `image_bytes`, or the feature of that name in a tf.Example.

    PNG, JPEG and the usual GIF and BMP files are sent unchanged. TIFF, WebP, `.npy`, other BMP files, GIF files with
    transparency or several frames, and all further formats are decoded here and encoded losslessly, see
    `restem.images.container`. So serving the model needs only TensorFlow.

    Args:
      path: the file.
      dicom: how the model's configuration reads DICOM files, see `restem.images.dicom_reading`.

    Raises:
      UnreadableImage: the file is not an image, or is damaged; the message is a sentence.
      OSError: the file cannot be read.
    """
    data = Path(path).read_bytes()
    header = probe(data, max_pixels=_MAX_PIXELS, max_bytes=_MAX_BYTES)
    check_dicom(header, dicom)
    return decodable(data, header, dicom)


def decodable(data: bytes, header: Header, dicom: DicomReading | None = None) -> bytes:
    """The file unchanged if the graph decodes it, otherwise its pixels in a format that the graph decodes.

    Args:
      data: the file's content.
      header: the result of `probe`, which has checked the limits.
      dicom: how DICOM files are read.

    Raises:
      UnreadableImage: the image data are damaged.
    """
    return data if header.in_graph else to_decodable(read_array(data, header, dicom))


def read_array(data: bytes, header: Header, dicom: DicomReading | None = None) -> np.ndarray:
    """The pixels of a file that TensorFlow does not decode.

    Args:
      data: the file's content.
      header: the result of `probe`.
      dicom: how DICOM files are read; None gives the values in the modality's units, as `restem init` needs them.

    Returns:
      uint8, uint16, or (header.needs_range) float32 [height, width, channels].

    Raises:
      UnreadableImage: the image data are damaged, or contain values that float32 cannot represent.
    """
    if header.format == "NPY":
        pixels = npy.read_npy(data)
    elif header.format == "TIFF":
        from restem.images.formats.tiff import read_tiff

        pixels = read_tiff(data)
    elif header.format in OTHERS:
        pixels = read_other(data, header, dicom)
    else:
        pixels = pillow.read_pixels(data, header)
    return as_stored(pixels)


def as_stored(pixels: np.ndarray) -> np.ndarray:
    """uint8 and uint16 unchanged, true and false as 255 and 0, everything else as float32.

    Raises:
      UnreadableImage: values are not finite, or are integers too large for float32 to represent exactly.
    """
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * 255
    if np.issubdtype(pixels.dtype, np.integer):
        if pixels.size and (pixels.max() > _FLOAT32_WHOLE or pixels.min() < -_FLOAT32_WHOLE):
            raise UnreadableImage(f"It has values beyond {_FLOAT32_WHOLE:,}: scale them to 16 bits, or to floats.")
    elif not np.isfinite(pixels).all():
        raise UnreadableImage("It has values that are not finite (NaN or infinity): replace them.")
    with np.errstate(over="ignore"):
        values = pixels.astype(np.float32)
    if not np.isfinite(values).all():
        raise UnreadableImage("It has values beyond the range of 32-bit floating point: scale them.")
    return values

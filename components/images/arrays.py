"""Reads the files that TensorFlow does not decode: NumPy arrays, WebP, TIFF and the rarer BMP and GIF files."""

from pathlib import Path

import numpy as np

from restem.images.config import ArrayAxes, DicomReading
from restem.images.container import to_decodable
from restem.images.formats import npy, pillow
from restem.images.formats.others import OTHERS, read_other
from restem.images.header import Header, UnreadableImage, check_dicom, check_finite, check_nodata
from restem.images.nodata import Nodata
from restem.images.probe import probe

# Limits for single files that a client sends to a served model.
_MAX_PIXELS = 2**30
_MAX_BYTES = 2**31 - 1
_FLOAT32_WHOLE, _FLOAT64_WHOLE = 2**24, 2**53


def encode_for_serving(
    path: str | Path,
    dicom: DicomReading | None = None,
    *,
    array_axes: ArrayAxes = "hwc",
    nodata: Nodata | None = None,
) -> bytes:
    """What a client sends to the served model for a file: `image_bytes`, or the feature of that name in a tf.Example.

    PNG, JPEG and the usual GIF and BMP files are sent unchanged. TIFF, WebP, `.npy`, other BMP files, GIF files with
    transparency or several frames, and all further formats are decoded here and encoded losslessly, see
    `restem.images.container`. So serving the model needs only TensorFlow.

    Args:
      path: the file.
      dicom: how the model's configuration reads DICOM files, see `restem.images.dicom_reading`.
      array_axes: the axes of `.npy` arrays, as data.array_axes in the model's configuration.
      nodata: which values are no data, see `restem.images.nodata_rule`. They are sent; the model finds them. Without
        it, NaN and infinity are refused.

    Raises:
      UnreadableImage: the file is not an image, or is damaged; the message is a sentence.
      OSError: the file cannot be read.
    """
    data = Path(path).read_bytes()
    header = probe(data, max_pixels=_MAX_PIXELS, max_bytes=_MAX_BYTES, array_axes=array_axes)
    check_dicom(header, dicom)
    check_nodata(header, nodata)
    return decodable(data, header, dicom, finite=nodata is None or not nodata.allows_not_finite)


def decodable(data: bytes, header: Header, dicom: DicomReading | None = None, *, finite: bool = True) -> bytes:
    """The file unchanged if the graph decodes it, otherwise its pixels in a format that the graph decodes.

    Args:
      data: the file's content.
      header: the result of `probe`, which has checked the limits.
      dicom: how DICOM files are read.
      finite: see `read_array`.

    Raises:
      UnreadableImage: the image data are damaged.
    """
    return data if header.in_graph else to_decodable(read_array(data, header, dicom, finite=finite))


def read_array(data: bytes, header: Header, dicom: DicomReading | None = None, *, finite: bool = True) -> np.ndarray:
    """The pixels of a file that TensorFlow does not decode.

    Args:
      data: the file's content.
      header: the result of `probe`.
      dicom: how DICOM files are read; None gives the values in the modality's units, as `restem init` needs them.
      finite: whether NaN and infinity are refused here. If not, `graph.missing` decides.

    Returns:
      uint8, uint16, or (header.needs_range) float32 or float64 [height, width, channels].

    Raises:
      UnreadableImage: the image data are damaged, or contain values that float64 cannot represent.
    """
    if header.format == "NPY":
        pixels = npy.read_npy(data, channels_first=header.channels_first)
    elif header.format == "TIFF":
        from restem.images.formats.tiff import read_tiff

        pixels = read_tiff(data)
    elif header.format in OTHERS:
        pixels = read_other(data, header, dicom)
    else:
        pixels = pillow.read_pixels(data, header)
    return as_stored(pixels, finite=finite)


def as_stored(pixels: np.ndarray, *, finite: bool = True) -> np.ndarray:
    """uint8 and uint16 unchanged, true and false as 255 and 0, everything else as float32, or float64 if it is needed.

    float64 is for integers beyond 2**24, such as those of 32 bits, and for values beyond the range of float32.

    Raises:
      UnreadableImage: values are not finite, or are integers too large for float64 to represent exactly.
    """
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8)
        pixels *= 255
        return pixels
    if np.issubdtype(pixels.dtype, np.integer):
        low, high = (pixels.min(), pixels.max()) if pixels.size else (0, 0)
        largest = max(-int(low), int(high))
        if largest > _FLOAT64_WHOLE:
            raise UnreadableImage(f"It has whole numbers beyond {_FLOAT64_WHOLE:,}: scale them to 16 bits.")
        return pixels.astype(np.float32 if largest <= _FLOAT32_WHOLE else np.float64)
    known, magnitude = _finite_values(pixels)
    if finite:
        check_finite(pixels.size - known, None)
    if magnitude > float(np.finfo(np.float32).max):
        with np.errstate(over="ignore"):
            pixels = pixels.astype(np.float64)
        if _finite_values(pixels)[0] < known:  # of a longer type
            raise UnreadableImage("It has values beyond the range of 64-bit floating point: scale them.")
        return pixels
    return pixels.astype(np.float32, copy=False)


def _finite_values(pixels: np.ndarray) -> tuple[int, float]:
    """How many values are finite, and the largest magnitude among them; without a copy of the values."""
    if not pixels.size:
        return 0, 0.0
    low, high = pixels.min(), pixels.max()
    if np.isfinite(low) and np.isfinite(high):
        return pixels.size, max(-float(low), float(high))
    finite = np.isfinite(pixels)
    low, high = pixels.min(where=finite, initial=0), pixels.max(where=finite, initial=0)
    return int(np.count_nonzero(finite)), max(-float(low), float(high))

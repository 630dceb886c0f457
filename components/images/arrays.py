"""Pixels of the files that TensorFlow does not decode: NumPy's arrays, WebP, TIFF and the rarer BMP and GIF files."""

import io
from pathlib import Path

import numpy as np

from components.images.container import to_decodable
from components.images.probe import (
    Header,
    UnreadableImage,
    damaged,
    exif_orientation,
    explain_failure,
    in_brackets,
    incomplete,
    open_image,
    probe,
)

# Limits of a file that a user names one by one, for a served model.
_MAX_PIXELS = 2**30
_MAX_BYTES = 2**31 - 1
_NPY_HEADER_BYTES = 10_000
_FLOAT32_WHOLE = 2**24


def encode_for_serving(path: str | Path) -> bytes:
    """What a client sends to the served model for a file: `image_bytes`, or the feature of that name in a tf.Example.

    PNG, JPEG and the usual GIF and BMP files go as they are. TIFF, WebP, `.npy`, other BMP files, and GIF files with
    transparency or several frames are decoded here, and encoded losslessly as `components.images.container` says: so
    the model is served with TensorFlow alone.

    Raises:
      UnreadableImage: the file is no image, or damaged; its message is a sentence.
      OSError: the file cannot be read.
    """
    data = Path(path).read_bytes()
    return decodable(data, probe(data, max_pixels=_MAX_PIXELS, max_bytes=_MAX_BYTES))


def decodable(data: bytes, header: Header) -> bytes:
    """The file as it is where the graph decodes it, else its pixels in a form that the graph decodes.

    Args:
      data: the file's content.
      header: `probe`'s, which has checked the limits.

    Raises:
      UnreadableImage: the image data are damaged.
    """
    return data if header.in_graph else to_decodable(read_array(data, header))


def read_array(data: bytes, header: Header) -> np.ndarray:
    """The pixels of a file that TensorFlow does not decode.

    Returns:
      uint8, uint16, or (header.needs_range) float32 [height, width, channels].

    Raises:
      UnreadableImage: the image data are damaged, or hold values that float32 cannot.
    """
    if header.format == "NPY":
        pixels = _read_npy(data)
    elif header.format == "TIFF":
        from components.images.tiff import read_tiff

        pixels = read_tiff(data)
    else:
        pixels = _read_with_pillow(data, header)
    return as_stored(pixels)


def as_stored(pixels: np.ndarray) -> np.ndarray:
    """uint8 and uint16 as they are, true and false as 255 and 0, everything else as float32.

    Raises:
      UnreadableImage: values that are no finite numbers, or whole numbers beyond what float32 holds exactly.
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
        raise UnreadableImage("It has values that are no finite numbers (NaN or infinite): replace them.")
    with np.errstate(over="ignore"):
        values = pixels.astype(np.float32)
    if not np.isfinite(values).all():
        raise UnreadableImage("It has values beyond the range of 32-bit floating point: scale them.")
    return values


def needs_range(dtype: np.dtype) -> bool:
    """Whether values of this type mean nothing without a declared black and white."""
    return dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.bool_)


def npy_header(data: bytes) -> Header:
    """The header of a .npy file: [height, width] or [height, width, channels] of numbers.

    Raises:
      UnreadableImage: another shape or type.
    """
    shape, dtype, _ = _npy_layout(data)
    if dtype.hasobject or dtype.kind not in "buif" or dtype.names is not None:
        raise UnreadableImage(f"The array holds {dtype.name}, not real numbers.")
    if len(shape) not in (2, 3):
        given = " x ".join(map(str, shape)) or "a single number"
        raise UnreadableImage(f"The array must have 2 or 3 dimensions (height, width, channels); it is {given}.")
    height, width, channels = (*shape, 1)[:3]
    return Header("NPY", width, height, channels, 8 * dtype.itemsize, needs_range=needs_range(dtype), in_graph=False)


def _npy_layout(data: bytes) -> tuple[tuple[int, ...], np.dtype, int]:
    """Shape, type, and where the values start."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_NPY_HEADER_BYTES)
        elif version == (2, 0):
            shape, _, dtype = np.lib.format.read_array_header_2_0(file, max_header_size=_NPY_HEADER_BYTES)
        else:
            raise ValueError(f"version {version[0]}.{version[1]}")
    except Exception as error:  # NumPy raises whatever damaged bytes lead it to.
        # It quotes what it could not read behind a colon.
        raise damaged("NPY", in_brackets(error).partition(":")[0]) from None
    return shape, dtype, file.tell()


def _read_npy(data: bytes) -> np.ndarray:
    shape, dtype, start = _npy_layout(data)
    if int(np.prod(shape, dtype=object)) * dtype.itemsize > len(data) - start:
        raise UnreadableImage(incomplete("NPY"))
    try:
        pixels = np.load(io.BytesIO(data), allow_pickle=False, max_header_size=_NPY_HEADER_BYTES)
    except Exception as error:
        raise UnreadableImage(f"The NPY file's data are damaged ({in_brackets(error)}).") from None
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _read_with_pillow(data: bytes, header: Header) -> np.ndarray:
    from PIL import ImageOps

    try:
        with open_image(data, header) as image:
            image.load()
            upright = image if exif_orientation(image) == 1 else ImageOps.exif_transpose(image)
            return np.asarray(upright.convert("RGBA" if header.channels == 4 else "RGB"))
    except Exception:  # Pillow's plugins raise whatever damaged bytes lead them to.
        raise UnreadableImage(explain_failure(data, header.format)) from None

"""NumPy .npy files."""

import io
from typing import Literal

import numpy as np

from restem.images.header import Header, UnreadableImage, damaged, in_brackets, incomplete, needs_range

_NPY_HEADER_BYTES = 10_000


def npy_header(data: bytes, *, channels_first: bool = False) -> Header:
    """The header of a .npy file that holds numbers [height, width] or [height, width, channels].

    With `channels_first` the second is [channels, height, width].

    Raises:
      UnreadableImage: the shape or type differs, or the header is damaged.
    """
    shape, dtype, _, _ = _npy_layout(data)
    if dtype.hasobject or dtype.kind not in "buif" or dtype.names is not None:
        raise UnreadableImage(f"The array holds {dtype.name}, not real numbers.")
    if len(shape) not in (2, 3):
        given = " x ".join(map(str, shape)) or "a single number"
        raise UnreadableImage(f"The array must have 2 or 3 dimensions (height, width, channels); it is {given}.")
    channels_first &= len(shape) == 3
    height, width, channels = (*shape[1:], shape[0]) if channels_first else (*shape, 1)[:3]
    return Header(
        "NPY",
        width,
        height,
        channels,
        8 * dtype.itemsize,
        needs_range=needs_range(dtype),
        in_graph=False,
        channels_first=channels_first,
        whole=dtype.kind != "f",
    )


def read_npy(data: bytes, *, channels_first: bool = False) -> np.ndarray:
    """The array [height, width, channels] in the file's dtype. It is a view of `data`, which cannot be written to.

    Raises:
      UnreadableImage: the file is damaged or truncated.
    """
    shape, dtype, start, order = _npy_layout(data)
    count = int(np.prod(shape, dtype=object))
    if count * dtype.itemsize > len(data) - start:
        raise UnreadableImage(incomplete("NPY"))
    pixels = np.frombuffer(data, dtype, count, start).reshape(shape, order=order)
    if pixels.ndim == 2:
        return pixels[..., None]
    return pixels.transpose(1, 2, 0) if channels_first else pixels


def _npy_layout(data: bytes) -> tuple[tuple[int, ...], np.dtype, int, Literal["C", "F"]]:
    """Shape, dtype, the offset of the values, and their order."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_NPY_HEADER_BYTES)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file, max_header_size=_NPY_HEADER_BYTES)
        else:
            raise ValueError(f"version {version[0]}.{version[1]}")
    except Exception as error:  # NumPy may raise anything on damaged bytes.
        # NumPy quotes the unreadable text after a colon.
        raise damaged("NPY", in_brackets(error).partition(":")[0]) from None
    return shape, dtype, file.tell(), "F" if fortran else "C"

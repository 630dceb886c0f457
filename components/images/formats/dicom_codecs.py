"""imagecodecs as pydicom's decoder of the JPEG family.

Why imagecodecs: it is required anyway for TIFF, reads all of these transfer syntaxes, and is under the BSD licence.
Of pydicom's own plug-ins, pylibjpeg-libjpeg is under the GPL, Pillow reduces 16-bit colours and does not read 12-bit
JPEG, lossless JPEG and JPEG-LS, and GDCM would be one more large package. RLE and uncompressed data are pydicom's own.

The functions and names are what pydicom expects of a plug-in, see `pydicom.pixels.common.CoderBase.add_plugin`.
"""

import struct

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.pixels import get_decoder
from pydicom.pixels.common import PhotometricInterpretation
from pydicom.pixels.decoders.base import DecodeRunner

from restem.images.formats.jpeg2000 import codestream_size
from restem.images.formats.work import check_jpeg

LABEL = "imagecodecs"
_JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
_LOSSLESS = (uid.JPEGLossless, uid.JPEGLosslessSV1)
_JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
_JPEG2000 = (uid.JPEG2000Lossless, uid.JPEG2000)
_HTJ2K = (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)
DECODER_DEPENDENCIES = {one: ("imagecodecs",) for one in (*_JPEG, *_LOSSLESS, *_JPEG_LS, *_JPEG2000, *_HTJ2K)}
_WITHOUT_LENGTH = {0xD8, 0x01, *range(0xD0, 0xD8)}  # start of image, TEM, restarts
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15, SOF55; not DHT, JPG and DAC
_END_OF_IMAGE, _PADDING = b"\xff\xd9", 16
_SIZE = struct.Struct(">BHHB")  # precision, height, width, components


def is_available(syntax: str) -> bool:
    """Whether a transfer syntax is decoded here."""
    return syntax in DECODER_DEPENDENCIES


def register() -> None:
    """Adds these decoders to pydicom; it is called while one module is imported, and so once."""
    for syntax in DECODER_DEPENDENCIES:
        decoder = get_decoder(syntax)
        if LABEL not in decoder.available_plugins:
            decoder.add_plugin(LABEL, (__name__, "decode_frame"))


def decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """One frame's pixels, in the byte order of this machine.

    Raises:
      ValueError: the frame's own header gives another size than the DICOM header, which was checked against the limits.
      Exception: the data are damaged.
    """
    syntax = runner.transfer_syntax
    jpeg2000 = syntax in (*_JPEG2000, *_HTJ2K)
    expected = (runner.columns, runner.rows, runner.samples_per_pixel)
    if jpeg2000:
        width, height, depths = codestream_size(src, max(src.find(b"\xff\x4f\xff\x51", 0, 4096), 0))
        size = (width, height, len(depths))
    else:
        if _END_OF_IMAGE not in src[-_PADDING:]:
            # libjpeg would fill what is missing with grey, and CharLS searches for the end behind the buffer.
            raise EOFError("the frame is cut off")
        if syntax in (*_JPEG, *_LOSSLESS):
            check_jpeg(src)
        size = _jpeg_size(src)
    if size != expected:
        raise ValueError(f"a frame of {size} instead of {expected}")
    pixels = _decoded(src, syntax, expected[2])
    if pixels.ndim == 3 and pixels.shape[0] == expected[2] and pixels.shape[:2] != (runner.rows, runner.columns):
        runner.set_option("planar_configuration", 1)
    elif pixels.ndim == 3:
        runner.set_option("planar_configuration", 0)
    if pixels.size != runner.columns * runner.rows * runner.samples_per_pixel:
        raise ValueError("a frame of another size")
    runner.set_option("bits_allocated", 8 * pixels.dtype.itemsize)
    if jpeg2000 and runner.photometric_interpretation in (
        PhotometricInterpretation.YBR_ICT,
        PhotometricInterpretation.YBR_RCT,
    ):
        runner.set_option("photometric_interpretation", PhotometricInterpretation.RGB)  # The decoder has converted.
    return np.ascontiguousarray(pixels).tobytes()


def _decoded(src: bytes, syntax: str, samples: int) -> np.ndarray:
    if syntax in (*_JPEG2000, *_HTJ2K):
        # OpenJPEG decodes HTJ2K as well; imagecodecs.htj2k_decode returns noise for damaged data instead of an error.
        return imagecodecs.jpeg2k_decode(src, numthreads=1)
    if syntax in _JPEG_LS:
        return imagecodecs.jpegls_decode(src)
    if syntax in _LOSSLESS:
        return imagecodecs.jpegsof3_decode(src)
    # The same colour space on both sides: pydicom converts, as the DICOM header says.
    space = "GRAYSCALE" if samples == 1 else "YCBCR"
    return imagecodecs.jpeg8_decode(src, colorspace=space, outcolorspace=space)


def _jpeg_size(src: bytes) -> tuple[int, int, int]:
    """Width, height and components of a JPEG or JPEG-LS, from the segment SOF."""
    at = 0
    while at + 4 <= len(src):
        if src[at] != 0xFF:
            break
        marker = src[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        elif marker in _FRAMES:
            _, height, width, components = _SIZE.unpack_from(src, at + 4)
            return width, height, components
        else:
            at += 2 + int.from_bytes(src[at + 2 : at + 4], "big")
    raise ValueError("a frame without a header")

"""The formats beside PNG, JPEG, BMP, GIF, WebP, TIFF and .npy: which one a file is, its header, and its pixels.

TensorFlow decodes none of them, so their pixels are stored losslessly in a format that the graph decodes. A module is
imported for the first file that needs it.
"""

from types import ModuleType

import numpy as np

from restem.images.config import DicomReading
from restem.images.header import Header, UnreadableImage, damaged, in_brackets

DICOM = "DICOM"
_JPEG2000_STARTS = (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")
_JPEGXL_STARTS = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
_AVIF_BRANDS = (b"avif", b"avis")
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
OTHERS = frozenset({"JPEG2000", "PNM", "JPEGXL", "AVIF", "HEIC", DICOM})
_DICOM_MARK, _DICOM_MARK_AT = b"DICM", 128
# Files without the preamble begin with the group 0002 or 0008, in little endian. The element's number and type are
# checked as well, because two bytes are no signature.
_DICOM_GROUPS = (b"\x02\x00", b"\x08\x00")


def other_format(data: bytes) -> str | None:
    """The name of the format, by content; None if it is none of these."""
    if data.startswith(_JPEG2000_STARTS):
        return "JPEG2000"
    if data.startswith(_JPEGXL_STARTS):
        return "JPEGXL"
    if data[:1] == b"P" and data[1:2] in b"1234567Ff" and data[2:3].isspace():
        return "PNM"
    if data[4:8] == b"ftyp":
        return _isobmff(data)
    if data[_DICOM_MARK_AT : _DICOM_MARK_AT + 4] == _DICOM_MARK or _bare_dicom(data):
        return DICOM
    return None


def other_header(data: bytes) -> Header | None:
    """The header of a file in one of these formats; None for other formats.

    Raises:
      UnreadableImage: the header is damaged, the file is of an unsupported kind, or an optional package is missing.
    """
    kind = other_format(data)
    if kind is None:
        return None
    try:
        return _module(kind).header(data)
    except (UnreadableImage, MemoryError):
        raise
    except Exception as error:  # The readers may raise anything on damaged bytes.
        raise damaged(kind, _said(kind, error)) from None


def read_other(data: bytes, header: Header, dicom: DicomReading | None = None) -> np.ndarray:
    """The pixels [height, width, channels]: uint8, uint16, or float32 if header.needs_range.

    Call `other_header` and check the limits first.

    Args:
      data: the whole file.
      header: its header.
      dicom: how DICOM files are read; None gives the values in the modality's units.

    Raises:
      UnreadableImage: the image data are damaged, or of an unsupported kind.
    """
    try:
        more = (dicom,) if header.format == DICOM else ()
        pixels = _module(header.format).read(data, header, *more)
    except (UnreadableImage, MemoryError):
        raise
    except Exception as error:  # As above.
        said = _said(header.format, error)
        raise UnreadableImage(f"The {header.format} file's image data are damaged ({said}).") from None
    if pixels.shape != (header.height, header.width, header.channels):
        raise UnreadableImage(f"The {header.format} file's image data are damaged (they differ from its header).")
    return pixels


def _said(kind: str, error: Exception) -> str:
    """The reason in brackets. DICOM's own messages may quote the file, and with it the patient."""
    return type(error).__name__ if kind == DICOM else in_brackets(error)


def _module(kind: str) -> ModuleType:
    """The format's module. The imports are spelled out, because the fingerprint of the code follows them."""
    match kind:
        case "JPEG2000":
            from restem.images.formats import jpeg2000

            return jpeg2000
        case "PNM":
            from restem.images.formats import pnm

            return pnm
        case "JPEGXL":
            from restem.images.formats import jpegxl

            return jpegxl
        case "AVIF":
            from restem.images.formats import avif

            return avif
        case "HEIC":
            from restem.images.formats import heic

            return heic
    from restem.images.formats import dicom

    return dicom


def _isobmff(data: bytes) -> str | None:
    """AVIF or HEIC by the brands of an ISO base media file; None for video."""
    size = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, size, 4))]
    if brands[0] in _AVIF_BRANDS or (brands[0] in (b"mif1", b"msf1") and set(brands) & set(_AVIF_BRANDS)):
        return "AVIF"
    return "HEIC" if brands[0] in _HEIC_BRANDS else None


def _bare_dicom(data: bytes) -> bool:
    """Whether the file begins with a DICOM element of group 0002 or 0008, without the preamble."""
    if data[:2] not in _DICOM_GROUPS or len(data) < _DICOM_MARK_AT:
        return False
    explicit = data[4:6].isalpha() and data[4:6].isupper()
    length = int.from_bytes(data[6:8] if explicit else data[4:8], "little")
    # The first element of group 0002 is its length; of group 0008, a number below 0100 with a short value.
    if data[:2] == b"\x02\x00":
        return data[2:4] in (b"\x00\x00", b"\x01\x00", b"\x02\x00", b"\x10\x00") and explicit
    return data[3] == 0 and length <= _DICOM_MARK_AT and data[2] in (0x00, 0x01, 0x05, 0x08, 0x16, 0x18)

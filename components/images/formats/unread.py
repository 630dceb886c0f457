"""Names the format of unsupported files, as far as their bytes show it."""

import io

from PIL import Image

_LISTED = "PNG, JPEG, BMP, GIF, WebP, TIFF, JPEG 2000, PNM, JPEG XL, AVIF, HEIC, DICOM and NumPy's .npy"
# Common unsupported formats that Pillow does not know either: (offset, bytes there, name).
_OTHERS = (
    (0, b"SIMPLE  =", "FITS"),
    (344, b"n+1\0", "NIfTI"),
    (4, b"ftyp", "video"),
    (0, b"\x1aE\xdf\xa3", "video"),
    (8, b"AVI LIST", "video"),
    (0, b"NRRD000", "NRRD"),
    (0, b"ZISRAWFILE", "CZI"),
    (0, b"%PDF-", "PDF"),
)
_PACKED = ((b"PK\x03\x04", "a ZIP archive (as .npz is)"), (b"\x1f\x8b", "a gzip file"))
_GIT_LFS = b"version https://git-lfs"


def what_it_is(data: bytes) -> str:
    """A sentence for a file in an unsupported format."""
    name = next((name for at, start, name in _OTHERS if data.startswith(start, at)), None) or _known_to_pillow(data)
    if name is not None:
        return f"{name} is not supported: convert it to a supported format ({_LISTED})."
    packed = next((what for start, what in _PACKED if data.startswith(start)), None)
    if packed is not None:
        return f"It is {packed}, not an image (supported: {_LISTED}): unpack it."
    if data.startswith(_GIT_LFS):
        return "It is a Git LFS pointer, not the image: fetch the image with git lfs pull."
    if b"\0" not in data[:1024]:
        return f"It is text, not an image (supported: {_LISTED})."
    return f"It is not an image (supported: {_LISTED})."


def _known_to_pillow(data: bytes) -> str | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.format
    except Exception:  # Pillow's plugins may raise anything on damaged bytes; it is not an image in any case.
        return None

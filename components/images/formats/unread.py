"""What a file is that is not read, as far as its bytes tell."""

import io

from PIL import Image

_LISTED = "PNG, JPEG, BMP, GIF, WebP, TIFF and NumPy's .npy"
# What people have that is not a file of these, and that Pillow does not know either: place, bytes there, name.
_OTHERS = (
    (128, b"DICM", "DICOM"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"SIMPLE  =", "FITS"),
    (344, b"n+1\0", "NIfTI"),
    (0, b"NRRD000", "NRRD"),
    (0, b"ZISRAWFILE", "CZI"),
    (0, b"%PDF-", "PDF"),
)
_PACKED = ((b"PK\x03\x04", "a ZIP archive, as .npz is"), (b"\x1f\x8b", "packed with gzip"))
_GIT_LFS = b"version https://git-lfs"


def what_it_is(data: bytes) -> str:
    """The sentence about a file that is of no format that is read."""
    name = next((name for at, start, name in _OTHERS if data.startswith(start, at)), None) or _known_to_pillow(data)
    if name is not None:
        return f"{name} is not among the formats that are read ({_LISTED}): convert it to one of them."
    packed = next((what for start, what in _PACKED if data.startswith(start)), None)
    if packed is not None:
        return f"It is {packed}, not an image ({_LISTED} are read): unpack it."
    if data.startswith(_GIT_LFS):
        return "It is a Git LFS pointer, not the image: fetch the image with git lfs pull."
    if b"\0" not in data[:1024]:
        return f"It is text, not an image ({_LISTED} are read)."
    return f"It is not an image ({_LISTED} are read)."


def _known_to_pillow(data: bytes) -> str | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.format
    except Exception:  # Damaged bytes lead Pillow's many plugins anywhere; it is not an image all the same.
        return None

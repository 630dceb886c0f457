"""PNM: PBM, PGM and PPM, as text or binary. NumPy reads the values, because Pillow reduces 16-bit colours to 8 bits."""

import re

import numpy as np

from restem.images.formats.depth import to_full_range
from restem.images.header import Header, UnreadableImage, incomplete

_CHANNELS = {b"P1": 1, b"P2": 1, b"P3": 3, b"P4": 1, b"P5": 1, b"P6": 3}
_TEXT = (b"P1", b"P2", b"P3")
_BITMAPS = (b"P1", b"P4")
_MOST_HEADER_BYTES = 4096  # with comments
_MOST = 65535
_MOST_DIGITS = 5  # of 65535
_CHUNK_BYTES = 1 << 20  # of text that is split into words at once: a word takes 34 bytes
_TOKEN = re.compile(rb"(?:\s|#[^\r\n]*[\r\n])*([0-9]{1,10})")


def header(data: bytes) -> Header:
    """The header.

    Raises:
      UnreadableImage, ValueError: it is damaged, or PAM or PFM.
    """
    kind, width, height, most, _ = _layout(data)
    altered = "" if most in (255, 65535) else f"Its values 0..{most:,} are scaled as it is read"
    return Header("PNM", width, height, _CHANNELS[kind], most.bit_length(), in_graph=False, altered=altered)


def read(data: bytes, header: Header) -> np.ndarray:
    """uint8 or uint16 [height, width, 1 or 3]; values are scaled from 0..maxval to the full range.

    Raises:
      UnreadableImage: the file is truncated.
      ValueError: the values are not numbers up to maxval.
    """
    kind, width, height, most, start = _layout(data)
    shape = (height, width, _CHANNELS[kind])
    count = height * width * _CHANNELS[kind]
    if kind in _TEXT:
        values = _plain(data[start:], count, each_digit=kind == b"P1")
    elif kind == b"P4":
        row = (width + 7) // 8
        packed = np.frombuffer(_exactly(data, start, row * height), np.uint8).reshape(height, row)
        values = np.unpackbits(packed, axis=1)[:, :width]
    else:
        stored = np.dtype(np.uint8 if most <= 255 else ">u2")
        values = np.frombuffer(_exactly(data, start, count * stored.itemsize), stored)
    if int(values.max(initial=0)) > most:
        raise ValueError(f"a value above the largest, {most}")
    pixels = to_full_range(values.reshape(shape), most)
    return 255 - pixels if kind in _BITMAPS else pixels  # In a PBM, 1 is black.


def _layout(data: bytes) -> tuple[bytes, int, int, int, int]:
    """Kind, width, height, largest value, and the offset of the values."""
    kind = data[:2]
    if kind not in _CHANNELS:
        name = "PAM" if kind == b"P7" else "PFM"
        raise UnreadableImage(f"{name} is not supported: convert it to PNG, or TIFF for floating point.")
    numbers, at = [], 2
    for _ in range(2 if kind in _BITMAPS else 3):
        found = _TOKEN.match(data, at, min(len(data), _MOST_HEADER_BYTES))
        if found is None:
            raise ValueError("width, height or the largest value is missing")
        numbers.append(int(found[1]))
        at = found.end()
    width, height, most = (*numbers, 1)[:3]
    if not 0 < most <= _MOST:
        raise ValueError(f"a largest value of {most}")
    if not data[at : at + 1].isspace():
        raise ValueError("the header does not end with a space or a line break")
    return kind, width, height, most, at + 1


def _exactly(data: bytes, start: int, size: int) -> memoryview:
    if len(data) - start < size:
        raise UnreadableImage(incomplete("PNM"))
    return memoryview(data)[start : start + size]


def _plain(text: bytes, count: int, *, each_digit: bool) -> np.ndarray:
    """The first `count` numbers of a text; in a PBM, the digits need no spaces between them."""
    text = re.sub(rb"#[^\r\n]*", b"", text)
    if each_digit:
        digits = np.frombuffer(re.sub(rb"\s+", b"", text), np.uint8)[:count] - ord("0")
        if digits.max(initial=0) > 1:
            raise ValueError("digits other than 0 and 1")
        values = digits
    else:
        values = _numbers(text, count)
    if len(values) < count:
        raise UnreadableImage(incomplete("PNM"))
    return values


def _numbers(text: bytes, count: int) -> np.ndarray:
    """Up to `count` numbers of a text, as uint32."""
    values = np.empty(count, np.uint32)
    done = at = 0
    while done < count and at < len(text):
        end = min(at + _CHUNK_BYTES, len(text))
        while end < len(text) and not text[end : end + 1].isspace():
            end += 1
            if end - at > _CHUNK_BYTES + _MOST_DIGITS:
                raise ValueError("words that are not numbers")
        words = text[at:end].split()[: count - done]
        if any(not word.isdigit() or len(word) > _MOST_DIGITS for word in words):
            raise ValueError("words that are not numbers")
        if words:
            values[done : done + len(words)] = np.array(words, dtype="S5").astype(np.uint32)
        done, at = done + len(words), end
    return values[:done]

"""PNM: PBM, PGM and PPM, as text or binary. NumPy reads the values, because Pillow reduces 16-bit colours to 8 bits."""

import re

import numpy as np

from restem.images.formats.depth import to_full_range
from restem.images.formats.rows import by_rows
from restem.images.header import Header, UnreadableImage, incomplete

_CHANNELS = {b"P1": 1, b"P2": 1, b"P3": 3, b"P4": 1, b"P5": 1, b"P6": 3}
_TEXT = (b"P1", b"P2", b"P3")
_BITMAPS = (b"P1", b"P4")
_MOST_HEADER_BYTES = 4096  # with comments
_MOST = 65535
_MOST_DIGITS = 5  # of 65535
_CHUNK_BYTES = 1 << 18  # of text that is split into words at once: a word takes 34 bytes
_SPACES = b" \t\n\r\v\f"
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
        values = _plain(data, start, count, most, each_digit=kind == b"P1")
    elif kind == b"P4":
        row = (width + 7) // 8
        packed = np.frombuffer(_exactly(data, start, row * height), np.uint8).reshape(height, row)
        values = np.unpackbits(packed, axis=1, count=width)
    else:
        stored = np.dtype(np.uint8 if most <= 255 else ">u2")
        values = np.frombuffer(_exactly(data, start, count * stored.itemsize), stored)
    if int(values.max(initial=0)) > most:
        raise ValueError(f"a value above the largest, {most}")
    pixels = values.reshape(shape)
    if kind in _BITMAPS:
        pixels = by_rows(lambda rows: 1 - rows, pixels, np.uint8)  # In a PBM, 1 is black.
    return to_full_range(pixels, most)


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


def _plain(data: bytes, start: int, count: int, most: int, *, each_digit: bool) -> np.ndarray:
    """The first `count` numbers of the text behind `start`; in a PBM, the digits need no spaces between them."""
    if data.find(b"#", start) >= 0:
        data, start = re.sub(rb"#[^\r\n]*", b"", data[start:]), 0
    values = np.empty(count, np.uint8 if most <= 255 else np.uint16)
    done, at = 0, start
    while done < count and at < len(data):
        end = min(at + _CHUNK_BYTES, len(data))
        while not each_digit and end < len(data) and not data[end : end + 1].isspace():
            end += 1
            if end - at > _CHUNK_BYTES + _MOST_DIGITS:
                raise ValueError("words that are not numbers")
        numbers = (_digits if each_digit else _numbers)(data[at:end])[: count - done]
        if int(numbers.max(initial=0)) > most:
            raise ValueError(f"a value above the largest, {most}")
        values[done : done + len(numbers)] = numbers
        done, at = done + len(numbers), end
    if done < count:
        raise UnreadableImage(incomplete("PNM"))
    return values


def _digits(text: bytes) -> np.ndarray:
    digits = np.frombuffer(text.translate(None, _SPACES), np.uint8) - ord("0")  # Other bytes become large numbers.
    if digits.max(initial=0) > 1:
        raise ValueError("digits other than 0 and 1")
    return digits


def _numbers(text: bytes) -> np.ndarray:
    words = text.split()
    if any(not word.isdigit() or len(word) > _MOST_DIGITS for word in words):
        raise ValueError("words that are not numbers")
    return np.array(words, dtype="S5").astype(np.uint32) if words else np.empty(0, np.uint32)

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.images.decode import decode_raw
from components.images.probe import Header, UnreadableImage, explain_failure, probe

from .test_decode import bmp, png16

LIMITS = {"max_pixels": 10_000, "max_bytes": 1 << 20}


@pytest.mark.parametrize(
    ("mode", "kind", "expected"),
    [
        ("1", "PNG", ("PNG", 1, 1)),
        ("L", "PNG", ("PNG", 1, 8)),
        ("LA", "PNG", ("PNG", 2, 8)),
        ("P", "PNG", ("PNG", 3, 8)),
        ("RGB", "PNG", ("PNG", 3, 8)),
        ("RGBA", "PNG", ("PNG", 4, 8)),
        ("L", "JPEG", ("JPEG", 1, 8)),
        ("RGB", "JPEG", ("JPEG", 3, 8)),
        ("CMYK", "JPEG", ("JPEG", 3, 8)),
        ("L", "BMP", ("BMP", 3, 8)),
        ("RGB", "BMP", ("BMP", 3, 8)),
        ("RGB", "GIF", ("GIF", 3, 8)),
    ],
)
def test_the_header_says_what_the_decoder_will_give(encoded, mode, kind, expected):
    data = encoded(mode, kind)
    header = probe(data, **LIMITS)
    assert header == Header(expected[0], 83, 61, expected[1], expected[2])
    assert decode_raw(tf.constant(data)).shape == (header.height, header.width, header.channels)


def test_a_palette_with_transparency_has_four_channels(encoded):
    data = encoded("P", "PNG", transparency=0)
    assert probe(data, **LIMITS).channels == 4 == decode_raw(tf.constant(data)).shape[-1]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_are_seen(channels):
    header = probe(png16(np.zeros((3, 4, channels), np.uint16)), **LIMITS)
    assert (header.bit_depth, header.channels) == (16, channels)


def test_a_decompression_bomb_is_refused_by_its_header_alone():
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    empty = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(UnreadableImage, match=r"60000 x 60000 pixels; more than data.max_pixels \(10,000\)"):
        probe(b"\x89PNG\r\n\x1a\n" + chunk + empty, **LIMITS)


def _webp() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "WEBP")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"The file is empty \(0 bytes\)\."),
        (bytes(2**20 + 1), r"1,048,577 bytes; more than data.max_bytes \(1,048,576\)"),
        (b"notes, not pixels\n", "It is text, not an image"),
        (b"\x7fELF\0\0\0\0", "It is not an image"),
        (_webp(), "WEBP is not among the formats that are read"),
        (b"\x89PNG\r\n\x1a\n", "The PNG file's header is damaged"),
        (b"\xff\xd8\xff", "The JPEG file's header is damaged"),
        (bmp(4, 4, bits=4, body=bytes(64)), "this is one of 4 bits a pixel"),
        (bmp(4, 4, bits=8, compression=1, body=bytes(64)), "this is a compressed one"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_what_is_refused_is_told_in_a_sentence(data, reason):
    with pytest.raises(UnreadableImage, match=reason) as caught:
        probe(data, **LIMITS)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
def test_a_truncated_file_is_called_incomplete_or_damaged(encoded, kind):
    data = encoded("RGB", kind)
    reason = explain_failure(data[: len(data) * 2 // 3], kind)
    assert reason.startswith(f"The {kind} file ")
    assert "incomplete: it ends before its image does" in reason


def test_broken_image_data_are_called_damaged(encoded):
    data = bytearray(encoded("RGB", "PNG"))
    middle = len(data) // 2
    data[middle : middle + 50] = bytes(50)
    assert "damaged" in explain_failure(bytes(data), "PNG")

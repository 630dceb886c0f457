"""Small files that would keep a decoder busy for minutes are refused by their headers, and ordinary ones are not."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from restem.images.formats import work
from restem.images.header import UnreadableImage
from restem.images.probe import probe

from ..conftest import PNG_SIGNATURE, png_chunk

LIMITS = {"max_pixels": 10_000_000, "max_bytes": 1 << 28}
PICTURE = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x80, 0, 0) + bytes(6)
FRAME = b"\x2c" + struct.pack("<HHHHB", 0, 0, 8, 8, 0) + b"\x02\x02\x4c\x01\0"
COMMENT = b"\x21\xfe" + (b"\xff" + b"a" * 255) * 10_001 + b"\0"


def jpeg(scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    buffer = io.BytesIO()
    Image.new("L", (16, 16), 100).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = [found.start() for found in re.finditer(rb"\xff\xda", data)][-1]
    return data[:last] + data[last:-2] * scans + b"\xff\xd9"


def png(*before: bytes, data: bytes = zlib.compress(bytes(72))) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    return PNG_SIGNATURE + header + b"".join(before) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def tiff(width: int, height: int, *, strips: int, pages: int = 1, count: int | None = None) -> bytes:
    """A grey TIFF whose pages share their strips."""
    size = 2 + 12 * 9 + 4
    arrays = 8 + size * pages
    pixels = arrays + 8 * strips
    data = struct.pack("<2sHI", b"II", 42, 8)
    for page in range(1, pages + 1):
        tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
        tags += [(273, 4, strips, arrays), (277, 3, 1, 1), (278, 4, 1, height // strips or 1)]
        tags += [(279, 4, strips, arrays + 4 * strips)]
        entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
        data += struct.pack("<H", len(tags)) + entries + struct.pack("<I", 8 + size * page if page < pages else 0)
    stored = width * height // strips if count is None else count
    return data + struct.pack("<I", pixels) * strips + struct.pack("<I", stored) * strips + bytes(width * height)


def bmp(runs: int) -> bytes:
    header = struct.pack("<IHHIIIIHHIIIIII", 0, 0, 0, 54 + 1024, 40, 8, 8, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + header + bytes(1024) + b"\0\2\0\0" * runs + b"\0\1"


BUSY = {
    "scans": (lambda: jpeg(200), "more than 100 scans"),
    "segments": (lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 10_001 + jpeg(1)[2:], "10,000 segments"),
    "fill bytes": (lambda: b"\xff\xd8" + b"\xff" * 10_001 + jpeg(1)[2:], "10,000 segments"),
    "texts": (
        lambda: png(*[png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(8_000_000)))] * 9),
        "67,108,864 bytes in its texts",
    ),
    "international texts": (
        lambda: png(*[png_chunk(b"iTXt", b"a\0\1\0en\0a\0" + zlib.compress(bytes(8_000_000)))] * 9),
        "67,108,864 bytes in its texts",
    ),
    "chunks": (lambda: png(png_chunk(b"teSt", b"") * 10_001), "10,000 chunks"),
    "image data": (lambda: png(data=bytes(2_000_000)), "2,000,000 bytes of image data, but its pixels have only 80"),
    "comment": (lambda: PICTURE + COMMENT + FRAME + b";", "10,000 blocks"),
    "comment behind": (lambda: PICTURE + FRAME + COMMENT + b";", "10,000 blocks"),
    "runs": (lambda: bmp(20_000), "80,002 bytes of runs for 8 x 8 pixels"),
    "entries": (lambda: tiff(1, 1, strips=1_000_001), "2,000,000 numbers"),
    "pages": (lambda: tiff(1, 20_000, strips=20_000, pages=60), "2,000,000 numbers"),
    "strips": (lambda: tiff(1, 20_000, strips=20_000), "20,000 strips or tiles for 20,000 values"),
    "shared strips": (lambda: tiff(8, 4000, strips=4000, count=8000), "32,000,000 bytes together"),
    "boxes": (lambda: b"\0\0\0\x0cJXL \r\n\x87\n" + struct.pack(">I4s", 8, b"free") * 10_001, "10,000 boxes"),
    "boxes 2000": (lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I4s", 8, b"free") * 10_001, "10,000 boxes"),
    "items": (lambda: bytes(128) + b"DICM" + b"\xfe\xff\x00\xe0" * 200_001, "200,000 items"),
}


@pytest.mark.parametrize("name", BUSY)
def test_files_that_would_take_very_long_are_refused(name):
    made, reason = BUSY[name]
    with pytest.raises(UnreadableImage, match=reason):
        probe(made(), **LIMITS)


ORDINARY = {
    "scans": lambda: jpeg(20),
    "preview": lambda: jpeg(1)[:2] + (b"\xff\xe9\x03\xea" + b"\xff\xda" * 500) + jpeg(1)[2:],
    "texts": lambda: png(png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(8_000_000)))),
    "damaged text": lambda: png(png_chunk(b"zTXt", b"a\0\0no zlib")),
    "chunks": lambda: png(png_chunk(b"teSt", b"") * 500),
    "stored": lambda: png(data=zlib.compress(bytes(72), 0)),
    "comment": lambda: PICTURE + b"\x21\xfe" + (b"\xff" + b"a" * 255) * 1000 + b"\0" + FRAME + b";",
    "frames": lambda: PICTURE + FRAME * 20_000 + b";",
    "runs": lambda: bmp(20),
    "rows": lambda: tiff(100, 5000, strips=5000),
    "pages": lambda: tiff(100, 500, strips=500, pages=60),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_files_are_not(name):
    assert probe(ORDINARY[name](), **LIMITS).pixels >= 64


def test_a_scan_of_a_jpeg_inside_a_tiff_counts():
    from restem.images.arrays import read_array

    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((16, 16), np.uint8), compression="jpeg", rowsperstrip=16)
    whole = buffer.getvalue()
    with tifffile.TiffFile(io.BytesIO(whole)) as file:
        page = file.pages.first
        count_at = page.tags[279].valueoffset
    inner = jpeg(200)
    data = bytearray(whole) + inner
    struct.pack_into("<I", data, page.tags[273].valueoffset, len(whole))
    struct.pack_into("<I", data, count_at, len(inner))
    header = probe(bytes(data), **LIMITS)
    with pytest.raises(UnreadableImage, match="100 scans"):
        read_array(bytes(data), header)


def test_the_scan_counter_ends_with_the_image():
    """What follows the image, such as a second one of a stereo camera, has its own scans."""
    work.check_jpeg(jpeg(60) + jpeg(60))

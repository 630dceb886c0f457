"""JPEG 2000, PNM, JPEG XL, AVIF and HEIC: pixels, and what is refused."""

import base64
import io
from itertools import product

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageOps

from restem.images.arrays import decodable, read_array
from restem.images.formats import pnm
from restem.images.formats.others import other_format
from restem.images.header import UnreadableImage
from restem.images.probe import probe

LIMITS = {"max_pixels": 100_000, "max_bytes": 1 << 20}
SHAPES = {"grey": (33, 47), "grey, alpha": (33, 47, 2), "RGB": (33, 47, 3), "RGB, alpha": (33, 47, 4)}
ENCODERS = {
    "JPEG2000": lambda a, bits: imagecodecs.jpeg2k_encode(a, level=0, reversible=True, bitspersample=bits),
    "JPEGXL": lambda a, bits: imagecodecs.jpegxl_encode(a, lossless=True, bitspersample=bits),
    "AVIF": lambda a, bits: imagecodecs.avif_encode(a, level=100, bitspersample=bits),
}
# 24 x 16 pixels by pillow-heif, quality -1 (lossless): a ramp of red across and of green down; turned by EXIF's 6.
HEIC = (
    "AAAAHGZ0eXBoZWl4AAAAAG1pZjFoZWl4bWlhZgAAAcltZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ADRpbG9jAAAAAERAAAIAAQAAAAAB7QABAAAAAAAABA0AAgAAAAAF+gABAAAAAAAAACQAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAA"
    "AAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAABCGlwcnAAAADnaXBjbwAAAHdodmNDAQQIAAAA"
    "njgAAAAA//AA/P/4+AAADwNgAAEAF0ABDAH//wQIAAADAJ44AAADAAD/ugJAYQABACpCAQEECAAAAwCeOAAAAwAA/5AEECCy3VXT"
    "XNwENAAQAAADAZAAAAMAEIBiAAEACEQBwXAwYLEgAAAAE2NvbHJuY2x4AAEADQAAgAAAABRpc3BlAAAAAAAAAEAAAABAAAAAKGNs"
    "YXAAAAAQAAAAAQAAABgAAAAB////0AAAAAL////YAAAAAgAAABBwaXhpAAAAAAMICAgAAAAJaXJvdAMAAAAZaXBtYQAAAAAAAAAB"
    "AAEGgQIDBYSGAAAAGmlyZWYAAAAAAAAADmNkc2MAAgABAAEAAAQ5bWRhdAAABAkoAa8FsgmnQBrwMbQiMf//jv85/T/rvR+A+P+e"
    "9L4H5D5/0vgfkPnyof/v7aQ///ud9xraWrHG/G/G/G/HPnPnPnPnPnPnPnCkf6xekAN2UdziJC7jKaHzX41SdmBQwWJ9mBQwVzC2"
    "AH+v/H+SvytdjevZa7r2Wue3eNfnv//4YaJZRuTOz5VQ27VQ1xWS7ywAABI0l4AwbEGu1rwgf9woH/TwAAX8P9X64PYIYqcOMQzD"
    "jEM8kDAngBTHsTWUT2Qu5xojVC7dRLOa/f//GzUH80NS8kWo6cIs1BQAAxUlyMj/kmsGVb9RPVqUhwOD+kD+FErePW3heH//+Bae"
    "5drJfcE6fypSNLXwACepIlQ5LdzRmLI1QfRrTAARj7/7vuZJ5Zh0IuYXtkaAA+Bpss45pLzlDr4r+7PUflxwB6GSnodNYnfEWAA9"
    "6ljm/pSjXBJ9ur7fH6V9f6Asl1tUz937orWSQmD92/j//0knOF6lc2N1/5SY/5Qe54ADHhsebFle3KQc2rX7kbCUxIpgPPASf/+o"
    "U8pKQ4Qgl8IYpUIYWYADQ3w0RbVULVXLQPpbBT7gH4RqCYhOLIip4AD7o+Kjn8Hi/ONQN9hPwEtxXpPLUEpZRgAChoGiWoMrzb9X"
    "LzpqAmoC8zTQhUiHIwBZ4dDAQMdgAeY+EbImhi1B9sYLRNWL1ln/1YEVEPQ3P4AAsAx1Elh+iY2Br4ThAKgACrYWr1WR6BQ1CuuG"
    "5LQrAAXyfzM2NXoo/LTyZm6cpRW8BCAzLBUeZBDh1ABCo8/AEwjY8wiXxePGe9tuyDCulRb+N/zYNe3a2hNQIh984gFu14XkWmy/"
    "TkDVpunJjBACjHlg5ftSzhI9NS7FroADJgwa57Ij8e+2ACmGjd/OugzrgJQRVKUgQwFSULz+47e1wANFeXPJiAvYHBftnyoAACZx"
    "bjy4xhLwXr0nwiN/rwAgIkQOALW4PJ8gwpSuHNYKXfwhhYiLKGoqgBQUORqW7ePBle6vbTAAAAYKaRKCHjEFcUMugCqnGEAENBxA"
    "V+gkwH0AkIYN2JvtHAn9HZMlp+TKjogAwfOwtMDzioYzwV6MC7mUSjhzs+/5kHi6kUrUs5eBABvOie7T7uwIk7f57AA+bMar2gAc"
    "eJ0Ot+S8NilnDWlPUiBypz000Z1jhE3ABkNV+QluQ6xVZ5PcStQN5bnX21jlRlcAAL93IU/5jfUOU+mOWIAAE721Jhmx0l/B8m5c"
    "xh75ABM+Ma8VQyVlynRctVBzgvMt/hJlL8TtRqaACgInjzwsEzWxxKUdEAAABjJEMVX3YcozhZKrDriY4ASXwA1phx6sYqaK8UgE"
    "XtGwDh1QvzrGSNtwXAEqYzc9d54QMO0pfdaNVyZgAAAABkV4aWYAAE1NACoAAAAIAAEBEgADAAAAAQAGAAAAAAAA"
)


def noise(shape: tuple[int, ...], bits: int) -> np.ndarray:
    values = np.random.default_rng(bits).integers(0, 2**bits, shape)
    values.flat[0] = 2**bits - 1
    return values.astype(np.uint8 if bits <= 8 else np.uint16)


def scaled(values: np.ndarray, bits: int) -> np.ndarray:
    """Values of some bits in the full range of 8 or 16 bits, [h, w, C]."""
    white = 255 if bits <= 8 else 65535
    pixels = np.round(values * (white / (2**bits - 1))).astype(np.int64)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def read(data: bytes) -> np.ndarray:
    return read_array(data, probe(data, **LIMITS)).astype(np.int64)


@pytest.mark.parametrize(("kind", "bits"), [*product(ENCODERS, (8, 10, 12)), ("JPEG2000", 16), ("JPEGXL", 16)])
@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_of_every_depth_and_number_of_channels(kind, shape, bits):
    values = noise(SHAPES[shape], bits)
    data = ENCODERS[kind](values, bits)
    header = probe(data, **LIMITS)
    expected = scaled(values, bits)
    assert (header.format, header.height, header.width, header.bit_depth) == (kind, 33, 47, bits)
    np.testing.assert_array_equal(read(data), expected)
    stored = decodable(data, header)  # as a PNG, which the graph decodes
    np.testing.assert_array_equal(np.atleast_3d(imagecodecs.png_decode(stored)), expected)


@pytest.mark.parametrize(
    ("kind", "mode"), [*product(("JPEG2000", "AVIF"), ("L", "RGB", "RGBA")), ("PPM", "L"), ("PPM", "RGB")]
)
def test_pillow_reads_the_same_8_bits(encoded, kind, mode):
    data = encoded(mode, kind)
    found = read(data)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGBA" if found.shape[-1] == 4 else "RGB"), np.int64)
    np.testing.assert_allclose(np.broadcast_to(found, expected.shape), expected, atol=1 if kind == "AVIF" else 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_turned_upright(encoded, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded("RGB", "AVIF", exif=exif.tobytes(), quality=100)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image), np.int64)
    np.testing.assert_allclose(read(data), expected, atol=1)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"P1\n# a comment\n3 2\n1 0 1\n010", [[0, 255, 0], [255, 0, 255]]),
        (b"P4 10 2\n\x80\x40\x00\x00", [[0, *[255] * 8, 0], [255] * 10]),
        (b"P2 3 1 5\n0 1\n5", [[0, 51, 255]]),
        (b"P2\t3 1 4095 0 1 4095\n", [[0, 16, 65535]]),
        (b"P5 2 1 255\n\x00\x07", [[0, 7]]),
        (b"P5 2 1 100\n\x00\x64", [[0, 255]]),
        (b"P5 2 1 65535\n\x00\x07\xff\xff", [[7, 65535]]),
        (b"P6 1 1 65535\n\x00\x01\x00\x02\xff\xff", [[[1, 2, 65535]]]),
        (b"P3 1 1 255\n1 2 3", [[[1, 2, 3]]]),
    ],
)
def test_pnm(data, expected):
    pixels = np.array(expected)
    np.testing.assert_array_equal(read(data), pixels if pixels.ndim == 3 else pixels[..., None])


def test_a_long_text_is_read_in_parts(monkeypatch):
    monkeypatch.setattr(pnm, "_CHUNK_BYTES", 7)
    values = noise((20, 30, 3), 8)
    text = b"P3 30 20 255\n" + b" ".join(b"%d" % value for value in values.ravel())
    np.testing.assert_array_equal(read(text), values)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"P5 2 2 255\n\x00\x07", "incomplete"),
        (b"P2 2 1 5\n1 6", "value above the largest"),
        (b"P2 2 1 5\n1", "incomplete"),
        (b"P5 60000 60000 255\n", "data.max_pixels"),
        (b"P5 2 1 70000\n\x00\x07", "header is damaged"),
        (b"P7\nWIDTH 2\nHEIGHT 1\n", "PAM is not supported"),
        (b"PF\n2 1\n-1.0\n" + bytes(24), "PFM is not supported"),
        (b"\xff\x0a" + bytes(40), "JPEGXL"),
        (b"\xff\x4f\xff\x51" + bytes(60), "JPEG2000"),
        (b"\0\0\0\x18ftypavif" + bytes(40), "AVIF"),
        (b"\0\0\0\x18ftypmp42" + bytes(40), "video is not supported"),
    ],
)
def test_what_is_not_read_is_refused_with_a_sentence(data, said):
    with pytest.raises(UnreadableImage, match=said):
        read(data)


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_large_image_is_refused_on_its_header_alone(kind):
    data = ENCODERS[kind](np.zeros((400, 300), np.uint8), 8)
    with pytest.raises(UnreadableImage, match=r"300 x 400 pixels; the limit is data\.max_pixels"):
        probe(data, **LIMITS)


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_truncated_file_is_refused(kind):
    data = ENCODERS[kind](noise((33, 47, 3), 8), 8)
    with pytest.raises(UnreadableImage, match=kind):
        read(data[: len(data) // 2])


def test_the_first_frame_of_an_animation():
    frames = noise((3, 33, 47, 3), 8)
    np.testing.assert_array_equal(read(imagecodecs.jpegxl_encode(frames, lossless=True)), frames[0])


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (1, 3000), (256, 256), (16, 12), (90, 160), (2049, 7)])
def test_sizes_in_the_header_of_jpeg_xl(size):
    """Its header has a short form for multiples of eight, and for usual ratios."""
    header = probe(imagecodecs.jpegxl_encode(np.zeros(size, np.uint8)), **LIMITS)
    assert (header.height, header.width) == size


def test_formats_are_found_by_content():
    assert other_format(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif") == "AVIF"
    assert other_format(b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic") == "HEIC"
    assert other_format(b"P5") is None
    assert other_format(b"") is None


def test_heic():
    pixels = read(base64.b64decode(HEIC))
    across, down = np.mgrid[0:16, 0:24][::-1]
    np.testing.assert_allclose(pixels, np.stack([10 * across, 15 * down, 0 * down], -1), atol=2)

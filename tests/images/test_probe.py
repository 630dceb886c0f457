import io
import struct
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from restem.images.arrays import decodable
from restem.images.config import ImageConfig, Requirements
from restem.images.formats.pillow import explain_failure, open_image
from restem.images.graph.decode import decode_raw
from restem.images.header import Header, UnreadableImage, check_suits
from restem.images.probe import probe

from .conftest import PNG_SIGNATURE, png_chunk
from .graph.test_decode import png16

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
        ("RGB", "WEBP", ("WEBP", 3, 8)),
        ("RGBA", "TIFF", ("TIFF", 4, 8)),
        ("1", "BMP", ("BMP", 3, 8)),
    ],
)
def test_the_header_says_what_the_decoder_will_give(encoded, mode, kind, expected):
    data = encoded(mode, kind)
    header = probe(data, **LIMITS)
    in_graph = kind not in ("WEBP", "TIFF") and (mode, kind) != ("1", "BMP")
    assert replace(header, altered="") == Header(expected[0], 83, 61, expected[1], expected[2], in_graph=in_graph)
    assert decode_raw(tf.constant(decodable(data, header))).shape == (header.height, header.width, header.channels)


def test_a_palette_with_transparency_has_four_channels(encoded):
    data = encoded("P", "PNG", transparency=0)
    assert probe(data, **LIMITS).channels == 4 == decode_raw(tf.constant(data)).shape[-1]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_are_detected(channels):
    header = probe(png16(np.zeros((3, 4, channels), np.uint16)), **LIMITS)
    assert (header.bit_depth, header.channels) == (16, channels)


def test_a_decompression_bomb_is_refused_by_its_header():
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    with pytest.raises(UnreadableImage, match=r"60000 x 60000 pixels; the limit is data.max_pixels \(10,000\)"):
        probe(PNG_SIGNATURE + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b""), **LIMITS)


def bombs() -> dict[str, bytes]:
    """Files whose headers claim 60,000 x 60,000 pixels, with little or no data."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(60_000 * 180), 9) * 6  # some of the rows in the header
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
    tags = [(256, 60_000), (257, 60_000), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 60_000), (279, 99)]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    tiff = b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + bytes(4)
    npy = io.BytesIO()
    np.lib.format.write_array_header_1_0(npy, {"descr": "<u2", "fortran_order": False, "shape": (60_000, 60_000)})
    return {"PNG": PNG_SIGNATURE + chunks, "TIFF": tiff, "NPY": npy.getvalue()}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "NPY"])
def test_a_decompression_bomb_costs_no_memory(kind, tmp_path):
    """In a separate process, because a process's memory peak never falls."""
    path = tmp_path / "bomb"
    path.write_bytes(bombs()[kind])
    script = """
import resource, sys
from restem.images import arrays, probe
import restem.images.formats.tiff
from pathlib import Path
data = Path(sys.argv[1]).read_bytes()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    probe.probe(data, max_pixels=100_000_000, max_bytes=2**28)
except probe.UnreadableImage as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    run = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    reason, growth = run.stdout.splitlines()
    assert reason == "It has 60000 x 60000 pixels; the limit is data.max_pixels (100,000,000)."
    # In kB on Linux, in bytes on macOS. The pixels would take at least 3.6 GB.
    assert int(growth) < 20_000 * (1024 if sys.platform == "darwin" else 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP"])
def test_pillows_size_limit_is_neither_used_nor_changed(encoded, kind, monkeypatch):
    """All threads share it, so a change in one thread affects the others."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    data = encoded("RGB", kind)
    with open_image(data, probe(data, **LIMITS)) as image:
        assert Image.MAX_IMAGE_PIXELS == 1
        assert image.size == (83, 61)


def test_many_channels_are_refused_by_the_header():
    many = io.BytesIO()
    np.save(many, np.zeros((2, 2, 65), np.uint8))
    with pytest.raises(UnreadableImage, match="65 channels; the limit is 64"):
        probe(many.getvalue(), **LIMITS)
    wide = io.BytesIO()
    np.save(wide, np.zeros((100, 90, 5), np.uint8))
    with pytest.raises(UnreadableImage, match=r"100 pixels in 5 channels; .* is 4 times data.max_pixels"):
        probe(wide.getvalue(), **LIMITS)


def header(channels: int = 3, **more) -> Header:
    return Header("TIFF", 40, 20, channels, 16, **more)


@pytest.mark.parametrize(
    ("found", "wanted", "reason"),
    [
        (header(4), Requirements(), None),
        (header(13), Requirements(), "It has 13 channels: name them in image.bands."),
        (header(13), Requirements(13), None),
        (header(1), Requirements(13), "It has 1 channel, but image.bands names 13."),
        (header(3, pages=3), Requirements(), "It has 3 pages: name the channels of each page in image.bands."),
        (header(3, pages=3), Requirements(3), None),
        (header(needs_range=True), Requirements(value_range=True), None),
        (
            header(needs_range=True),
            Requirements(),
            "Its values are floating point, signed, or have more than 16 bits, and black and white are not defined: "
            "set image.value_range: [black, white].",
        ),
        (header(), ImageConfig(size=80).requirements(), None),
        (
            header(),
            ImageConfig(size=100).requirements(),
            "It has 40 x 20 pixels: image.size would enlarge it 5 times; the limit is image.max_upsampling (4).",
        ),
        (header(), ImageConfig(size=100, fit="pad").requirements(), None),
        (header(), ImageConfig(size=100, max_upsampling=None).requirements(), None),
    ],
)
def test_files_must_suit_the_configuration(found, wanted, reason):
    if reason is None:
        check_suits(found, wanted)
    else:
        with pytest.raises(UnreadableImage) as caught:
            check_suits(found, wanted)
        assert str(caught.value) == reason


def _jpeg2000() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40)).save(buffer, "JPEG2000")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"The file is empty \(0 bytes\)\."),
        (bytes(2**20 + 1), r"1,048,577 bytes; the limit is data.max_bytes \(1,048,576\)"),
        (b"notes, not pixels\n", "It is text, not an image"),
        (b"\x7fELF\0\0\0\0", "It is not an image"),
        (_jpeg2000()[:60], r"The JPEG2000 file's header is damaged \("),
        (b"RIFF\0\0\0\0WAVEfmt ", "It is not an image"),
        (bytes(128) + b"DICM" + bytes(9), "The DICOM file has no image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "The HEIC file's header is damaged"),
        (b"SIMPLE  =                    T" + b" " * 99, "FITS is not supported"),
        (b"PK\3\4" + bytes(40), r"It is a ZIP archive \(as .npz is\), not an image .*: unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "It is a Git LFS pointer"),
        (b"II*\0\xff\xff\0\0", "The TIFF file's header is damaged"),
        (b"\x93NUMPY\1\0\x10\0", "The NPY file's header is damaged"),
        (b"\x89PNG\r\n\x1a\n", "The PNG file's header is damaged"),
        (b"\xff\xd8\xff", r"The JPEG file's header is damaged \(it ends too early\)"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_files_are_refused_with_a_sentence(data, reason):
    with pytest.raises(UnreadableImage, match=reason) as caught:
        probe(data, **LIMITS)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
def test_a_truncated_file_is_called_incomplete_or_damaged(encoded, kind):
    data = encoded("RGB", kind)
    reason = explain_failure(data[: len(data) * 2 // 3], kind)
    assert reason.startswith(f"The {kind} file ")
    assert "incomplete: the image data are cut off" in reason


def test_broken_image_data_are_called_damaged(encoded):
    data = bytearray(encoded("RGB", "PNG"))
    middle = len(data) // 2
    data[middle : middle + 50] = bytes(50)
    assert "damaged" in explain_failure(bytes(data), "PNG")

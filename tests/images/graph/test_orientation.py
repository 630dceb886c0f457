import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from restem.images.config import ImageConfig
from restem.images.graph.decode import decode
from restem.images.graph.orientation import jpeg_orientation
from restem.images.probe import probe

COLOUR = ImageConfig(size=8, channels=3)
LIMITS = {"max_pixels": 10_000, "max_bytes": 1 << 20}


@pytest.fixture(scope="module")
def run():
    return tf.function(lambda data: decode(data, COLOUR), input_signature=[tf.TensorSpec([], tf.string)])


@pytest.fixture(scope="module")
def orientation():
    return tf.function(jpeg_orientation, input_signature=[tf.TensorSpec([], tf.string)])


def jpeg(photo: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def exif(value: int, endian: str = "<", before: int = 3) -> bytes:
    """An EXIF block with the orientation after some other tags."""
    entry = struct.Struct(endian + "HHIHH")
    others = b"".join(entry.pack(256 + i, 3, 1, 8, 0) for i in range(before))
    start = (b"II*\0" if endian == "<" else b"MM\0*") + struct.pack(endian + "I", 8)
    directory = struct.pack(endian + "H", before + 1) + others + entry.pack(274, 3, 1, value, 0) + bytes(4)
    return b"Exif\0\0" + start + directory


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("endian", ["<", ">"])
def test_every_orientation_is_applied_like_pillow(run, photo, value, endian):
    data = jpeg(photo, exif=exif(value, endian))
    got = run(data).numpy().astype(int)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"), int)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1
    header = probe(data, **LIMITS)
    assert (header.height, header.width) == got.shape[:2]


def test_exif_after_other_segments_is_found(orientation, photo):
    plain = jpeg(photo, exif=exif(6))
    segments = b"\xff\xfe\x00\x07hello" + b"\xff\xe5" + struct.pack(">H", 60_002) + bytes(60_000)
    at = plain.index(b"\xff\xe1")
    assert int(orientation(plain[:at] + segments + plain[at:])) == 6


@pytest.mark.parametrize(
    "block",
    [
        exif(0),
        exif(9),
        exif(6)[:20],
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"http://ns.adobe.com/xap/1.0/\0",
    ],
    ids=["0", "9", "cut", "empty", "offset beyond 2**31", "offset beyond the end", "no EXIF"],
)
def test_blocks_without_an_orientation_leave_the_image_upright(orientation, run, photo, block):
    data = jpeg(photo)
    at = data.index(b"\xff\xdb")  # after the JFIF segment
    data = data[:at] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[at:]
    assert int(orientation(data)) == 1
    assert run(data).shape == photo.shape


def test_a_file_that_ends_in_a_segment_has_none(orientation, photo):
    data = jpeg(photo, exif=exif(6))
    for end in (4, 5, 12, 30, 40):
        assert int(orientation(data[:end])) == 1

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from restem.images import encode_for_serving
from restem.images.arrays import read_array
from restem.images.graph.decode import Depth, decode_raw
from restem.images.header import UnreadableImage
from restem.images.probe import probe

from .graph.test_decode import bmp

LIMITS = {"max_pixels": 10_000, "max_bytes": 1 << 24}


def npy(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, pixels, **options)
    return buffer.getvalue()


def read(data: bytes) -> np.ndarray:
    header = probe(data, **LIMITS)
    assert not header.in_graph
    pixels = read_array(data, header)
    assert pixels.shape == (header.height, header.width, header.channels)
    return pixels


VALUES = np.random.default_rng(0).integers(0, 65536, (9, 7, 5), np.uint16)


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        (VALUES, "uint16"),
        (VALUES[..., 0], "uint16"),
        (VALUES.astype(">u2"), "uint16"),
        (np.asfortranarray(VALUES), "uint16"),
        (VALUES.astype(np.uint8), "uint8"),
        (VALUES.astype(np.float64) / 7, "float32"),
        (VALUES.astype(np.int32) - 30_000, "float32"),
    ],
    ids=["uint16", "grey", "big-endian", "fortran", "uint8", "float64", "int32"],
)
def test_npy_values_are_read_as_saved(stored, kind):
    got = read(npy(stored))
    assert got.dtype == kind
    np.testing.assert_array_equal(got, stored.astype(kind).reshape(got.shape))


def test_true_and_false_are_white_and_black():
    np.testing.assert_array_equal(read(npy(VALUES > 9))[..., 0], (VALUES[..., 0] > 9) * 255)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (npy(np.array([{}, {}]), allow_pickle=True), "holds object, not real numbers"),
        (npy(VALUES.astype(np.complex64)), "holds complex64"),
        (npy(VALUES.ravel()), "must have 2 or 3 dimensions .* it is 315"),
        (npy(np.float32(3)), "a single number"),
        (npy(VALUES)[:60], "header is damaged"),
        (npy(VALUES)[:-1], "The NPY file is incomplete"),
        (npy(np.full((3, 3), np.nan)), "that are not finite"),
        (npy(np.full((3, 3), 2**53 + 1)), "whole numbers beyond 9,007,199,254,740,992"),
        (npy(np.zeros((0, 5))), "size 5 x 0"),
    ],
)
def test_files_that_are_not_images_are_refused_with_a_sentence(data, reason):
    with pytest.raises(UnreadableImage, match=reason) as caught:
        read(data)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_equals_pillow(encoded, mode):
    data = encoded(mode, "WEBP", lossless=True, exact=True)
    expected = Image.open(io.BytesIO(data))
    np.testing.assert_array_equal(read(data), np.asarray(expected.convert(mode if mode == expected.mode else "RGB")))


def test_webp_is_rotated_upright(photo):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(photo).save(buffer, "WEBP", lossless=True, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(buffer.getvalue())))
    np.testing.assert_array_equal(read(buffer.getvalue()), np.asarray(expected.convert("RGB")))


@pytest.mark.parametrize("exif", [b"Exif\0\0no directory", b"Exif\0\0MM\0\xfe", b"II*\0\xff\xff\xff\xff"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_webp_with_damaged_exif_is_not_rotated(photo, exif):
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "WEBP", lossless=True, exif=exif)
    np.testing.assert_array_equal(read(buffer.getvalue()), photo)


def test_webp_first_frame(photo):
    frames = [Image.fromarray(np.roll(photo, shift, 0)) for shift in (0, 9)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_array_equal(read(buffer.getvalue()), photo)


def test_rarer_bmp_equals_pillow(encoded):
    data = encoded("1", "BMP")
    np.testing.assert_array_equal(read(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    shades = bmp(4, 2, bits=16, body=np.arange(8, dtype="<u2").tobytes())
    np.testing.assert_array_equal(read(shades), np.asarray(Image.open(io.BytesIO(shades)).convert("RGB")))


@pytest.mark.parametrize("kind", ["WEBP", "BMP"])
@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_truncated_file_is_refused(encoded, kind, tenth):
    data = encoded("1" if kind == "BMP" else "RGB", kind)
    with pytest.raises(UnreadableImage):
        read(data[: len(data) * tenth // 10])


def test_files_that_tensorflow_decodes_are_sent_unchanged(encoded, tmp_path):
    (tmp_path / "a.tif").write_bytes(encoded("RGB", "PNG"))
    assert encode_for_serving(tmp_path / "a.tif") == encoded("RGB", "PNG")


@pytest.mark.parametrize("pixels", [VALUES, VALUES[..., :3], VALUES.astype(np.float32)], ids=["bands", "rgb", "float"])
def test_other_files_are_converted_for_tensorflow(pixels, tmp_path):
    (tmp_path / "image").write_bytes(npy(pixels))
    sent = encode_for_serving(str(tmp_path / "image"))
    np.testing.assert_array_equal(decode_raw(tf.constant(sent), Depth(16, (0.0, 65535.0))).numpy(), pixels)

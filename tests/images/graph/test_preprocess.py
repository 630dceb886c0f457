import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from restem.images.config import ImageConfig
from restem.images.graph.channels import background as background_of
from restem.images.graph.preprocess import fit, preprocess, resize, to_stored
from restem.images.graph.stored import decode_pixels, encode_pixels

from ..conftest import pillow

SIGN_LANGUAGE = Path(__file__).parents[4] / "shared" / "data" / "sign-language-digits.zip"


@pytest.mark.parametrize("size", [(20, 31), (61, 40), (100, 160), (61, 83)])
def test_resize_equals_pillow_within_a_grey_level(photo, size):
    got = resize(tf.constant(photo), *size).numpy().astype(int)
    expected = np.asarray(Image.fromarray(photo).resize(size[::-1], Image.Resampling.BILINEAR), int)
    assert np.abs(got - expected).max() <= 1


def test_16_bits_are_resized_at_16_bits():
    pixels = np.random.default_rng(0).integers(0, 65536, (60, 80, 1), np.uint16)
    got = resize(tf.constant(pixels), 20, 30).numpy()
    assert got.dtype == np.uint16
    expected = Image.fromarray(pixels[..., 0].astype(np.float32)).resize((30, 20), Image.Resampling.BILINEAR)
    assert np.abs(got[..., 0] - np.asarray(expected)).max() <= 1
    white = tf.fill([3000, 700, 1], tf.constant(65535, tf.uint16))
    assert np.array_equal(resize(white, 16, 16), np.full((16, 16, 1), 65535))


@pytest.mark.parametrize(("height", "width"), [(61, 83), (83, 61), (10, 80), (3, 1), (20, 30)])
@pytest.mark.parametrize("background", [None, "#ff8000"])
def test_pad_keeps_the_shape_and_fills_the_rest(height, width, background):
    config = ImageConfig(size=(20, 30), fit="pad", background=background)
    pixels = np.full((height, width, 3), (10, 200, 60), np.uint8)
    got = fit(tf.constant(pixels), config, ground=background_of(config) if background else None).numpy()
    scale = min(20 / height, 30 / width)
    tall, wide = max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))
    top, left = (20 - tall) // 2, (30 - wide) // 2
    expected = np.full((20, 30, 3), (255, 128, 0) if background else 0, np.uint8)
    expected[top : top + tall, left : left + wide] = pixels[0, 0]
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("height", "width"), [(40, 90), (90, 40), (40, 60), (1, 50)])
def test_crop_takes_the_largest_centred_part(height, width):
    config = ImageConfig(size=(20, 30), fit="crop")
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([y, x, y], -1).astype(np.uint8)
    got = fit(tf.constant(pixels), config, ground=None).numpy()
    tall, wide = min(height, int(width * 20 / 30 + 0.5)), max(1, min(width, int(height * 30 / 20 + 0.5)))
    top, left = (height - tall) // 2, (width - wide) // 2
    part = Image.fromarray(np.ascontiguousarray(pixels[top : top + tall, left : left + wide]))
    expected = np.asarray(part.resize((30, 20), Image.Resampling.BILINEAR), int)
    assert np.abs(got.astype(int) - expected).max() <= 1


def test_a_fitting_size_leaves_the_pixels_alone(photo):
    assert np.array_equal(resize(tf.constant(photo), *photo.shape[:2]).numpy(), photo)


def test_images_of_all_sizes_and_formats_form_one_batch(encoded, photo):
    config = ImageConfig(size=(16, 24), channels=1)
    files = [encoded("RGB", "PNG"), encoded("L", "JPEG"), encoded("P", "GIF"), encoded("RGB", "BMP")]
    run = tf.function(lambda data: preprocess(data, config), input_signature=[tf.TensorSpec([None], tf.string)])
    got = run(tf.constant(files))
    assert (got.shape, got.dtype) == ((4, 16, 24, 1), tf.uint8)
    expected = np.asarray(Image.fromarray(photo).convert("L").resize((24, 16), Image.Resampling.BILINEAR), int)
    assert np.abs(got[0, ..., 0].numpy().astype(int) - expected).max() <= 1


def test_an_empty_batch_keeps_its_shape():
    config = ImageConfig(size=(5, 6), channels=3)
    assert preprocess(tf.constant([], tf.string), config).shape == (0, 5, 6, 3)


def test_static_shape_is_known_in_a_graph():
    config = ImageConfig(size=(5, 6), bands=("a", "b"))
    run = tf.function(lambda data: preprocess(data, config), input_signature=[tf.TensorSpec([None], tf.string)])
    assert run.get_concrete_function().structured_outputs.shape.as_list() == [None, 5, 6, 2]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 13])
def test_stored_pixels_are_restored_exactly(channels, bits):
    config = ImageConfig(size=(7, 9), bands=tuple(f"b{i}" for i in range(channels)), bits=bits)
    pixels = np.random.default_rng(channels).integers(0, config.white + 1, (5, 7, 9, channels), config.dtype)
    run = tf.function(lambda data: decode_pixels(data, config), input_signature=[tf.TensorSpec([], tf.string)])
    for expected in pixels:
        stored = encode_pixels(tf.constant(expected), config)
        assert (stored.shape, stored.dtype) == ((), tf.string)
        assert np.array_equal(run(stored).numpy(), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_use_sees_the_pixels_stored_as_jpeg(encoded, photo, channels):
    config = ImageConfig(size=photo.shape[:2], channels=channels, store="jpeg", jpeg_quality=90)
    before = preprocess(tf.constant([encoded("RGB", "PNG")]), config.model_copy(update={"store": "lossless"}))[0]
    seen = preprocess(tf.constant([encoded("RGB", "PNG")]), config)[0]
    (stored,) = to_stored(tf.constant([encoded("RGB", "PNG")]), config)
    np.testing.assert_array_equal(decode_pixels(stored, config), seen)
    assert stored.numpy()[:3] == b"\xff\xd8\xff"
    difference = np.abs(seen.numpy().astype(int) - before.numpy())
    assert 0 < difference.mean() < 6


@pytest.mark.parametrize("mode", [{"bits": 16}, {"bands": ("a", "b")}])
def test_jpeg_is_refused_for_unsupported_pixels(mode):
    with pytest.raises(ValueError, match="store: jpeg supports only 8-bit grey or red, green, blue"):
        ImageConfig(size=4, store="jpeg", **mode)


@pytest.mark.skipif(not SIGN_LANGUAGE.exists(), reason="the real photographs (../shared/data) are not on this machine")
def test_real_photographs_equal_pillow_within_a_grey_level():
    import zipfile

    with zipfile.ZipFile(SIGN_LANGUAGE) as archive:
        names = sorted(name for name in archive.namelist() if name.upper().endswith(".JPG"))[::100]
        files = [archive.read(name) for name in names]
    assert len(files) == 21
    got = preprocess(tf.constant(files), ImageConfig(size=(64, 48), channels=3)).numpy().astype(int)
    for name, data, pixels in zip(names, files, got, strict=True):
        image = Image.open(io.BytesIO(data)).convert("RGB").resize((48, 64), Image.Resampling.BILINEAR)
        assert np.abs(pixels - np.asarray(image, int)).max() <= 1, name
        assert pillow(data).shape == (100, 100, 3)

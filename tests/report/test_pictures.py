import base64
import io

import numpy as np
import pytest
from PIL import Image

from restem.images.container import pack
from restem.images.nodata import Nodata
from restem.images.small import BOX_PIXELS
from restem.report.pictures import Thumbnail, picture_uri, thumbnail


def encode(pixels: np.ndarray, kind: str = "PNG", mode: str | None = None) -> bytes:
    output = io.BytesIO()
    Image.fromarray(pixels, mode=mode).save(output, kind)
    return output.getvalue()


def decode(uri: str) -> Image.Image:
    head, _, content = uri.partition(";base64,")
    assert head in ("data:image/png", "data:image/jpeg")
    return Image.open(io.BytesIO(base64.b64decode(content)))


def only(thumbnail: Thumbnail) -> str:
    """The picture of an image that has only one."""
    ((caption, uri),) = thumbnail.pictures
    assert caption == ""
    return uri


def test_small_images_keep_every_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 5), dtype=np.uint8)
    picture = thumbnail(encode(pixels))
    assert (picture.height, picture.width) == (8, 5)
    np.testing.assert_array_equal(np.asarray(decode(only(picture))), pixels)


def test_large_images_are_reduced_and_keep_their_aspect_ratio():
    picture = thumbnail(encode(np.full((600, 1200, 3), 128, np.uint8), "JPEG"))
    assert (picture.height, picture.width) == (600, 1200)
    assert decode(only(picture)).size == (BOX_PIXELS, BOX_PIXELS // 2)


def test_16_bit_images_are_stretched_to_their_range():
    pixels = np.array([[1000, 1500], [2000, 3000]], dtype=np.uint16)
    shown = np.asarray(decode(only(thumbnail(encode(pixels)))))
    np.testing.assert_array_equal(shown, [[0, 64], [128, 255]])


def test_pixels_without_data_are_black_and_do_not_widen_the_range():
    pixels = np.array([[1000, 1500], [2000, 65535]], dtype=np.uint16)
    shown = np.asarray(decode(only(thumbnail(encode(pixels), rule=Nodata(value=65535.0)))))
    np.testing.assert_array_equal(shown, [[0, 128], [255, 0]])
    floats = np.array([[0.5, np.nan], [1.0, 0.75]], np.float32)[..., None]
    shown = np.asarray(decode(only(thumbnail(pack(floats), rule=Nodata(not_finite=True)))))
    np.testing.assert_array_equal(shown, [[0, 0], [255, 128]])


def test_constant_16_bit_images_are_black():
    shown = np.asarray(decode(only(thumbnail(encode(np.full((2, 2), 900, np.uint16))))))
    np.testing.assert_array_equal(shown, np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("bands", "captions", "channels"),
    [
        ((), [""], [[0, 1, 2]]),
        (("nir", "red", "green", "blue"), ["red, green, blue", "nir"], [[1, 2, 3], 0]),
        (("a", "b", "c", "d"), ["a", "b", "c", "d"], [0, 1, 2, 3]),
    ],
)
def test_colour_bands_share_a_picture_and_each_other_band_has_its_own(bands, captions, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 4), dtype=np.uint8)
    shown = thumbnail(encode(pixels), bands)
    assert [caption for caption, _ in shown.pictures] == captions
    for (_, uri), picked in zip(shown.pictures, channels, strict=True):
        np.testing.assert_array_equal(np.asarray(decode(uri)), pixels[:, :, picked])


def test_grey_with_alpha_is_shown_as_grey():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 2), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(decode(only(thumbnail(encode(pixels))))), pixels[:, :, 0])


def test_palettes_and_cmyk_are_shown_in_their_colours():
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    for image, kind in ((red.convert("P"), "GIF"), (red.convert("CMYK"), "JPEG")):
        output = io.BytesIO()
        image.save(output, kind)
        shown = np.asarray(decode(only(thumbnail(output.getvalue()))).convert("RGB")).astype(int)
        np.testing.assert_allclose(shown, np.broadcast_to([255, 0, 0], (4, 4, 3)), atol=3)


@pytest.mark.parametrize("content", [b"", b"not an image", encode(np.zeros((64, 64), np.uint8), "JPEG")[:200]])
def test_undecodable_content_has_no_picture(content):
    assert thumbnail(content) is None


def test_pngs_are_reduced_only_if_they_are_large():
    light = encode(np.zeros((50, 50, 3), np.uint8))
    assert picture_uri(light) == "data:image/png;base64," + base64.b64encode(light).decode()
    heavy = encode(np.random.default_rng(0).integers(0, 256, (700, 2000, 3), dtype=np.uint8))
    assert decode(picture_uri(heavy, max_bytes=100_000)).size == (1600, 560)


@pytest.mark.parametrize(
    ("names", "captions", "first"),
    [
        (("nir", "red", "green", "blue", "swir"), ["red, green, blue", "nir", "swir"], [1, 2, 3]),
        ((), ["band 1", "band 2", "band 3", "band 4"], 0),
    ],
)
def test_bands_in_a_raw_container_are_shown(names, captions, first):
    from restem.images.container import pack

    pixels = np.random.default_rng(0).integers(0, 256, (8, 5, 5), dtype=np.uint8)
    picture = thumbnail(pack(pixels), names)
    assert (picture.height, picture.width) == (8, 5)
    assert [caption for caption, _ in picture.pictures] == captions
    np.testing.assert_array_equal(decode(picture.pictures[0][1]), pixels[..., first])
    assert thumbnail(pack(pixels)[:-20], names) is None

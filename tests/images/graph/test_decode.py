import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from restem.images.arrays import decodable
from restem.images.config import ImageConfig
from restem.images.formats.pillow import explain_failure
from restem.images.graph.decode import decode, decode_raw
from restem.images.header import UnreadableImage
from restem.images.probe import probe

from ..conftest import pillow, png

GREY = ImageConfig(size=8, channels=1)
COLOUR = ImageConfig(size=8, channels=3)
# From a folder next to the repository, if it exists: real files that are unusual on purpose.
ODD_IMAGES = Path(__file__).parents[4] / "shared" / "data" / "odd-images.zip"


@pytest.fixture(scope="module")
def decoder():
    """decoder(data, config): decodes inside a tf.function, as training does."""
    graphs = {}

    def run(data: bytes, config: ImageConfig) -> np.ndarray:
        if config not in graphs:
            graphs[config] = tf.function(
                lambda one: decode(one, config), input_signature=[tf.TensorSpec([], tf.string)]
            )
        return graphs[config](data).numpy().astype(np.int64)

    return run


FILES = [
    ("L", "PNG", {}),
    ("LA", "PNG", {}),
    ("RGB", "PNG", {}),
    ("RGBA", "PNG", {}),
    ("P", "PNG", {}),
    ("1", "PNG", {}),
    ("L", "JPEG", {}),
    ("RGB", "JPEG", {"quality": 90}),
    ("RGB", "JPEG", {"progressive": True, "subsampling": 2}),
    ("CMYK", "JPEG", {}),
    ("L", "BMP", {}),
    ("P", "BMP", {}),
    ("RGB", "BMP", {}),
    ("RGB", "GIF", {}),
    ("L", "GIF", {}),
]


@pytest.mark.parametrize(("mode", "kind", "options"), FILES, ids=lambda value: str(value))
@pytest.mark.parametrize(("config", "pillow_mode"), [(GREY, "L"), (COLOUR, "RGB")], ids=["grey", "colour"])
def test_pixels_equal_pillows(decoder, encoded, mode, kind, options, config, pillow_mode):
    data = encoded(mode, kind, **options)
    # Grey means the luma of the colours; Pillow's convert("L") works differently for palette and CMYK files.
    expected = pillow(data)
    if pillow_mode == "L":
        luma = Image.fromarray(expected.astype(np.uint8)).convert("L")
        expected = np.asarray(luma, np.int64)[..., None]
    got = decoder(data, config)
    assert got.shape == expected.shape
    # Equal, except for JPEG: two builds of libjpeg may round chroma upsampling differently.
    assert np.abs(got - expected).max() <= (1 if kind == "JPEG" else 0)


def test_interlaced_palette_gif_equals_its_first_frame(decoder, photo):
    frames = [Image.fromarray(np.roll(photo, shift, 0)).quantize(32) for shift in (0, 5, 9)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], interlace=True)
    got = decoder(buffer.getvalue(), COLOUR)
    assert np.array_equal(got, np.asarray(frames[0].convert("RGB")))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_is_rescaled_by_the_specification(decoder, channels):
    # Every rounding case: 257 k gives exactly k, and the midpoint is 257 k + 128.5.
    values = np.array([0, 1, 128, 129, 257, 385, 386, 32767, 32768, 65406, 65407, 65535], np.uint16)
    pixels = np.stack([np.roll(values, c) for c in range(channels)], -1).reshape(3, 4, channels)
    data = png16(pixels)
    expected = np.floor(pixels / 257 + 0.5).astype(np.int64)
    bands = ImageConfig(size=8, bands=tuple("abcd"[:channels]))
    assert np.array_equal(decoder(data, bands), expected)
    assert np.array_equal(decode_raw(tf.constant(data)).numpy(), expected)


def test_bands_are_the_raw_channels_of_the_file(decoder, photo):
    rgba = np.concatenate([photo, photo[..., :1] // 2], -1)
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    four = ImageConfig(size=8, bands=("red", "green", "blue", "infrared"))
    assert np.array_equal(decoder(buffer.getvalue(), four), rgba)


def test_a_wrong_number_of_bands_is_refused_with_both_numbers(decoder, encoded):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"names 2 bands[\s\S]*3"):
        decoder(encoded("RGB", "PNG"), ImageConfig(size=8, bands=("a", "b")))


def test_selected_bands_have_the_selected_order(decoder, photo):
    rgba = np.concatenate([photo, photo[..., :1] // 2], -1)
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    two = ImageConfig(size=8, bands=("red", "green", "blue", "nir"), select=("nir", "red"))
    assert np.array_equal(decoder(buffer.getvalue(), two), rgba[..., [3, 0]])


def test_16_bits_stay_16_bits(decoder):
    pixels = np.random.default_rng(0).integers(0, 65536, (5, 6, 3), np.uint16)
    assert np.array_equal(decoder(png16(pixels), ImageConfig(size=8, bits=16)), pixels)
    # Rec. 601 in 65536ths, as for 8 bits; the sum does not fit into 32 bits.
    luma = (pixels.astype(np.int64) @ [19595, 38470, 7471] + 32768) >> 16
    assert np.array_equal(decoder(png16(pixels), ImageConfig(size=8, bits=16, channels=1))[..., 0], luma)


def test_8_bits_are_scaled_to_the_range_of_16(decoder, encoded, photo):
    assert np.array_equal(decoder(encoded("RGB", "PNG"), ImageConfig(size=8, bits=16)), photo.astype(int) * 257)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_value_range_rescales_16_bits_but_not_8(decoder, encoded, photo, bits):
    config = ImageConfig(size=8, channels=1, bits=bits, value_range=(100, 4095))
    values = np.array([[0, 100, 101, 2000, 4095, 65535]], np.uint16)[..., None]
    expected = np.rint(np.clip((values - 100.0) / 3995, 0, 1) * config.white)
    assert np.array_equal(decoder(png16(values), config), expected)
    full = 1 if bits == 8 else 257
    assert np.array_equal(
        decoder(encoded("RGB", "PNG"), config.model_copy(update={"channels": 3})), photo.astype(int) * full
    )


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_images_are_blended_with_the_background(decoder, photo, bits, channels, mode):
    alpha = np.linspace(0, 255, photo.shape[0] * photo.shape[1]).reshape(*photo.shape[:2], 1).astype(np.uint8)
    colour = photo if mode == "RGBA" else photo[..., :1]
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate([colour, alpha], -1), mode).save(buffer, "PNG")
    config = ImageConfig(size=8, channels=channels, bits=bits, background="#ff8000")
    got = decoder(buffer.getvalue(), config)
    image = Image.open(io.BytesIO(buffer.getvalue())).convert("RGBA")
    blended = Image.new("RGBA", image.size, "#ff8000")
    blended.paste(image, mask=image.getchannel("A"))
    expected = np.asarray(blended.convert("RGB").convert("L" if channels == 1 else "RGB"), int).reshape(got.shape)
    # Grey on a coloured background is blended in grey, which rounds once more than RGB.
    assert np.abs(got / (257 if bits == 16 else 1) - expected).max() <= (0 if (bits, channels) == (8, 3) else 1)


def test_without_transparency_the_background_does_not_show(decoder, encoded, photo):
    assert np.array_equal(decoder(encoded("RGB", "PNG"), ImageConfig(size=8, background="white")), photo)


def test_alpha_is_dropped_and_the_stored_colour_is_used(decoder, photo):
    rgba = np.concatenate([photo, np.zeros_like(photo[..., :1])], -1)
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    assert np.array_equal(decoder(buffer.getvalue(), COLOUR), photo)


@pytest.mark.parametrize("top_down", [False, True])
def test_32_bit_bmp_drops_its_padding(decoder, photo, top_down):
    height, width = photo.shape[:2]
    bgrx = np.concatenate([photo[..., ::-1], np.full_like(photo[..., :1], 7)], -1)
    rows = bgrx if top_down else bgrx[::-1]
    data = bmp(width, -height if top_down else height, bits=32, body=rows.tobytes())
    assert np.array_equal(decoder(data, COLOUR), photo)


@pytest.mark.parametrize(("bits", "compression"), [(8, 1), (4, 0), (16, 0), (32, 3)])
def test_other_bmp_files_are_refused_not_misread(decoder, bits, compression):
    data = bmp(4, 4, bits=bits, compression=compression, body=bytes(4 * 4 * 4))
    with pytest.raises(tf.errors.InvalidArgumentError, match="uncompressed BMP"):
        decoder(data, COLOUR)


@pytest.mark.parametrize("data", [b"", b"B", b"no image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM"])
def test_data_that_are_not_an_image_are_refused(decoder, data):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoder(data, COLOUR)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_truncated_file_is_refused(decoder, encoded, kind, tenth):
    data = encoded("RGB", kind)
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoder(data[: len(data) * tenth // 10], COLOUR)


@pytest.mark.skipif(not ODD_IMAGES.exists(), reason="the real odd images (../shared/data) are not on this machine")
def test_pngsuite_and_libjpeg_images_equal_pillows_or_are_refused(decoder):
    import zipfile

    read, refused = {}, {}
    with zipfile.ZipFile(ODD_IMAGES) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        for name in names:
            data = archive.read(name)
            try:
                header = probe(data, max_pixels=10**6, max_bytes=10**8)
            except UnreadableImage as error:
                refused[Path(name).name] = str(error)
                continue
            try:
                got = decoder(decodable(data, header), COLOUR)
            except tf.errors.InvalidArgumentError:
                refused[Path(name).name] = explain_failure(data, header.format)
                continue
            read[Path(name).name] = got
            if name.endswith("monkey12.jpg"):  # 12 bits a channel: Pillow does not read it.
                continue
            image = Image.open(io.BytesIO(data))
            if image.mode.startswith("I"):
                expected = np.floor(np.asarray(image, np.int64)[..., None] / 257 + 0.5).repeat(3, -1)
            else:
                expected = np.asarray(image.convert("RGB"), np.int64)
            # Pillow truncates 16-bit colour to its high byte, which is at most one level from rounding.
            assert np.abs(got - expected).max() <= 1, name
    # PngSuite's invalid files begin with x; the others are unsupported formats and text files.
    images = [name for name in refused if name.endswith((".png", ".jpg", ".bmp")) and not name.startswith("x")]
    assert images == []
    assert all(reason.endswith(".") for reason in refused.values())
    # The same picture without loss, and with 12 bits as JPEG.
    assert np.abs(read["monkey12.jpg"] - read["monkey16.png"]).mean() < 2
    assert len(read) == 173


@pytest.mark.skipif(not ODD_IMAGES.exists(), reason="the real odd images (../shared/data) are not on this machine")
def test_pngsuites_transparency_is_blended_with_the_background_like_pillow(decoder):
    import zipfile

    config = ImageConfig(size=8, background="#ff8000")
    with zipfile.ZipFile(ODD_IMAGES) as archive:
        files = {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist() if "/pngsuite/" in name}
    compared = 0
    for name, data in files.items():
        # Pillow compares a 4-bit transparent colour with 8-bit values, and ignores a 16-bit one.
        if name.startswith("t") and name.endswith(".png") and name not in ("tbbn0g04.png", "tbwn0g16.png"):
            image = Image.open(io.BytesIO(data)).convert("RGBA")
            blended = Image.new("RGBA", image.size, "#ff8000")
            blended.paste(image, mask=image.getchannel("A"))
            assert np.abs(decoder(data, config) - np.asarray(blended.convert("RGB"), int)).max() <= 1, name
            compared += 1
    assert compared == 12


def png16(pixels: np.ndarray) -> bytes:
    """A 16-bit PNG of uint16 [h, w, 1..4]."""
    return png(pixels, 16)


def bmp(width: int, height: int, *, bits: int, body: bytes, compression: int = 0) -> bytes:
    """A BMP file without palette; with a negative height, its rows go from top to bottom."""
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(body), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(body), 0, 0, 54) + header + body

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from restem.images.arrays import read_array
from restem.images.header import UnreadableImage
from restem.images.probe import probe

LIMITS = {"max_pixels": 10_000, "max_bytes": 1 << 24}


def tiff(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def read(data: bytes) -> np.ndarray:
    header = probe(data, **LIMITS)
    pixels = read_array(data, header)
    assert pixels.shape == (header.height, header.width, header.channels)
    assert header.format == "TIFF"
    return pixels


BANDS = np.random.default_rng(0).integers(0, 65536, (20, 30, 13), np.uint16)
ONE = BANDS[..., 0]
BY_BAND = np.ascontiguousarray(np.moveaxis(BANDS, -1, 0))
GREY = {"photometric": "minisblack"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (tiff(BANDS, planarconfig="contig", **GREY), BANDS),
        (tiff(BY_BAND, planarconfig="separate", **GREY), BANDS),
        (tiff(BY_BAND, **GREY), BANDS),
        (tiff(BANDS, planarconfig="contig", compression="lzw", predictor=2, **GREY), BANDS),
        (tiff(BANDS, planarconfig="contig", compression="zlib", tile=(16, 16), **GREY), BANDS),
        (tiff(BANDS, planarconfig="contig", compression="zstd", **GREY), BANDS),
        (tiff(BANDS, planarconfig="contig", bigtiff=True, byteorder=">", **GREY), BANDS),
        (tiff(BY_BAND[:3], imagej=True), BANDS[..., :3]),
        (tiff(BANDS[..., :3], photometric="rgb"), BANDS[..., :3]),
        (tiff(BANDS[..., :4].astype(np.uint8), photometric="rgb", extrasamples=["unassalpha"]), BANDS[..., :4] % 256),
        (tiff(ONE, photometric="miniswhite"), 65535 - ONE[..., None]),
        (tiff(ONE > 30_000, **GREY), (ONE[..., None] > 30_000) * 255),
        (tiff(ONE.astype(np.float32)), ONE[..., None]),
        (tiff((ONE / 65536).astype(np.float16)), (ONE[..., None] / 65536).astype(np.float16)),
        (tiff(ONE.view(np.int16)), ONE[..., None].view(np.int16)),
        (tiff(np.array([[7]], np.uint8)), np.array([[[7]]])),
    ],
    ids=[
        "contig",
        "planar",
        "pages",
        "lzw",
        "tiles",
        "zstd",
        "bigtiff",
        "imagej",
        "rgb16",
        "rgba",
        "miniswhite",
        "1bit",
        "float",
        "half",
        "int16",
        "1x1",
    ],
)
def test_pixels_are_read_as_written(data, expected):
    np.testing.assert_array_equal(read(data), expected)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("1", {"compression": "group4"}),
        ("L", {"compression": "packbits"}),
        ("P", {}),
        ("RGB", {"compression": "tiff_lzw"}),
        ("RGB", {"compression": "tiff_lzw", "tiffinfo": {266: 2}}),  # FillOrder: reversed bits
        ("RGB", {"compression": "jpeg"}),
        ("CMYK", {}),
        ("LA", {}),
        ("I;16", {}),
    ],
)
def test_pixels_equal_pillows(photo, mode, options):
    image = Image.fromarray(photo).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 200)
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", **options)
    seen = Image.open(io.BytesIO(buffer.getvalue()))
    expected = np.asarray(seen.convert({"1": "L", "P": "RGB", "CMYK": "RGB"}.get(mode, seen.mode)), int)
    got = read(buffer.getvalue()).astype(int)
    assert np.abs(got - expected.reshape(got.shape)).max() <= (1 if "jpeg" in options.values() else 0)


def test_12_bits_are_scaled_to_the_range_of_16():
    grey = ONE >> 4
    got = read(tiff(grey, bitspersample=12, **GREY))[..., 0]
    np.testing.assert_array_equal(got, np.floor(grey * (65535 / 4095) + 0.5))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(photo, orientation):
    from PIL import ImageOps

    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "TIFF", tiffinfo={274: orientation})
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(buffer.getvalue()))))
    np.testing.assert_array_equal(read(buffer.getvalue()), expected)


def test_a_following_page_of_another_size_is_not_a_band():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(ONE, **GREY)
        writer.write(ONE[::2, ::2], **GREY)
    np.testing.assert_array_equal(read(buffer.getvalue())[..., 0], ONE)


@pytest.mark.parametrize(
    "options",
    [{}, {"compression": "lzw", "predictor": 2}, {"compression": "zlib", "tile": (16, 16)}, {"pages": True}],
    ids=["plain", "lzw", "tiles", "pages"],
)
@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_truncated_file_is_refused(options, tenth):
    pages = "pages" in options
    data = tiff(BY_BAND, **GREY) if pages else tiff(BANDS, planarconfig="contig", **GREY, **options)
    cut = data[: len(data) * tenth // 10]
    with pytest.raises(UnreadableImage, match=r"^The TIFF file(.s header is damaged| is incomplete)"):
        read(cut)


def test_unsupported_colours_are_named(photo):
    buffer = io.BytesIO()
    Image.fromarray(photo).convert("LAB").save(buffer, "TIFF")
    with pytest.raises(UnreadableImage, match="CIELAB colours in 3 channel"):
        read(buffer.getvalue())


def test_complex_numbers_are_refused():
    with pytest.raises(UnreadableImage, match="bits per channel of this type are not supported"):
        read(tiff(ONE.astype(np.complex64)))


@pytest.mark.parametrize("top", [255, 65535])
@pytest.mark.parametrize("colours", [1, 3])
def test_colours_that_are_multiplied_by_alpha_are_divided_by_it(top, colours):
    kind = np.uint8 if top == 255 else np.uint16
    seen = np.random.default_rng(0).integers(0, top + 1, (20, 30, colours), np.int64)
    alpha = np.random.default_rng(1).integers(top // 2, top + 1, (20, 30, 1), np.int64)
    stored = np.concatenate([(seen * alpha + top // 2) // top, alpha], -1).astype(kind)
    stored[0, 0] = 0
    kinds = {"photometric": "rgb" if colours == 3 else "minisblack", "planarconfig": "contig"}
    got = read(tiff(stored, extrasamples=["assocalpha"], **kinds)).astype(int)
    # With alpha at half, half the range is lost: one stored level is two visible levels.
    assert np.abs(got[..., :-1] - seen)[1:].max() <= 1
    np.testing.assert_array_equal(got[..., -1:], np.where(stored[..., -1:] == 0, 0, alpha))
    np.testing.assert_array_equal(got[0, 0], 0)
    np.testing.assert_array_equal(read(tiff(stored, extrasamples=["unassalpha"], **kinds)), stored)


def test_associated_alpha_equals_pillows():
    stored = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    data = tiff(stored, photometric="rgb", extrasamples=["assocalpha"])
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"), int)
    assert np.abs(read(data) - expected).max() <= 1  # Pillow truncates, we round.


def test_large_tiles_are_refused_by_the_header():
    data = tiff(np.zeros((20, 30), np.uint8), tile=(128, 144), compression="zlib")
    with pytest.raises(UnreadableImage, match=r"tiles have 144 x 128 pixels; the limit is data.max_pixels \(10,000\)"):
        read(data)


SMALL = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.mark.parametrize("tile", [None, (32, 32)])
@pytest.mark.parametrize("compression", ["jpeg", "png", "webp", "jpeg2000", "lerc"])
def test_strips_and_tiles_that_are_complete_files(compression, tile):
    data = tiff(SMALL, photometric="rgb", compression=compression, tile=tile)
    np.testing.assert_array_equal(read(data), tifffile.imread(io.BytesIO(data)))


@pytest.mark.parametrize("compression", ["jpeg", "png", "webp", "jpeg2000", "lerc"])
def test_strips_that_are_larger_than_the_header_says_are_refused(compression):
    large = tiff(np.zeros((2000, 1000, 3), np.uint8), photometric="rgb", compression=compression, rowsperstrip=2000)
    with tifffile.TiffFile(io.BytesIO(large)) as file:
        tags = file.pages.first.tags
        places = [tags[name].valueoffset for name in ("ImageWidth", "ImageLength")]
    lying = bytearray(large)
    for place, size in zip(places, (30, 20), strict=True):
        lying[place : place + 2] = size.to_bytes(2, "little")
    with pytest.raises(UnreadableImage, match=r"damaged \(a strip or tile has 1000 x 2000 pixels instead of 30 x 20\)"):
        read(bytes(lying))


def test_a_strip_in_the_wrong_format_is_reported():
    data = tiff(SMALL, photometric="rgb", compression="jpeg")
    at = data.index(b"\xff\xd8\xff")
    with pytest.raises(UnreadableImage, match=r"image data are damaged \(a strip or tile is not JPEG\)"):
        read(data[:at] + b"none" + data[at + 4 :])


def test_missing_tiles_are_zeros():
    data = bytearray(tiff(np.tile(SMALL, (3, 2, 1)), photometric="rgb", compression="png", tile=(32, 32)))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        counts = file.pages.first.tags["TileByteCounts"]
        assert (counts.count, counts.dtype_name) == (4, "SHORT")
        data[counts.valueoffset : counts.valueoffset + 2] = bytes(2)
    got = read(bytes(data))
    assert not got[:32, :32].any()
    np.testing.assert_array_equal(got[32:], np.tile(SMALL, (3, 2, 1))[32:])


def test_every_page_is_checked():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(ONE, **GREY)
        writer.write(ONE, tile=(128, 128), compression="zlib", **GREY)
    with pytest.raises(UnreadableImage, match="tiles have 128 x 128 pixels"):
        read(buffer.getvalue())


def test_pages_are_read_one_by_one_where_a_format_would_have_them_guessed():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for band in BY_BAND:
            writer.write(band, description="state.configPath=''", metadata=None, contiguous=False, **GREY)
    with tifffile.TiffFile(io.BytesIO(buffer.getvalue())) as file:
        assert file.is_scanimage
        assert any(isinstance(page, tifffile.TiffFrame) for page in file.pages)
    np.testing.assert_array_equal(read(buffer.getvalue()), BANDS)


@pytest.mark.parametrize("compression", ["jpegxl", "jpegxr"])
def test_compressions_without_a_known_size_are_refused(compression):
    with pytest.raises(UnreadableImage, match=rf"with {compression.upper()} compression are not supported: use LZW"):
        read(tiff(SMALL, photometric="rgb", compression=compression))


def test_damaged_data_are_reported():
    data = bytearray(tiff(BANDS, planarconfig="contig", compression="zlib", **GREY))
    start = len(data) // 2
    data[start : start + 200] = bytes(200)
    with pytest.raises(UnreadableImage, match="image data are damaged"):
        read(bytes(data))

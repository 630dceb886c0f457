"""Files as people have them: each is read as it was meant, or refused with the reason."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image, PngImagePlugin

from restem.images.arrays import decodable, read_array
from restem.images.config import Requirements
from restem.images.graph.decode import Depth, decode_raw
from restem.images.header import UnreadableImage, check_suits
from restem.images.probe import probe

from .test_arrays import npy

LIMITS = {"max_pixels": 100_000, "max_bytes": 1 << 24}
PICTURE = np.random.default_rng(0).integers(0, 256, (11, 14, 3), np.uint8)


def saved(picture: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def seen(data: bytes) -> np.ndarray:
    """What the graph makes of a file after ingestion."""
    header = probe(data, **LIMITS)
    pixels = decode_raw(tf.constant(decodable(data, header)), Depth(16 if header.bit_depth > 8 else 8)).numpy()
    assert pixels.shape == (header.height, header.width, header.channels)
    return pixels


@pytest.mark.parametrize("shape", [(32, 32), (1, 30), (30, 1), (1, 1), (5, 1, 3), (1, 5, 3)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_arrays_of_every_shape_are_encoded(shape, kind):
    """NumPy gives axes with one element any stride, such as 0, which codecs do not accept."""
    values = np.random.default_rng(1).integers(0, 200, shape).astype(kind)
    np.testing.assert_array_equal(seen(npy(values)), values.reshape(*shape[:2], -1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_narrow_tiff_in_every_orientation(orientation):
    file = io.BytesIO()
    row = np.arange(30, dtype=np.uint8)[None]
    tifffile.imwrite(file, row, extratags=[(274, "H", 1, orientation, True)])
    assert sorted(seen(file.getvalue()).ravel().tolist()) == list(range(30))


@pytest.mark.parametrize("scale", [1, 256, 257])
def test_a_colour_map_of_8_or_16_bits(scale):
    colours = np.array([[0, 200, 31], [10, 20, 30], [255, 128, 0]], np.uint16)  # red, green, blue of three entries
    table = np.zeros((3, 256), np.uint16)
    table[:, :3] = colours * scale
    indices = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    file = io.BytesIO()
    tifffile.imwrite(file, indices, photometric="palette", colormap=table)
    np.testing.assert_array_equal(seen(file.getvalue()), colours.T[indices])


def test_the_full_image_is_read_although_a_thumbnail_comes_first():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(PICTURE[::4, ::4], photometric="rgb", subfiletype=1)
        writer.write(PICTURE, photometric="rgb")
    np.testing.assert_array_equal(seen(file.getvalue()), PICTURE)


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "minisblack", "extratags": [(50706, "B", 4, (1, 4, 0, 0), True)]},  # DNGVersion
        {"photometric": "cfa"},
    ],
)
def test_raw_files_of_cameras_are_called_by_name(options):
    file = io.BytesIO()
    tifffile.imwrite(file, PICTURE[..., 0], **options)
    with pytest.raises(UnreadableImage, match="camera's raw file"):
        probe(file.getvalue(), **LIMITS)


def test_bytes_behind_the_pixels_of_a_bmp():
    plain = saved(Image.fromarray(PICTURE), "BMP")
    for more in (b"abc", bytes(1000)):
        np.testing.assert_array_equal(seen(plain + more), PICTURE)
    with pytest.raises(UnreadableImage):
        read_array(plain[:-40] + b"", probe(plain + b"x", **LIMITS))


def test_an_index_beyond_the_palette_of_a_bmp_is_black():
    data = bytearray(saved(Image.fromarray(PICTURE[..., 0]).convert("P"), "BMP"))
    (offset,) = struct.unpack_from("<I", data, 10)
    struct.pack_into("<I", data, 46, 2)  # two colours are used; the others remain in the file
    pixels = seen(bytes(data))
    indices = np.array(Image.open(io.BytesIO(saved(Image.fromarray(PICTURE[..., 0]).convert("P"), "BMP"))))
    assert offset < len(data)
    assert not pixels[indices > 1].any()


@pytest.mark.parametrize("run", [2, 3, 4, 5])
def test_literal_runs_of_a_bmp_with_4_bits_are_right_or_refused(run):
    values = [1, 2, 3, 1, 2][:run]
    packed = bytes((values[i] << 4) | (values[i + 1] if i + 1 < run else 0) for i in range(0, run, 2))
    packed += bytes(len(packed) % 2)
    # Literal runs have at least three pixels; two are one encoded run.
    stream = bytes([run, 0x12]) if run < 3 else bytes([0, run]) + packed
    stream += bytes([0, 1])
    palette = b"".join(bytes([16 * i, 15 * i, 14 * i, 0]) for i in range(16))
    header = struct.pack("<IiiHHIIiiII", 40, run, 1, 1, 4, 2, len(stream), 0, 0, 16, 16)
    offset = 14 + len(header) + len(palette)
    data = b"BM" + struct.pack("<IHHI", offset + len(stream), 0, 0, offset) + header + palette + stream
    expected = [[14 * value, 15 * value, 16 * value] for value in values]
    if run % 2:
        with pytest.raises(UnreadableImage, match="decodes wrongly"):
            seen(data)
    else:
        assert seen(data).tolist() == [expected]


def test_an_empty_comment_in_a_gif():
    data = saved(Image.fromarray(PICTURE[..., 0]).convert("P"), "GIF")
    start = data.index(b"\x2c", 13 + 3 * 2 ** ((data[10] & 7) + 1))
    np.testing.assert_array_equal(seen(data[:start] + b"\x21\xfe\x00" + data[start:]), seen(data))


def test_a_png_with_a_long_text():
    texts = PngImagePlugin.PngInfo()
    texts.add_text("comment", "x" * 5_000_000, zip=True)
    np.testing.assert_array_equal(seen(saved(Image.fromarray(PICTURE), "PNG", pnginfo=texts)), PICTURE)


def test_cmyk_without_adobes_marker():
    picture = Image.new("CMYK", (16, 16), (200, 50, 0, 30))
    marked = saved(picture, "JPEG", quality=95)
    start = marked.index(b"\xff\xee")
    plain = marked[:start] + marked[start + 2 + struct.unpack_from(">H", marked, start + 2)[0] :]
    for data in (marked, plain):
        expected = np.array(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        assert np.abs(seen(data).astype(int) - expected).max() <= 2


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_jpeg(bits):
    values = np.random.default_rng(2).integers(0, 2**bits, (16, 24)).astype(np.uint8 if bits == 8 else np.uint16)
    alone = imagecodecs.ljpeg_encode(values, bitspersample=bits)
    top = 255 if bits == 8 else 65535
    expected = (values.astype(np.uint64) * top + (2**bits - 1) // 2) // (2**bits - 1)
    np.testing.assert_array_equal(seen(alone)[..., 0], expected)
    assert probe(alone, **LIMITS).bit_depth == bits
    for end in range(0, len(alone), max(1, len(alone) // 20)):
        with pytest.raises(UnreadableImage):
            seen(alone[:end])


def test_jpeg_with_12_bits_alone_and_inside_tiff():
    values = (np.add.outer(np.arange(32), np.arange(48)) * 50).astype(np.uint16)
    alone = imagecodecs.jpeg8_encode(values, bitspersample=12, level=99)
    decoded = imagecodecs.jpeg8_decode(alone).astype(np.uint64)
    expected = (decoded * 65535 + 2047) // 4095
    np.testing.assert_array_equal(seen(alone)[..., 0], expected)
    assert np.abs(expected / 16.0 - values).max() < 30
    file = io.BytesIO()
    tifffile.imwrite(file, values, compression="jpeg", compressionargs={"level": 99, "bitspersample": 12})
    inside = seen(file.getvalue())[..., 0]
    assert np.abs(inside / 16.0 - values).max() < 30


def test_channels_that_come_first_are_suspected():
    with pytest.raises(UnreadableImage, match=r"channels come first \(3 x 40 x 50\)"):
        check_suits(probe(npy(np.zeros((3, 40, 50), np.uint8)), **LIMITS), Requirements())


@pytest.mark.parametrize("shape", [(3, 40, 50), (3, 224, 224), (4, 65, 70)])
def test_arrays_with_channels_first_are_read_with_array_axes(shape):
    values = np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)
    with pytest.raises(UnreadableImage, match=r"Then set data\.array_axes: chw\."):
        check_suits(probe(npy(values), **LIMITS), Requirements(channels=shape[0]))
    header = probe(npy(values), **LIMITS, array_axes="chw")
    check_suits(header, Requirements(channels=shape[0]))
    assert (header.height, header.width, header.channels) == (*shape[1:], shape[0])
    np.testing.assert_array_equal(
        decode_raw(tf.constant(decodable(npy(values), header)), Depth(8)), np.moveaxis(values, 0, -1)
    )
    grey = probe(npy(values[0]), **LIMITS, array_axes="chw")
    assert decode_raw(tf.constant(decodable(npy(values[0]), grey)), Depth(8)).shape == (*shape[1:], 1)


def test_the_limit_on_memory_is_on_decoded_bytes():
    data = npy(np.zeros((40, 50, 3), np.uint16))
    assert probe(data, **LIMITS, max_decoded_bytes=12_000).value_bytes == 2
    with pytest.raises(UnreadableImage, match=r"12,000 bytes in memory; the limit is data\.max_decoded_bytes \(11,999"):
        probe(data, **LIMITS, max_decoded_bytes=11_999)


def test_unsigned_values_of_32_bits_are_scaled_by_value_range():
    """Between these, float32 has steps of 256."""
    values = np.array([[4_000_000_000, 4_000_000_100], [4_000_000_200, 4_294_967_295]], np.uint32)
    header = probe(npy(values), **LIMITS)
    with pytest.raises(UnreadableImage, match=r"more than 16 bits.*image\.value_range"):
        check_suits(header, Requirements())
    check_suits(header, Requirements(value_range=True))
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, values)
    for data in (npy(values), npy(values.astype(np.int64)), tiff.getvalue()):
        stored = decodable(data, probe(data, **LIMITS))
        shown = decode_raw(tf.constant(stored), Depth(8, (4e9, 4e9 + 255))).numpy()[..., 0]
        assert shown.tolist() == [[0, 100], [200, 255]]
    huge = npy(np.array([[2**60]]))
    with pytest.raises(UnreadableImage, match="whole numbers beyond 9,007,199,254,740,992"):
        read_array(huge, probe(huge, **LIMITS))
    large = npy(np.array([[0.0, 1e300]]))
    shown = decode_raw(tf.constant(decodable(large, probe(large, **LIMITS))), Depth(8, (0.0, 1e300))).numpy()
    assert shown.ravel().tolist() == [0, 255]


def ycbcr(picture: np.ndarray, across: int, down: int, compression: int) -> bytes:
    """A TIFF with luma and colour differences, which no installed library writes subsampled without JPEG."""
    values = np.asarray(Image.fromarray(picture).convert("YCbCr")).astype(int)
    height, width = picture.shape[:2]
    values = np.pad(values, ((0, -height % down), (0, -width % across), (0, 0)), mode="edge")
    blocks = values.reshape(values.shape[0] // down, down, values.shape[1] // across, across, 3).swapaxes(1, 2)
    luma = blocks[..., 0].reshape(*blocks.shape[:2], -1)
    data = np.concatenate([luma, blocks[..., 1:].mean((2, 3)).round().astype(int)], -1).astype(np.uint8).tobytes()
    pack = {1: bytes, 5: imagecodecs.lzw_encode, 8: imagecodecs.zlib_encode, 32773: imagecodecs.packbits_encode}
    data = bytes(pack[compression](data))
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 0), (259, 3, 1, compression), (262, 3, 1, 6)]
    tags += [(273, 4, 1, 0), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(data)), (284, 3, 1, 1)]
    tags += [(530, 3, 2, across | down << 16)]
    behind = 8 + 2 + 12 * len(tags) + 4
    start = {258: behind, 273: behind + 6}
    entries = b"".join(struct.pack("<HHII", tag, kind, count, start.get(tag, v)) for tag, kind, count, v in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + struct.pack("<3H", 8, 8, 8) + data


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
@pytest.mark.parametrize(("across", "down"), [(1, 1), (2, 1), (2, 2)])
def test_luma_and_colour_differences_in_a_tiff(across, down, compression):
    smooth = np.add.outer(np.arange(13) * 9, np.arange(18) * 7)[..., None] // 2 + np.array([0, 30, 60])
    picture = smooth.astype(np.uint8)
    data = ycbcr(picture, across, down, compression)
    difference = np.abs(seen(data).astype(int) - picture)
    assert difference.max() <= (2 if (across, down) == (1, 1) else 12)
    for cut in (1, 30, 100):
        with pytest.raises(UnreadableImage):
            seen(data[:-cut])


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        (np.uint8, {"compression": "lzw", "predictor": 2}, "and a predictor"),
        (np.uint16, {}, "and 16 bits per channel"),
        (np.uint8, {"planarconfig": "separate"}, "and each channel in a plane of its own"),
        (np.uint8, {"compression": "zstd"}, "and ZSTD compression"),
    ],
)
def test_other_luma_and_colour_differences_in_a_tiff_are_refused_by_name(kind, options, reason):
    picture = np.zeros((3, 16, 16) if "planarconfig" in options else (16, 16, 3), kind)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, picture, photometric="ycbcr", **options)
    with pytest.raises(UnreadableImage, match=f"YCbCr colours {reason}"):
        seen(buffer.getvalue())


@pytest.mark.parametrize("compression", [7, 34892])
@pytest.mark.parametrize(("bits", "channels"), [(8, 1), (12, 1), (16, 1), (8, 3), (16, 3)])
def test_lossless_jpeg_in_a_tiff(bits, channels, compression):
    kind = np.uint8 if bits == 8 else np.uint16
    picture = np.random.default_rng(0).integers(0, 2**bits, (16, 24, channels), kind)
    space = "GRAYSCALE" if channels == 1 else "RGB"
    stored = picture[..., 0] if channels == 1 else picture
    inner = imagecodecs.jpeg8_encode(
        stored, lossless=True, predictor=1, bitspersample=bits, colorspace=space, outcolorspace=space
    )
    buffer = io.BytesIO()
    photometric = "minisblack" if channels == 1 else "rgb"
    with tifffile.TiffWriter(buffer) as file:
        how = {"photometric": photometric, "compression": compression, "rowsperstrip": 16, "bitspersample": bits}
        file.write(iter([inner]), shape=stored.shape, dtype=kind, **how)
    data = buffer.getvalue()
    white = 2**bits - 1
    expected = (picture.astype(np.uint64) * np.iinfo(kind).max + white // 2) // white
    header = probe(data, **LIMITS)
    assert (header.bit_depth, header.channels) == (bits, channels)
    np.testing.assert_array_equal(read_array(data, header), expected)
    with pytest.raises(UnreadableImage):
        read_array(data[: len(data) // 2], header)

"""Pixels without data: the same in ingestion, Transform, the Trainer's reader, and both signatures of the model."""

import imagecodecs
import numpy as np
import pytest
import tensorflow as tf
import tifffile

from restem.example_gen.dataset import ExampleFields, ImageFile, Refused
from restem.example_gen.reading import Accepted, ImageReader, Limits
from restem.images import encode_for_serving
from restem.images.arrays import decodable
from restem.images.config import ImageConfig
from restem.images.container import pack, to_decodable
from restem.images.graph.decode import decode
from restem.images.graph.missing import counts, marks
from restem.images.graph.preprocess import preprocess_marked_one, preprocess_one, to_stored_marked
from restem.images.graph.stored import decode_missing, decode_pixels
from restem.images.header import UnreadableImage, check_nodata, percent
from restem.images.nodata import Nodata, declared_value
from restem.images.probe import probe
from restem.images.values import filled, missing
from restem.trainer.input import read_split
from restem.transform.preprocessing import preprocessing_fn

from .graph.test_decode import png16
from .test_same_pixels import compare, written

DEEP = np.random.default_rng(0).integers(2, 60_000, (12, 10, 4), np.uint16)
SMALL = (DEEP >> 8).astype(np.uint8) | 1
FLOATS = DEEP[..., :3] / np.float32(7)
SIGNED = DEEP[..., :3].astype(np.int32) - 30_000
LIMITS = {"max_pixels": 10_000, "max_bytes": 1 << 20}
# The upper left quarter has no data.
CORNER = np.zeros((12, 10, 1), bool)
CORNER[:6, :5] = True


def tiff(pixels: np.ndarray, **options) -> bytes:
    return written(tifffile.imwrite, pixels, photometric="minisblack", **options)


def npy(pixels: np.ndarray) -> bytes:
    return written(np.save, pixels)


def cut(pixels: np.ndarray, value: float) -> np.ndarray:
    """The pixels with this value in the corner."""
    return np.where(CORNER, pixels.dtype.type(value), pixels)


MASKED = np.concatenate([DEEP[..., :3], np.where(CORNER, 0, 7).astype(np.uint16)], -1)
HIDDEN = np.concatenate([cut(FLOATS, np.nan), np.where(CORNER, 0, 1).astype(np.float32)], -1)
MODES = {
    "nan": (
        {"nodata": "nan", "channels": 3, "value_range": (0, 9_000), "bits": 16, "background": "#ff8000", "fit": "pad"},
        {
            "tiff": tiff(cut(FLOATS[..., :1], np.nan)[..., 0]),
            "npy": npy(cut(FLOATS, np.inf)),
            "double": npy(cut(FLOATS.astype(np.float64), -np.inf)),
            "none": npy(FLOATS),
            "png": png16(DEEP[..., :3]),
        },
    ),
    "mask": (
        {"nodata": {"band": "m"}, "bands": ("a", "b", "c", "m"), "select": ("c", "a"), "value_range": (0, 60_000)},
        {"tiff": tiff(MASKED, planarconfig="contig"), "hidden": npy(HIDDEN * np.float32(2)), "png": png16(MASKED)},
    ),
}


@pytest.mark.parametrize("mode", list(MODES))
def test_training_evaluation_and_serving_see_the_same_pixels(mode, tmp_path):
    config, files = MODES[mode]
    compare(files, ImageConfig(size=(6, 5), max_nodata=0.6, **config), tmp_path)


def shown(data: bytes, **config) -> np.ndarray:
    image = ImageConfig(size=8, **config)
    rule = image.nodata_rule
    header = probe(data, **LIMITS)
    finite = rule is None or not rule.allows_not_finite
    return decode(tf.constant(decodable(data, header, finite=finite)), image).numpy()


@pytest.mark.parametrize(
    ("data", "config"),
    [
        (npy(cut(FLOATS, np.nan)), {"nodata": "nan", "value_range": (0, 9_000)}),
        (npy(cut(FLOATS, np.inf)), {"nodata": "nan", "value_range": (0, 9_000)}),
        (npy(cut(FLOATS, 8_999)), {"nodata": 8_999, "value_range": (0, 9_000)}),
        (npy(cut(FLOATS.astype(np.float64), -1.7976931348623157e308)), {"nodata": -1.7976931348623157e308}),
        (npy(cut(FLOATS, -3.4028234663852886e38)), {"nodata": -3.4028235e38}),
        (npy(cut(FLOATS, 0.1)), {"nodata": 0.1}),
        (npy(cut(DEEP[..., :3], 65535)), {"nodata": 65535}),
        (png16(cut(DEEP[..., :3], 65535)), {"nodata": 65535}),
        (tiff(cut(SMALL[..., :3], 255), planarconfig="contig", extrasamples=["unspecified"] * 2), {"nodata": 255}),
        (npy(cut(SIGNED.astype(np.int16), -32768)), {"nodata": -32768}),
        (npy(cut(SIGNED.astype(np.uint32), 4294967295)), {"nodata": 4294967295}),
    ],
)
@pytest.mark.parametrize("background", [None, "white"])
def test_the_corner_is_black_or_background_and_the_rest_is_unchanged(data, config, background):
    config = {"value_range": (0, 60_000), **config}
    got = shown(data, **config, background=background)
    assert (got[:6, :5] == (0 if background is None else 255)).all()
    whole = {name: value for name, value in config.items() if name != "nodata"} | {"nodata": 12345.5}
    rest = shown(data, **whole) if "nan" not in config.values() else shown(npy(FLOATS), **whole)
    np.testing.assert_array_equal(got[~CORNER[..., 0]], rest[~CORNER[..., 0]])
    assert got[~CORNER[..., 0]].max() > 20


def test_one_channel_without_data_is_black_and_the_others_stay():
    pixels = SMALL[..., :3].copy()
    pixels[2, 3] = (0, 200, 90)
    got = shown(to_decodable(pixels), nodata=0, background="white")
    np.testing.assert_array_equal(got, pixels)
    bands = shown(npy(pixels), nodata=0, bands=("a", "b", "c"), select=("c", "a"))
    np.testing.assert_array_equal(bands, pixels[..., [2, 0]])
    assert shown(to_decodable(pixels), nodata=0, channels=1)[2, 3] == shown(to_decodable(pixels), channels=1)[2, 3]


def test_a_value_in_alpha_is_no_data_of_the_image():
    pixels = np.full((4, 5, 4), 90, np.uint8)
    pixels[..., 3] = 255
    pixels[0, 0, :3] = 255
    got = shown(to_decodable(pixels), nodata=255, background="white")
    assert got[0, 0].tolist() == [255] * 3
    assert (got[1:] == 90).all()


def test_a_mask_band_needs_no_names():
    got = shown(png16(MASKED), nodata={"band": 4}, background="white", bits=16)
    assert (got[:6, :5] == 65535).all()
    np.testing.assert_array_equal(got[6:], DEEP[6:, :, :3])
    first = np.concatenate([MASKED[..., 3:], DEEP[..., :1]], -1)
    np.testing.assert_array_equal(shown(npy(first), nodata={"band": 1}, channels=1, bits=16)[6:], DEEP[6:, :, :1])


def test_resizing_mixes_no_data_with_nothing_but_black_and_leaves_it_out_of_the_statistics():
    pixels = np.full((40, 40, 1), 30_000, np.uint16)
    pixels[:, :13] = 65535
    image = ImageConfig(size=8, channels=1, bits=16, nodata=65535)
    got, left_out = (part.numpy() for part in preprocess_marked_one(tf.constant(png16(pixels)), image))
    np.testing.assert_array_equal(got, preprocess_one(tf.constant(png16(pixels)), image))
    assert got.max() == 30_000
    assert (got[:, 0] == 0).all()
    # An antialiased pixel of 5 source pixels reaches 5 beyond its middle: columns 0 to 3 see the first 13.
    assert left_out[:, :3].all()
    assert not left_out[:, 4:].any()
    assert (got[~left_out] == 30_000).all()


@pytest.mark.parametrize("store", ["lossless", "none", "jpeg"])
def test_no_data_is_in_no_statistics(store, tmp_path):
    bits = 8 if store == "jpeg" else 16
    image = ImageConfig(size=(12, 10), bits=bits, nodata="nan", max_nodata=1, value_range=(0, 9_000), store=store)
    files = {f"{i}": npy(cut(np.roll(FLOATS, i, 0), np.nan) if i % 2 else np.roll(FLOATS, i, 0)) for i in range(4)}
    files["band"] = npy(np.where([[[True, False, False]]], np.float32(np.nan), FLOATS))
    raw = ingested(files, image, tmp_path)
    columns = {"image_bytes": tf.io.FixedLenFeature([], tf.string), "path": tf.io.FixedLenFeature([], tf.string)}
    columns["label_index"] = tf.io.FixedLenFeature([], tf.int64)
    rows = tf.io.parse_example([one.example for one in raw.values()], columns)
    if store != "none":
        rows = preprocessing_fn(rows, {"image": image.model_dump(mode="json")})
        assert rows["missing"].numpy()[0] == b""
    with tf.io.TFRecordWriter(str(tmp_path / "train.gz"), "GZIP") as writer:
        for i in range(len(raw)):
            writer.write(serialized({name: column[i].numpy() for name, column in rows.items()}))
    split = read_split([str(tmp_path / "train.gz")], image)
    seen = dict(zip(split.paths.tolist(), split.images.as_numpy_iterator(), strict=True))
    mean, std = split.channel_statistics()
    for channel in range(3):
        known = []
        for name, pixels in seen.items():
            keep = np.full((12, 10), not (name == "band" and channel == 0))
            if name in ("1", "3"):
                keep &= ~CORNER[..., 0]
            known.append(pixels[..., channel][keep])
        values = np.concatenate(known).astype(np.float64)
        np.testing.assert_allclose([mean[channel], std[channel]], [values.mean(), values.std()], rtol=1e-9)


def serialized(row: dict) -> bytes:
    """A tf.Example of texts and whole numbers."""
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        if isinstance(value, bytes)
        else tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        for name, value in row.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def ingested(files: dict[str, bytes], image: ImageConfig, folder) -> dict:
    (folder / "images").mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / "images" / name).write_bytes(data)
    limits = Limits(10_000, 1 << 20, image.requirements())
    reader = ImageReader(str(folder / "images"), limits, ExampleFields(("a",)))
    outcomes = list(reader.read(ImageFile(name, "a", "train") for name in files))
    return {one.file.path if isinstance(one, Accepted) else one.path: one for one in outcomes}


def test_the_stored_mask_is_empty_without_missing_pixels():
    image = ImageConfig(size=(12, 10), bands=tuple("abc"), nodata=65535)
    whole, part = DEEP[..., :3], DEEP[..., :3].copy()
    part[4, 5, 1] = 65535
    pixels, stored = to_stored_marked(tf.constant([to_decodable(whole), to_decodable(part)]), image)
    assert stored[0] == b""
    left_out = decode_missing(stored[1], image).numpy()
    assert np.argwhere(left_out).tolist() == [[4, 5, 1]]
    assert not decode_missing(stored[0], image).numpy().any()
    assert decode_pixels(pixels[1], image)[4, 5].numpy().tolist()[1] == 0


def test_ingestion_counts_pixels_and_refuses_files_with_too_many_missing(tmp_path):
    files = {
        "quarter": npy(cut(DEEP[..., :3], 0)),
        "png": png16(cut(DEEP[..., :3], 0)),
        "one-channel": npy(np.where(CORNER & [True, False, False], np.uint16(0), DEEP[..., :3])),
        "whole": npy(DEEP[..., :3]),
        "empty": tiff(np.zeros((12, 10), np.uint16)),
        "empty-png": png16(np.zeros((12, 10, 1), np.uint16)),
        "declared": tiff(DEEP[..., 0], extratags=[(42113, "s", 0, "-9999", True)]),
    }
    found = ingested(files, ImageConfig(size=8, nodata=0, max_nodata=0.3), tmp_path)
    accepted = {name: one.missing for name, one in found.items() if isinstance(one, Accepted)}
    assert accepted == {"quarter": 0.25, "png": 0.25, "one-channel": 0.25, "whole": 0.0, "declared": 0.0}
    assert found["declared"].declares == "-9999"
    for name in ("empty", "empty-png"):
        assert isinstance(found[name], Refused)
        assert found[name].reason == (
            "100% of its pixels have no data (image.nodata: 0); the limit is image.max_nodata (0.3)."
        )
    quarter = ingested(files, ImageConfig(size=8, nodata=0, max_nodata=0.25), tmp_path)
    assert isinstance(quarter["quarter"], Accepted)  # more than the limit, not as much


@pytest.mark.parametrize(
    ("pixels", "config", "reason"),
    [
        (cut(FLOATS, np.nan), {}, "not finite .NaN or infinity.: set image.nodata: nan, or replace them."),
        (cut(FLOATS, np.nan), {"nodata": 0}, "set image.nodata: nan"),
        (
            np.concatenate([cut(FLOATS, np.inf), np.ones((12, 10, 1), np.float32)], -1),
            {"nodata": {"band": 4}},
            "where the mask of image.nodata .{band: 4}. is not 0",
        ),
    ],
)
def test_values_that_are_not_finite_are_refused_unless_they_are_no_data(pixels, config, reason, tmp_path):
    image = ImageConfig(size=8, value_range=(0, 9_000), **config)
    assert_refused(npy(pixels), image, reason, tmp_path)
    # A client that makes the container without encode_for_serving gets an error too.
    with pytest.raises(tf.errors.InvalidArgumentError, match="not finite"):
        decode(tf.constant(pack(pixels)), image)
    # As a baseline of a later run, the model must answer.
    answered = decode(tf.constant(pack(pixels)), image, strict=False).numpy()
    np.testing.assert_array_equal(answered[6:], decode(tf.constant(pack(pixels[6:])), image))


@pytest.mark.parametrize(
    ("mode", "kind", "options", "reason"),
    [
        ("RGB", "JPEG", {}, "It is a JPEG, whose values were changed by compression, so image.nodata .0. cannot be"),
        ("RGB", "WEBP", {}, "It is a WebP, whose values were changed"),
        ("P", "PNG", {}, "It has a palette"),
        ("L", "GIF", {}, "It has a palette"),
        ("RGB", "TIFF", {"compression": "jpeg"}, "Its compression .JPEG. may have changed its values"),
        ("CMYK", "TIFF", {}, "Its values become red, green and blue as it is read .SEPARATED."),
    ],
)
def test_files_whose_values_were_changed_are_refused(encoded, mode, kind, options, reason, tmp_path):
    data = encoded(mode, kind, **options)
    assert_refused(data, ImageConfig(size=8, nodata=0), reason, tmp_path)
    header = probe(data, **LIMITS)
    check_nodata(header, Nodata(not_finite=True))  # There is no NaN in it.
    if kind == "JPEG":
        with pytest.raises(tf.errors.InvalidArgumentError, match="a JPEG's values were changed by compression"):
            decode(tf.constant(data), ImageConfig(size=8, nodata=0))
        assert decode(tf.constant(data), ImageConfig(size=8, nodata=0), strict=False).shape == (61, 83, 3)
    if kind == "WEBP":
        check_nodata(probe(encoded(mode, kind, lossless=True), **LIMITS), Nodata(value=0.0))


def test_few_bits_are_scaled_so_that_only_0_can_be_found(tmp_path):
    data = tiff(DEEP[..., 0] >> 4, bitspersample=12)
    assert_refused(data, ImageConfig(size=8, nodata=4095), "12 bits and are scaled to 0..65535 .* only 0 can", tmp_path)
    check_nodata(probe(data, **LIMITS), Nodata(value=0.0))


def test_a_file_without_the_mask_band_is_refused(tmp_path):
    reason = "It has 3 channels, but image.nodata says that channel 4 is the mask."
    assert_refused(npy(DEEP[..., :3]), ImageConfig(size=8, nodata={"band": 4}), reason, tmp_path)
    with pytest.raises(tf.errors.InvalidArgumentError, match="no mask band"):
        decode(tf.constant(to_decodable(DEEP[..., :3])), ImageConfig(size=8, nodata={"band": 4}))


def assert_refused(data: bytes, image: ImageConfig, reason: str, folder) -> None:
    (refused,) = ingested({"file": data}, image, folder).values()
    assert isinstance(refused, Refused)
    with pytest.raises(UnreadableImage, match=reason) as caught:
        raise UnreadableImage(refused.reason)
    assert str(caught.value).endswith(".")


def test_a_client_sends_nan_only_to_a_model_that_knows_it(tmp_path):
    (tmp_path / "x.npy").write_bytes(npy(cut(FLOATS, np.nan)))
    with pytest.raises(UnreadableImage, match=r"set image\.nodata: nan"):
        encode_for_serving(tmp_path / "x.npy")
    image = ImageConfig(size=8, nodata="nan", value_range=(0, 9_000))
    sent = encode_for_serving(tmp_path / "x.npy", nodata=image.nodata_rule)
    assert (decode(tf.constant(sent), image).numpy()[:6, :5] == 0).all()


RULES = [
    *(Nodata(value=value) for value in (0.0, 255.0, -9999.0, 0.1, 65535.0, 1e300, -3.4028235e38)),
    Nodata(not_finite=True),
    Nodata(mask=2),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.text)
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "float64"])
def test_pictures_and_measurements_leave_out_what_the_graph_does(rule, kind):
    values = np.array([0, 1, 255, 65535, -9999, 0.1, 1e300, -3.4028235e38, 7], np.float64).reshape(3, 1, 3)
    with np.errstate(all="ignore"):
        values = np.where(np.abs(values) < 2**31, values, 3).astype(kind) if "uint" in kind else values.astype(kind)
    values[~np.isfinite(values)] = 5
    if "float" in kind and rule.not_finite:
        values[0, 0, 0], values[1, 0, 1] = np.nan, -np.inf
    expected = marks(tf.constant(values), rule).numpy()
    np.testing.assert_array_equal(missing(values, rule), expected)
    height, width, channels, pixels, unknown = counts(tf.constant(values), rule).numpy().tolist()
    assert (height, width, channels, unknown) == (3, 1, 3, 0)
    if rule.mask is None:
        assert pixels == expected.any(-1).sum()


def test_filling_for_pictures():
    values = np.array([[[1.0, np.nan], [-9999.0, 4.0], [3.0, 8.0]]], np.float32)
    rule = Nodata(value=-9999.0)
    np.testing.assert_array_equal(filled(values, rule, "min"), [[[1, 4], [1, 4], [3, 8]]])
    np.testing.assert_array_equal(filled(values, rule, "mean"), [[[1, 6], [2, 4], [3, 8]]])
    assert filled(values, None, "min") is values
    assert (filled(np.full((2, 2, 1), np.nan), rule, "mean") == 0).all()


@pytest.mark.parametrize(
    ("share", "limit", "text"),
    [(0.625, 0.5, "62.5%"), (1.0, 0.5, "100%"), (0.500001, 0.5, "50.0001%"), (0.00001, 0.5, "0.001%"), (0, 0.5, "0%")],
)
def test_a_share_is_written_so_that_it_differs_from_the_limit(share, limit, text):
    assert percent(share, limit) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        (" -9999.0\0", "-9999"),
        ("nan", "nan"),
        ("-3.4028234663852886e+38", "-3.4028234663852886e+38"),
        ("none", None),
        ("", None),
    ],
)
def test_declared_values(text, value):
    assert declared_value(text) == value


@pytest.mark.parametrize(
    ("data", "altered"),
    [
        (imagecodecs.jpeg2k_encode(DEEP[..., 0], reversible=True, codecformat="j2k"), False),
        (imagecodecs.jpeg2k_encode(DEEP[..., 0], reversible=True, codecformat="jp2"), False),
        (imagecodecs.jpeg2k_encode(DEEP[..., 0], level=30, codecformat="jp2"), True),
        (b"P5 2 1 255\n\0\1", False),
        (b"P5 2 1 200\n\0\1", True),
        (tiff(DEEP[..., 0], compression="deflate"), False),
        (written(tifffile.imwrite, DEEP[..., 0], photometric="miniswhite"), True),
    ],
    ids=["j2k", "jp2", "jp2-lossy", "pgm", "pgm-200", "tiff", "miniswhite"],
)
def test_which_files_keep_their_values(data, altered):
    assert bool(probe(data, **LIMITS).altered) == altered

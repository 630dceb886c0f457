"""Training, evaluation and serving see exactly the same pixels, for every format and channel mode.

The files pass through ingestion, tf.Transform on Beam and the Trainer's reader, and through both signatures of the
exported SavedModel: evaluation calls `serve_examples`, a client calls `serving_default`.
"""

import functools
import io

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform.beam as tft_beam
import tifffile
from PIL import Image
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from restem.example_gen.dataset import ExampleFields, ImageFile
from restem.example_gen.reading import Accepted, ImageReader, Limits
from restem.images import encode_for_serving
from restem.images.config import ImageConfig
from restem.trainer.export import export
from restem.trainer.input import read_split
from restem.transform.preprocessing import preprocessing_fn
from tests.tiny_model import record

from .graph.test_decode import png16

RAW = {
    "image_bytes": tf.io.FixedLenFeature([], tf.string),
    "label_index": tf.io.FixedLenFeature([], tf.int64),
    "path": tf.io.FixedLenFeature([], tf.string),
}
SIZE = (6, 5)
COLOUR_MODES = [
    {"channels": 1, "value_range": (0, 60_000)},
    {"channels": 1, "bits": 16, "fit": "crop", "value_range": (0, 60_000)},
    {"channels": 3, "background": "#ff8000", "fit": "pad", "value_range": (-5, 60_000)},
    {"channels": 3, "bits": 16, "value_range": (0, 65_535)},
    {"channels": 3, "value_range": (0, 65_535), "store": "jpeg"},
    {"channels": 3, "value_range": (0, 65_535), "store": "none"},
]
BANDS = tuple(f"b{i}" for i in range(13))
BAND_MODES = [{"bands": BANDS, "bits": 16}, {"bands": BANDS, "select": ("b12", "b0"), "fit": "pad"}]


@pytest.fixture(scope="module")
def colour_files(encoded, photo) -> dict[str, bytes]:
    """A file of every format and kind without bands."""
    deep = np.random.default_rng(0).integers(0, 65536, (9, 13, 4), np.uint16)
    exif = Image.Exif()
    exif[274] = 6
    files = {
        f"{mode}-{kind}-{i}": encoded(mode, kind, **options)
        for i, (mode, kind, options) in enumerate(
            [
                *((mode, "PNG", {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
                *((mode, "JPEG", {}) for mode in ("L", "RGB", "CMYK")),
                ("RGB", "JPEG", {"progressive": True}),
                ("RGB", "JPEG", {"exif": exif}),
                *((mode, "BMP", {}) for mode in ("1", "L", "RGB")),
                ("P", "GIF", {}),
                ("P", "GIF", {"transparency": 7}),
                ("RGB", "PNG", {"transparency": (127, 127, 127)}),
                *((mode, "WEBP", {}) for mode in ("RGB", "RGBA")),
                *((mode, "TIFF", {"compression": "tiff_lzw"}) for mode in ("L", "RGB", "CMYK")),
            ]
        )
    }
    files |= {f"png16-{c}": png16(deep[..., :c]) for c in (1, 2, 3, 4)}
    files |= {
        "tiff16": written(tifffile.imwrite, deep[..., 0]),
        "tiff-float": written(tifffile.imwrite, deep[..., 0] / 3),
    }
    return files | {"npy16": written(np.save, deep[..., :3]), "npy-float": written(np.save, deep[..., 0] / 3.0)}


@pytest.fixture(scope="module")
def band_files() -> dict[str, bytes]:
    """13 bands in every format that supports them."""
    deep = np.random.default_rng(1).integers(0, 65536, (9, 8, 13), np.uint16)
    grey = {"photometric": "minisblack"}
    return {
        "contiguous": written(tifffile.imwrite, deep, planarconfig="contig", **grey),
        "planar": written(tifffile.imwrite, deep.transpose(2, 0, 1), planarconfig="separate", **grey),
        "pages": written(tifffile.imwrite, deep.transpose(2, 0, 1), **grey),
        "npy": written(np.save, deep[:7]),
        "npy8": written(np.save, (deep >> 8).astype(np.uint8)),
    }


def written(save, pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    save(buffer, pixels, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", COLOUR_MODES, ids=lambda mode: "-".join(map(str, mode.values())))
def test_colour(colour_files, mode, tmp_path):
    compare(colour_files, ImageConfig(size=SIZE, **mode), tmp_path)


@pytest.mark.parametrize("mode", BAND_MODES, ids=["all", "selected"])
def test_bands(band_files, mode, tmp_path):
    compare(band_files, ImageConfig(size=SIZE, **mode), tmp_path)


def compare(files: dict[str, bytes], config: ImageConfig, folder) -> None:
    (folder / "images").mkdir()
    for name, data in files.items():
        (folder / "images" / name).write_bytes(data)
    raw = ingested(str(folder / "images"), list(files), config)
    trained = transformed(raw, config, folder)
    export(pixels_in_probabilities(config), config, pixel_names(config), str(folder / "model"), record(config), {})
    served = tf.saved_model.load(str(folder / "model")).signatures
    rule = config.nodata_rule
    sent = tf.constant([encode_for_serving(folder / "images" / name, nodata=rule) for name in files])
    by_client = served["serving_default"](image_bytes=sent)["probabilities"]
    by_evaluator = served["serve_examples"](examples=tf.constant(list(raw.values())))["probabilities"]
    for i, name in enumerate(files):
        np.testing.assert_array_equal(pixels_of(by_client[i], config), trained[name], err_msg=name)
        np.testing.assert_array_equal(pixels_of(by_evaluator[i], config), trained[name], err_msg=name)
        assert trained[name].dtype == config.dtype
        assert trained[name].max() > trained[name].min(), f"{name} has nothing to compare"


def ingested(folder: str, names: list[str], config: ImageConfig) -> dict[str, bytes]:
    """File name -> raw example."""
    reader = ImageReader(folder, Limits(10_000, 1 << 20, config.requirements()), ExampleFields(("a",)))
    outcomes = list(reader.read(ImageFile(name, "a", "train") for name in names))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    found = {outcome.file.path: outcome.example for outcome in outcomes}
    return {name: found[name] for name in names}


def transformed(raw: dict[str, bytes], config: ImageConfig, folder) -> dict[str, np.ndarray]:
    """File name -> pixels that the Trainer reads from Transform's output, or from the raw examples with store: none."""
    if config.store == "none":
        with tf.io.TFRecordWriter(str(folder / "train.gz"), "GZIP") as writer:
            for example in raw.values():
                writer.write(example)
        return read(folder, config)
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(RAW))
    rows = [
        {name: value.numpy() for name, value in tf.io.parse_single_example(example, RAW).items()}
        for example in raw.values()
    ]
    function = functools.partial(preprocessing_fn, custom_config={"image": config.model_dump(mode="json")})
    with tft_beam.Context(temp_dir=str(folder / "tft")):
        (out, _), _ = (rows, metadata) | tft_beam.AnalyzeAndTransformDataset(function)
    with tf.io.TFRecordWriter(str(folder / "train.gz"), "GZIP") as writer:
        for row in out:
            feature = {
                "pixels": tf.train.Feature(bytes_list=tf.train.BytesList(value=[row["pixels"]])),
                "path": tf.train.Feature(bytes_list=tf.train.BytesList(value=[row["path"]])),
                "label_index": tf.train.Feature(int64_list=tf.train.Int64List(value=[row["label_index"]])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return read(folder, config)


def read(folder, config: ImageConfig) -> dict[str, np.ndarray]:
    split = read_split([str(folder / "train.gz")], config)
    return dict(zip(split.paths.tolist(), split.images.as_numpy_iterator(), strict=True))


# The served model returns only probabilities. The logits of this network are the pixels, in small steps, and a final 0
# as reference, so the probabilities reveal each pixel: the steps are hundreds of times larger than float32's rounding.
def step(config: ImageConfig) -> float:
    return 4.0 / config.white


def pixel_names(config: ImageConfig) -> list[str]:
    return [str(i) for i in range(config.height * config.width * config.count + 1)]


def pixels_in_probabilities(config: ImageConfig) -> keras.Model:
    pixels = keras.Input((config.height, config.width, config.count))
    column = keras.layers.Reshape((-1, 1))(keras.layers.Rescaling(step(config))(pixels))
    return keras.Model(pixels, keras.layers.Flatten()(keras.layers.ZeroPadding1D((0, 1))(column)))


def pixels_of(probabilities: tf.Tensor, config: ImageConfig) -> np.ndarray:
    logs = np.log(probabilities.numpy().astype(np.float64))
    values = (logs[:-1] - logs[-1]) / step(config)
    assert np.abs(values - np.rint(values)).max() < 0.3
    return np.rint(values).reshape(config.height, config.width, config.count)

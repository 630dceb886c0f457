"""The data's way at the size of real work: ours against a bare tf.data loop, and the memory it takes.

The steps run in processes of their own (tests/benchmarks/steps.py) over 1,000 and over 10,000 photographs; what is
compared is the time each further image takes, so that starting TFX, Beam and TensorFlow does not count.
"""

import glob
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import tensorflow as tf

from components.images.config import ImageConfig
from components.images.preprocess import preprocess_one, to_stored
from components.images.stored import decode_pixels
from components.trainer import input as trainer_input
from components.trainer.input import read_split
from tests.benchmarks.photos import photo

REPOSITORY = Path(__file__).parents[2]
SMALL, LARGE = 1_000, 10_000
BARE = 2_000
PHOTO = ImageConfig(size=224, channels=3)
SPEED, BYTES = "ratio of speeds", "ratio of bytes"


def write_photos(folder: Path, count: int) -> Path:
    """A folder of JPEGs of 500x375 in four classes, each a different file."""

    for i in range(count):
        path = folder / f"class{i % 4}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(i))
    return folder


def step(name: str, images: Path, root: Path) -> dict[str, float]:
    """Runs one step in a process of its own."""
    root.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.benchmarks.steps", name, str(images), str(root)]
    done = subprocess.run(command, check=True, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(done.stdout.splitlines()[-1])


def speed(dataset: tf.data.Dataset, count: int, turns: int = 3) -> float:
    """Images a second of the best of some passes over a dataset of that many images."""
    seconds = []
    for _ in range(turns):
        start = time.perf_counter()
        for _ in dataset:
            pass
        seconds.append(time.perf_counter() - start)
    return count / min(seconds)


def result(name: str, ours: float, bare: float, what: str, goal: float, unit: str = SPEED) -> dict[str, Any]:
    """An entry of results.json; for speeds, both in images a second."""
    entry = {"name": name, "value": round(ours / bare, 3), "goal": goal, "unit": unit, "compared_with": what}
    return entry | ({"images_per_second": {"ours": round(ours), "bare": round(bare)}} if unit == SPEED else {})


def bare_jpeg(data: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")


def bare_pixels(data: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(tf.image.resize(bare_jpeg(data), (224, 224), antialias=True)), tf.uint8)


def bare_png(data: tf.Tensor) -> tf.Tensor:
    return tf.io.encode_png(bare_pixels(data), compression=1)


def over(files: list[str], function: Callable[[tf.Tensor], tf.Tensor]) -> tf.data.Dataset:
    """A bare loop on all cores over the content of files."""
    paths = tf.data.Dataset.from_tensor_slices(files[:BARE])
    return paths.map(lambda path: function(tf.io.read_file(path)), num_parallel_calls=tf.data.AUTOTUNE).batch(32)


def steps(folder: Path) -> list[dict[str, Any]]:
    """Ingestion and Transform."""
    sizes = {count: write_photos(folder / str(count), count) for count in (SMALL, LARGE)}
    files = sorted(map(str, sizes[LARGE].glob("*/*.jpg")))
    results = []
    for name, function, what in (
        ("ingestion", lambda data: tf.shape(bare_jpeg(data)), "reading and decoding the files in tf.data"),
        ("transform", bare_png, "decoding, resizing and encoding the files in tf.data"),
    ):
        before = speed(over(files, function), BARE)
        took = {count: step(name, images, folder / f"root{count}") for count, images in sizes.items()}
        bare = (before + speed(over(files, function), BARE)) / 2
        ours = (LARGE - SMALL) / (took[LARGE]["seconds"] - took[SMALL]["seconds"])
        results.append(result(name, ours, bare, what, 0.8))
        peaks = [took[count]["peak_bytes"] for count in (LARGE, SMALL)]
        results.append(result(f"{name}: peak memory", *peaks, "the same for a tenth of the images", 1.1, BYTES))
    return results


def trainer_reading(folder: Path) -> list[dict[str, Any]]:
    """The Trainer's input by what is stored, without the cache in memory, and what the network takes."""
    transformed = glob.glob(
        str(folder / f"root{SMALL}" / "Transform" / "transformed_examples" / "*" / "Split-train" / "*")
    )
    raw = glob.glob(str(folder / f"root{SMALL}" / "ImageExampleGen" / "examples" / "*" / "Split-train" / "*"))
    results = []
    with mock.patch.object(trainer_input, "CACHE_BYTES", 0):
        split = read_split(transformed, PHOTO)
        lossless = speed(split.batches(32), split.count)
        nothing = speed(read_split(raw, PHOTO.model_copy(update={"store": "none"})).batches(32), split.count)
    for name, files, feature, function, ours, goal, what in (
        ("lossless", transformed, "pixels", lambda one: tf.io.decode_png(one, channels=3), lossless, 0.9, "decode_png"),
        ("none", raw, "image_bytes", bare_pixels, nothing, 0.9, "decode_jpeg and resize"),
    ):
        wanted = {feature: tf.io.FixedLenFeature([], tf.string), "label_index": tf.io.FixedLenFeature([], tf.int64)}

        def parse(one: tf.Tensor, wanted=wanted, feature=feature, function=function) -> tuple[tf.Tensor, tf.Tensor]:
            features = tf.io.parse_single_example(one, wanted)
            return function(features[feature]), features["label_index"]

        data = tf.data.TFRecordDataset(files, "GZIP").map(parse, num_parallel_calls=tf.data.AUTOTUNE)
        bare = speed(data.batch(32).prefetch(tf.data.AUTOTUNE), split.count)
        results.append(result(f"trainer's input, store: {name}", ours, bare, f"tf.data with {what}", goal))
    results.append(result("trainer's input and the network", lossless, network_speed(), "ResNet50's inference", 5))
    return results


def network_speed(images: int = 64) -> float:
    """Images a second of ResNet50's inference at 224 x 224, which is faster than its training."""
    import keras

    network = keras.applications.ResNet50(weights=None, include_top=False, pooling="avg")
    pixels = tf.zeros([images, 224, 224, 3])
    network.predict(pixels, batch_size=32, verbose=0)
    start = time.perf_counter()
    network.predict(pixels, batch_size=32, verbose=0)
    return images / (time.perf_counter() - start)


def stored() -> list[dict[str, Any]]:
    """What each way of storing costs in bytes and in grey levels."""

    photos = tf.constant([photo(i) for i in range(64)])
    results = []
    for store, goal in (("lossless", 0.7), ("jpeg", 0.2)):
        config = PHOTO.model_copy(update={"store": store})
        rows = to_stored(photos, config)
        size = int(tf.reduce_sum(tf.strings.length(rows)))
        results.append(result(f"store: {store}: size", size, 64 * 224 * 224 * 3, "raw uint8", goal, BYTES))
        if store == "jpeg":
            pairs = zip(rows, photos, strict=True)
            apart = [
                float(
                    tf.reduce_mean(tf.abs(tf.cast(decode_pixels(row, config), tf.float32) - tf.cast(exact, tf.float32)))
                )
                for row, exact in ((row, preprocess_one(one, PHOTO)) for row, one in pairs)
            ]
            results.append(
                {
                    "name": "store: jpeg: difference",
                    "value": round(sum(apart) / len(apart), 3),
                    "unit": "grey levels of 255, mean",
                    "compared_with": "the pixels that are not stored",
                }
            )
    return results


def results() -> list[dict[str, Any]]:
    """All of it; some ten minutes on two cores, and 2 GB of temporary files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*steps(folder), *trainer_reading(folder), *stored()]

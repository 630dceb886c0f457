"""Benchmarks of the data steps at a realistic size: speed compared with a bare tf.data loop, and memory.

The steps run in separate processes (tests/benchmarks/steps.py) on 1,000 and on 10,000 photographs. The time per
additional image is compared, so that the start of TFX, Beam and TensorFlow does not count.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import tensorflow as tf

from restem.images.graph.preprocess import preprocess, preprocess_one, to_stored
from restem.images.graph.stored import decode_pixels
from restem.trainer import input as trainer_input
from restem.trainer.input import read_split
from restem.trainer.scratch import Scratch
from tests.benchmarks.photos import PHOTO, photo

REPOSITORY = Path(__file__).parents[2]
SMALL, LARGE = 1_000, 10_000
BARE = 2_000
SPEED, BYTES = "ratio of speeds", "ratio of bytes"
# Why a goal is missed, and what would reach it, according to a sampling profiler on the 10,000 photographs.
WHY = {
    "ingestion, stricter": "0.2 to 0.6 ms of Python per image, depending on the processor, that the bare loop does not "
    "have: SHA-256, the tf.Example, Beam, writing. Writing examples in C++ would reach the goal; decoding a batch "
    "while the previous one is written gave 8% at best.",
    "transform, stricter": "0.9 ms of Python per image in Beam's and TFX's reading and writing of records, during "
    "which the cores wait. Two bundles at once would fill the gap, but would change the order of the examples, so "
    "training would not be reproducible.",
    "trainer's input, store: none": "Format, depth and orientation are conditions in the graph, which tf.data runs for "
    "each image. Files of one known format would not need them; 'lossless' decodes the files once.",
}


def write_photos(folder: Path, count: int) -> Path:
    """Writes a folder of different JPEGs of 500x375 in four classes."""
    for i in range(count):
        path = folder / f"class{i % 4}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(i))
    return folder


def step(name: str, images: Path, root: Path) -> dict[str, float]:
    """Runs one step in a separate process."""
    root.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.benchmarks.steps", name, str(images), str(root)]
    done = subprocess.run(command, check=True, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(done.stdout.splitlines()[-1])


def speeds(*passes: Callable[[], Iterable[Any]], count: int, turns: int = 6) -> list[float]:
    """Images per second of the fastest of `turns` passes over `count` images; the passes alternate."""
    seconds: list[list[float]] = [[] for _ in passes]
    for _ in range(turns):
        for each, times in zip(passes, seconds, strict=True):
            start = time.perf_counter()
            for _ in each():
                pass
            times.append(time.perf_counter() - start)
    return [count / min(times) for times in seconds]


def result(
    name: str, ours: float, bare: float, what: str, goal: float | None = None, unit: str = SPEED
) -> dict[str, Any]:
    """An entry of results.json; for speeds, both are in images per second."""
    entry = {"name": name, "value": round(ours / bare, 3), "unit": unit, "compared_with": what}
    if goal is not None:
        entry["goal"] = goal
        if ours / bare < goal and name in WHY:
            entry["why"] = WHY[name]
    return entry | ({"images_per_second": {"ours": round(ours), "bare": round(bare)}} if unit == SPEED else {})


def bare_jpeg(data: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")


def bare_pixels(data: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(tf.image.resize(bare_jpeg(data), (224, 224), antialias=True)), tf.uint8)


def bare_png(data: tf.Tensor) -> tf.Tensor:
    return tf.io.encode_png(bare_pixels(data), compression=1)


def over(files: list[str], function: Callable[[tf.Tensor], Any]) -> tf.data.Dataset:
    """A bare loop on all cores that applies `function` to the content of files."""
    paths = tf.data.Dataset.from_tensor_slices(files[:BARE])
    return paths.map(lambda path: function(tf.io.read_file(path)), num_parallel_calls=tf.data.AUTOTUNE).prefetch(64)


def written(rows: tf.data.Dataset, folder: Path, names: tuple[str, ...]) -> float:
    """Images per second of a bare loop that also writes its results as tf.Examples, as the step must."""
    options = tf.io.TFRecordOptions("GZIP", compression_level=0)
    start, count = time.perf_counter(), 0
    with tf.io.TFRecordWriter(str(folder / "bare.gz"), options) as writer:
        for row in rows.as_numpy_iterator():
            feature = {name: _feature(value) for name, value in zip(names, row, strict=True)}
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
            count += 1
    return count / (time.perf_counter() - start)


def _feature(value: Any) -> tf.train.Feature:
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=value.tolist()))


def preprocessing() -> list[dict[str, Any]]:
    """Our preprocessing of a batch, as called by Transform and serving, compared with tf.data alone."""
    encoded = [photo(i) for i in range(256)]
    batches = [tf.constant(encoded[i : i + 32]) for i in range(0, len(encoded), 32)]
    function = tf.function(lambda batch: preprocess(batch, PHOTO), input_signature=[tf.TensorSpec([None], tf.string)])
    images = tf.data.Dataset.from_tensor_slices(encoded)
    alone = images.map(bare_pixels, num_parallel_calls=tf.data.AUTOTUNE).batch(32)
    ours, bare = speeds(lambda: map(function, batches), partial(iter, alone), count=len(encoded))
    return [result("preprocessing", ours, bare, "tf.io.decode_jpeg, tf.image.resize and rounding in tf.data")]


def steps(folder: Path) -> list[dict[str, Any]]:
    """Ingestion and Transform, compared with the bare work, with and without the writing of examples.

    Also the peak memory of all data steps.
    """
    sizes = {count: write_photos(folder / str(count), count) for count in (SMALL, LARGE)}
    files = sorted(map(str, sizes[LARGE].glob("*/*.jpg")))
    results = []
    for name, function, work in (
        ("ingestion", lambda data: (data, tf.shape(bare_jpeg(data))), "reads and decodes the files"),
        ("transform", lambda data: (bare_png(data),), "reads, decodes, resizes and encodes the files"),
    ):
        names = ("image", "shape")[: 2 if name == "ingestion" else 1]
        bare, alone = [], []
        took = {}
        for count, images in sizes.items():  # the two sides alternate
            bare += [written(over(files, function), folder, names) for _ in range(3)]
            alone += speeds(partial(over, files, function), count=BARE, turns=3)
            took[count] = step(name, images, folder / f"root{count}")
        ours = (LARGE - SMALL) / (took[LARGE]["seconds"] - took[SMALL]["seconds"])
        results.append(result(name, ours, statistics.median(bare), f"tf.data that {work} and writes examples", 0.8))
        results.append(result(f"{name}, stricter", ours, max(alone), f"tf.data that {work} alone", 0.8))
        most, least = (took[count]["peak_bytes"] for count in (LARGE, SMALL))
        results.append(result(f"{name}: peak memory", most, least, "the same for a tenth of the images", 1.1, BYTES))
    for name in ("statistics", "evaluator"):
        most, least = (step(name, sizes[count], folder / f"root{count}")["peak_bytes"] for count in (LARGE, SMALL))
        results.append(result(f"{name}: peak memory", most, least, "the same for a tenth of the images", 1.1, BYTES))
    return results


def trainer_reading(folder: Path) -> list[dict[str, Any]]:
    """The Trainer's input for each `store`, without the cache in memory, and compared with the network's speed."""
    images, root = write_photos(folder / "images", SMALL), folder / "root"
    for name in ("ingestion", "transform"):
        step(name, images, root)
    results = []
    for store, output, feature, function, what in (
        ("lossless", "Transform/transformed_examples", "pixels", lambda one: tf.io.decode_png(one, 3), "decode_png"),
        ("none", "ImageExampleGen/examples", "image_bytes", bare_pixels, "decode_jpeg and resize"),
    ):
        files = [str(file) for file in root.glob(f"pipeline/{output}/*/Split-train/*")]
        wanted = {feature: tf.io.FixedLenFeature([], tf.string), "label_index": tf.io.FixedLenFeature([], tf.int64)}

        def parse(one: tf.Tensor, wanted=wanted, feature=feature, function=function) -> tuple[tf.Tensor, tf.Tensor]:
            features = tf.io.parse_single_example(one, wanted)
            return function(features[feature]), features["label_index"]

        data = tf.data.TFRecordDataset(files, "GZIP").map(parse, num_parallel_calls=tf.data.AUTOTUNE)
        with mock.patch.object(trainer_input, "CACHE_BYTES", 0):
            split = read_split(files, PHOTO.model_copy(update={"store": store}), scratch=Scratch(folder))
        batches = data.batch(32).prefetch(tf.data.AUTOTUNE)
        ours, bare = speeds(partial(split.epoch, 32, seed=0, epoch=0), partial(iter, batches), count=split.count)
        results.append(result(f"trainer's input, store: {store}", ours, bare, f"tf.data with {what}", 0.9))
    results.append(result("trainer's input and the network", ours, network_speed(), "ResNet50's inference", 5))
    return results


def network_speed(images: int = 64) -> float:
    """Images per second of ResNet50's inference at 224 x 224, which is faster than its training."""
    import keras

    network = keras.applications.ResNet50(weights=None, include_top=False, pooling="avg")
    pixels = tf.zeros([images, 224, 224, 3])
    network.predict(pixels, batch_size=32, verbose=0)
    start = time.perf_counter()
    network.predict(pixels, batch_size=32, verbose=0)
    return images / (time.perf_counter() - start)


def stored() -> list[dict[str, Any]]:
    """The size of stored pixels for each `store`, and the loss in grey levels."""

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
                    "compared_with": "the pixels before storing",
                }
            )
    return results


def in_a_folder(measure: Callable[[Path], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Calls `measure` with a temporary folder; `steps` writes 2 GB into it."""
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder))

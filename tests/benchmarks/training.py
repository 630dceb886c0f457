"""Benchmarks of the Trainer: its speed against a bare `model.fit`, the cost of checkpoints, and memory.

Each speed is marginal: the time for many images less that for few, so that building and tracing do not count. The two
sides alternate. Memory is measured in processes of their own (`python -m tests.benchmarks.training IMAGES FOLDER`).
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from restem.images.config import ImageConfig
from restem.trainer import input as trainer_input
from restem.trainer.augment import augmentation
from restem.trainer.batches import Batches
from restem.trainer.checkpoint import MOST_TIME, Checkpoints, Position
from restem.trainer.config import AllPhase, AugmentConfig, HeadPhase, TrainConfig
from restem.trainer.input import Split, arrays_as_split, read_split
from restem.trainer.model_config import ModelConfig, StemConfig
from restem.trainer.network import Network, build_network
from restem.trainer.optimizer import make_optimizer
from restem.trainer.phases import compile_classifier, set_seed, train_head, train_network
from restem.trainer.scratch import Scratch
from restem.trainer.training import Phase, Training, to_arrays
from tests.benchmarks.memory import peak_bytes
from tests.benchmarks.photos import PHOTO, photo

IMAGE = ImageConfig(size=64, bands=["red", "green", "blue", "nir"])
CLASSES, BATCH = 4, 32
FEW, MANY, TURNS = 256, 1024, 2  # images; how often both sides are measured
AUGMENT = AugmentConfig(flip_horizontal=True, rotation=10, translation=0.1)  # all of them Keras's own layers
NOTHING = Checkpoints(None, "", 0)


def images(count: int) -> Split:
    """Random images in memory."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, IMAGE.height, IMAGE.width, IMAGE.count), np.uint8)
    return arrays_as_split(pixels, rng.integers(0, CLASSES, count), np.array([str(i) for i in range(count)]))


def network(train: Split) -> Network:
    """A stem-modified ResNet50 with random weights."""
    model = ModelConfig(weights="none")
    sample = train.sample(BATCH, 0)
    return build_network(
        "candidate", IMAGE, model, StemConfig(), weights="none", classes=CLASSES, statistics=None, sample=sample
    )


def marginal(*sides: Callable[[Split], float], turns: int = TURNS) -> list[float]:
    """Seconds of one image for each side, from the least times of all turns; the sides alternate."""
    few, many = images(FEW), images(MANY)
    measured = [[(side(few), side(many)) for side in sides] for _ in range(turns)]
    least = [(min(one for one, _ in all_), min(one for _, one in all_)) for all_ in zip(*measured, strict=True)]
    return [(most - less) / (MANY - FEW) for less, most in least]


def pixels_of(train: Split) -> np.ndarray:
    """As `fit` takes them: float32 [count, height, width, channels]."""
    return np.stack(list(train.images.as_numpy_iterator())).astype(np.float32)


def timed(work: Callable[[], Any]) -> float:
    """Its seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def speed(name: str, augment: AugmentConfig, goal: float) -> dict[str, Any]:
    """One epoch of the phase `all` against `model.fit` on arrays, with the same layers, optimizer and batches."""
    settings = TrainConfig(batch_size=BATCH, augment=augment, all=AllPhase(epochs=1))
    net = network(images(BATCH))

    def ours(train: Split) -> float:
        training = Training(settings, ["all"], NOTHING)
        return timed(
            lambda: train_network(
                training, net, train, None, "all", settings.all, settings, white=255, freeze_batch_norm=True
            )
        )

    def bare(train: Split) -> float:
        pixels = pixels_of(train)
        layers = augmentation(augment, 255, 0)
        model = keras.Sequential([net.model.input, *layers, net.model]) if layers else net.model
        compile_classifier(model, make_optimizer(settings, settings.all, train.count // BATCH))
        return timed(lambda: model.fit(pixels, train.labels, batch_size=BATCH, verbose=0))

    ours(images(BATCH))  # leaves the layers as trainable as both sides need them
    seconds = marginal(ours, bare)
    return {
        "name": name,
        "value": round(seconds[1] / seconds[0], 3),
        "unit": "ratio of speeds",
        "compared_with": "model.fit on arrays, with the same layers, optimizer and batches",
        "goal": goal,
        "images_per_second": {"ours": round(1 / seconds[0], 1), "bare": round(1 / seconds[1], 1)},
    }


def head() -> dict[str, Any]:
    """Ten epochs of the head phase against ten passes through the frozen backbone."""
    net = network(images(BATCH))
    settings = TrainConfig(batch_size=BATCH, head=HeadPhase(epochs=10))
    for layer in net.layers():
        layer.trainable = layer is net.head

    def ours(train: Split) -> float:
        return timed(lambda: train_head(Training(settings, ["head"], NOTHING), net, train, None, settings))

    def bare(train: Split) -> float:
        pixels = pixels_of(train)
        compile_classifier(net.model, make_optimizer(settings, settings.head, 10 * train.count // BATCH))
        return timed(lambda: net.model.fit(pixels, train.labels, batch_size=BATCH, epochs=10, verbose=0))

    seconds = marginal(ours, bare, turns=1)
    return {
        "name": "ten epochs of the head",
        "value": round(seconds[1] / seconds[0], 2),
        "unit": "ratio of speeds",
        "compared_with": "ten epochs that compute the features again",
        "goal": 5,
    }


def checkpoints() -> dict[str, Any]:
    """The share of the time that checkpoints of a ResNet50 and Adam's state take at the default interval."""
    net = network(images(BATCH))
    optimizer = make_optimizer(TrainConfig(), AllPhase(), 10)
    optimizer.build(net.model.trainable_variables)
    variables = [*net.model.variables, *optimizer.variables]
    interval = TrainConfig().checkpoint.every
    with tempfile.TemporaryDirectory() as folder:
        written = Checkpoints(folder, "bench", interval)
        seconds = sorted(timed(lambda: written.save(Position("all"), to_arrays(variables))) for _ in range(5))[2]
    return {
        "name": "checkpoints",
        "value": round(seconds / (max(interval, seconds / MOST_TIME) + seconds), 4),
        "unit": "share of the time",
        "compared_with": f"training for {interval:g} seconds between two checkpoints",
        "goal": 0.02,
        "seconds": round(seconds, 2),
    }


def peak(count: int, folder: Path) -> int:
    """Bytes that this process has used at most, after one epoch over photographs that are not kept in memory."""
    file = folder / f"{count}.gz"
    with tf.io.TFRecordWriter(str(file), tf.io.TFRecordOptions("GZIP", compression_level=0)) as writer:
        for i in range(count):
            feature = {
                "image_bytes": tf.train.Feature(bytes_list=tf.train.BytesList(value=[photo(i)])),
                "path": tf.train.Feature(bytes_list=tf.train.BytesList(value=[f"{i}.jpg".encode()])),
                "label_index": tf.train.Feature(int64_list=tf.train.Int64List(value=[i % CLASSES])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    with mock.patch.object(trainer_input, "CACHE_BYTES", 0):
        split = read_split([str(file)], PHOTO.model_copy(update={"store": "none"}), scratch=Scratch(folder))
    model = keras.Sequential(
        [
            keras.Input((PHOTO.height, PHOTO.width, 3)),
            keras.layers.Conv2D(4, 7, strides=8),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(CLASSES),
        ]
    )
    settings = TrainConfig(batch_size=BATCH, all=AllPhase(epochs=1))
    batches = Batches(split, settings)
    accuracy = compile_classifier(model, make_optimizer(settings, settings.all, batches.steps))
    phase = Phase(name="all", model=model, accuracy=accuracy, settings=settings.all, batches=batches)
    Training(settings, ["all"], NOTHING).run(phase)
    return peak_bytes()


def memory(few: int = 2_000) -> dict[str, Any]:
    """Peak memory at ten times the images."""
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for count in (few, 10 * few):
            command = [sys.executable, "-m", "tests.benchmarks.training", str(count), folder]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            peaks.append(json.loads(done.stdout.splitlines()[-1]))
    return {
        "name": "training: peak memory",
        "value": round(peaks[1] / peaks[0], 3),
        "unit": "ratio of bytes",
        "compared_with": "the same for a tenth of the images, beside the cache of at most 2 GiB",
        "goal": 1.1,
        "mebibytes": [one >> 20 for one in peaks],
    }


def training() -> list[dict[str, Any]]:
    """All of them."""
    set_seed(0, deterministic=False)
    return [
        speed("training", AugmentConfig(), 0.97),
        speed("training with augmentation", AUGMENT, 0.9),
        head(),
        checkpoints(),
        memory(),
    ]


if __name__ == "__main__":
    print(json.dumps(peak(int(sys.argv[1]), Path(sys.argv[2]))))

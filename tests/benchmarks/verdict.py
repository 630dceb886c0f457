"""Benchmarks of what follows the training: the Evaluator, the pushed model, and the report of many test images.

Speeds are marginal: the time for many images less that for few, so that loading models and tracing do not count.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from restem.evaluator.answers import Answers
from restem.evaluator.config import EvaluateConfig
from restem.evaluator.decision import write_decision
from restem.evaluator.gate import judge
from restem.images.config import ImageConfig
from restem.images.graph.preprocess import preprocess
from restem.report.component import data_of
from restem.report.page import render
from restem.trainer.export import export
from restem.trainer.model_config import ModelConfig, StemConfig
from restem.trainer.network import build_network
from tests.benchmarks.photos import photo
from tests.evaluator.runs import evaluate
from tests.report.conftest import make_sample, write_folders
from tests.report.test_component import write_examples as write_all
from tests.tiny_model import CLASSES, export_tiny, record, write_examples

IMAGE = ImageConfig(size=64, channels=3)
FEW, MANY, TURNS = 128, 512, 2  # images; how often both sides are measured
BATCH = 32
SHOWN = 10_000  # test images of the report


def crop(index: int) -> bytes:
    """A PNG of 64 x 64 pixels."""
    return tf.io.encode_png(tf.io.decode_jpeg(photo(index))[:64, :64]).numpy()


def network(seed: int) -> keras.Model:
    """A ResNet50 with a stem for small images and random weights."""
    keras.utils.set_random_seed(seed)
    sample = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    stem, model = StemConfig(small_images=True), ModelConfig(weights="none")
    return build_network(
        "candidate", IMAGE, model, stem, weights="none", classes=len(CLASSES), statistics=None, sample=sample
    ).model


def seconds_for(count: int, work: Callable[[int], Any]) -> float:
    """The seconds that `work` needs for so many images."""
    start = time.perf_counter()
    work(count)
    return time.perf_counter() - start


def marginal(*sides: Callable[[int], Any]) -> list[float]:
    """Seconds of one image for each side, from the least times of all turns; the sides alternate."""
    few: list[list[float]] = [[] for _ in sides]
    many: list[list[float]] = [[] for _ in sides]
    for _ in range(TURNS):
        for side, less, most in zip(sides, few, many, strict=True):
            less.append(seconds_for(FEW, side))
            most.append(seconds_for(MANY, side))
    return [(min(most) - min(less)) / (MANY - FEW) for less, most in zip(few, many, strict=True)]


def entry(name: str, seconds: list[float], what: str, goal: float) -> dict[str, Any]:
    """Ours is the first, what it is compared with the second."""
    return {
        "name": name,
        "value": round(seconds[1] / seconds[0], 3),
        "unit": "ratio of speeds",
        "compared_with": what,
        "goal": goal,
        "images_per_second": {"ours": round(1 / seconds[0], 1), "bare": round(1 / seconds[1], 1)},
    }


def speeds(folder: Path) -> list[dict[str, Any]]:
    """The Evaluator on two models, and a pushed model's signature."""
    models = {name: network(seed) for seed, name in enumerate(("candidate", "baseline"))}
    for name, model in models.items():
        export(model, IMAGE, CLASSES, str(folder / name / "Format-Serving"), record(IMAGE), {})
    encoded = [crop(i) for i in range(MANY)]
    pixels = preprocess(tf.constant(encoded), IMAGE).numpy().astype(np.float32)
    labels = [i % len(CLASSES) for i in range(MANY)]
    examples = {}
    for count in (FEW, MANY):
        with mock.patch("tests.tiny_model.png", crop):  # the "level" of an image is its index
            examples[count] = write_examples(folder / f"examples{count}", list(range(count)), labels[:count])
    run = 0

    def evaluator(count: int) -> None:
        nonlocal run
        run += 1
        target = folder / f"run{run}"
        evaluate(EvaluateConfig(), target, examples[count], folder / "candidate", folder / "baseline")

    def two_passes(count: int) -> None:
        for model in models.values():
            model.predict(pixels[:count], batch_size=BATCH, verbose=0)

    pushed = tf.saved_model.load(str(folder / "candidate" / "Format-Serving")).signatures["serving_default"]

    def serving(count: int) -> None:
        for first in range(0, count, BATCH):
            pushed(image_bytes=tf.constant(encoded[first : first + BATCH]))["probabilities"].numpy()

    # With the functions of TensorFlow alone, in batches of the same size; no decoding while the network computes.
    decode = tf.function(lambda data: tf.cast(tf.io.decode_png(data, channels=3), tf.float32))
    decode_all = tf.function(lambda data: tf.map_fn(decode, data, fn_output_signature=tf.float32))

    def decoding_and_predict(count: int) -> None:
        for first in range(0, count, BATCH):
            models["candidate"].predict_on_batch(decode_all(tf.constant(encoded[first : first + BATCH])))

    serving(BATCH)
    decoding_and_predict(BATCH)
    two_passes(BATCH)
    return [
        entry(
            "the Evaluator on two models",
            marginal(evaluator, two_passes),
            "two passes of model.predict over arrays in memory",
            0.7,
        ),
        entry(
            "a pushed model, from encoded images",
            marginal(serving, decoding_and_predict),
            "decoding with TensorFlow and predict_on_batch",
            0.95,
        ),
    ]


def report(folder: Path) -> dict[str, Any]:
    """The page for many test images."""
    sample = make_sample(images=SHOWN)
    uris = {key: str(path) for key, path in write_folders(folder, sample).items()}
    write_all(folder / "examples", sample)
    tiny = export_tiny(folder / "model" / "Format-Serving").parent
    few = write_examples(folder / "few", [1, 200], [0, 1])
    evaluate(EvaluateConfig(), folder / "verdict", few, tiny, tiny)
    # TFMA's sums are those of the two images; the decision is on all of them.
    answers = Answers(sample.paths, sample.labels, sample.candidate, sample.baseline, {})
    decision = judge(EvaluateConfig(), answers, sample.classes, by_tfma=True)
    write_decision(str(folder / "verdict" / "evaluation"), decision)
    uris |= {name: str(folder / "verdict" / name) for name in ("evaluation", "blessing")}
    uris["examples"] = str(folder / "examples")
    start = time.perf_counter()
    page = render(data_of("Many images", uris))
    seconds = time.perf_counter() - start
    return {
        "name": f"the report of {SHOWN:,} test images",
        "value": round(seconds, 1),
        "unit": "seconds",
        "compared_with": "nothing; the goal is a largest value",
        "goal": 20,
        "mebibytes": round(len(page.encode("utf-8")) / 2**20, 2),
    }


def verdict() -> list[dict[str, Any]]:
    """All of them."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        results += speeds(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        results.append(report(Path(folder)))
    return results

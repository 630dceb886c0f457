"""The pushed model under load: 20,000 requests of 8 clients with valid and invalid images, and what a request takes.

The server is a process of its own with TensorFlow Serving's protocol and batching (tests/benchmarks/model_server.py).
The network has two convolutions at 32 x 32 pixels, so that the time goes into decoding, preprocessing and batching.
Each answer is compared with the answer to the same image alone.

`python -m tests.benchmarks.serving --requests 500` prints a short run without writing results.json.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from restem.images.config import ImageConfig
from restem.trainer.export import export
from tests.benchmarks import load, traffic
from tests.benchmarks.model_server import Client
from tests.benchmarks.photos import photo
from tests.tiny_model import STEM, record

REPOSITORY = Path(__file__).parents[2]
REQUESTS = 20_000
OTHER = 10  # one in so many requests without batching, and with the signature that refuses a whole batch
MOST = 4_000  # pixels in width and height
POOL, INVALID_ROUNDS, INVALID_SHARE = 300, 2, 0.15
BOMB = 2**26  # bytes
# Without a value_range the graph reads no floating point.
IMAGE = ImageConfig(size=32, channels=3, value_range=(0.0, 65535.0))
CLASSES = [f"class {i}" for i in range(10)]
SECONDS_BETWEEN_SAMPLES = 0.5
LEVEL = 1.05  # of the memory: the median of the run's last quarter against that of its third
TIMED = {1: 400, 32: 200}  # images in a request: requests
NETWORK = "a network of two convolutions at 32 x 32 pixels"


def network(seed: int = 0) -> keras.Model:
    """Random weights, and answers that depend on every part of the image."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Rescaling(1 / 64, offset=-2),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(len(CLASSES)),
        ]
    )


def push(folder: Path, max_pixels: int, image: ImageConfig = IMAGE) -> Path:
    """Exports the network as a pushed model with this limit."""
    about = record(image)
    about = replace(about, config={**about.config, "data": {"max_pixels": max_pixels}})
    export(network(), image, CLASSES, str(folder), about, STEM)
    return folder


def push_bare(folder: Path) -> Path:
    """The same network for pixels: without decoding and preprocessing."""
    model, module = network(), tf.Module()
    spec = tf.TensorSpec([None, 32, 32, 3], tf.uint8, name="pixels")
    module.model = model
    serve = tf.function(
        lambda pixels: {"probabilities": tf.nn.softmax(model(tf.cast(pixels, tf.float32), training=False))},
        input_signature=[spec],
        autograph=False,
    )
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve.get_concrete_function()})
    return folder


@contextmanager
def server(folder: Path, batch: int = 32, timeout_micros: int = 5_000) -> Iterator[tuple[str, int]]:
    """A server in a process of its own: its address and process number."""
    command = [sys.executable, "-m", "tests.benchmarks.model_server", str(folder)]
    command += ["--batch", str(batch), "--timeout-micros", str(timeout_micros)]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError("the model server did not start")
        yield address, process.pid
    finally:
        process.stdin.close()
        process.wait()


class Memory:
    """Samples a process's resident memory while the block runs."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.samples: list[int] = []

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.peak = self._now("VmHWM")
        self._done.set()
        self._thread.join()

    def _now(self, field: str) -> int:
        found = re.search(rf"^{field}:\s+(\d+) kB", self._status.read_text(encoding="ascii"), re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024

    def _sample(self) -> None:
        while not self._done.wait(SECONDS_BETWEEN_SAMPLES):
            self.samples.append(self._now("VmRSS"))

    def quarters(self) -> list[float]:
        """The median of each quarter of the time."""
        return [float(np.median(part)) for part in np.array_split(self.samples, 4)]


def pool(model: Any, max_pixels: int, count: int = POOL, seed: int = 0) -> list[tuple[traffic.Sent, load.Answer]]:
    """What the clients send, with the right answers; a few invalid images are repeated to be `INVALID_SHARE`."""
    rng = np.random.default_rng(seed)
    side = int(max_pixels**0.5)
    whole = traffic.valid(rng, count, side, area=max_pixels)
    broken = [
        one for _ in range(INVALID_ROUNDS) for one in traffic.invalid(rng, whole, max_pixels=max_pixels, bomb=BOMB)
    ]
    answered = [(one, load.alone(model, one)) for one in whole + broken]
    good = [pair for pair in answered if not pair[1].refused]
    refused = [pair for pair in answered if pair[1].refused]
    _must_differ([answer.probabilities for _, answer in good])
    wanted = round(len(good) * INVALID_SHARE / (1 - INVALID_SHARE))
    return good + [refused[i % len(refused)] for i in range(wanted)]


def _must_differ(answers: list[np.ndarray]) -> None:
    """Mixed answers can be seen only if they differ: fewer than 2% may be like another one."""
    values = np.stack(answers)
    apart = np.abs(values[:, None] - values[None]).max(-1) + np.eye(len(values))
    alike = float((apart.min(1) < 10 * load.TOLERANCE).mean())
    if alike > 0.02:
        raise AssertionError(f"{alike:.0%} of the images have the same answer as another one")


def milliseconds(client: Client, name: str, batches: list[Any], count: int) -> Callable[[], list[float]]:
    """Asks `count` times, one after the other, and returns the times; the first five do not count."""

    def measure() -> list[float]:
        times = []
        for i in range(count + 5):
            begun = time.perf_counter()
            client(name, batches[i % len(batches)])
            times.append(1000 * (time.perf_counter() - begun))
        return times[5:]

    return measure


def entry(name: str, ours: float, theirs: float, what: str, unit: str, **more: Any) -> dict[str, Any]:
    """A ratio with both sides."""
    return {
        "name": name,
        "value": round(ours / theirs, 3),
        "unit": unit,
        "compared_with": what,
        "milliseconds": {"ours": round(ours, 2), "bare": round(theirs, 2)},
        **more,
    }


def latencies(folder: Path, bare: Path, most: int) -> list[dict[str, Any]]:
    """p50 and p99 of a request of one client, whose images are JPEG photographs of 500 x 375."""
    results = []
    photos = [photo(i) for i in range(64)]
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), np.uint8)
    with server(folder, timeout_micros=0) as (ours, _), server(bare, timeout_micros=0) as (theirs, _):
        for size, count in TIMED.items():
            count = min(count, most)
            batches = [photos[i : i + size] for i in range(0, len(photos), size)]
            sides = {
                "serving_default": milliseconds(Client(ours, "serving_default"), "image_bytes", batches, count // 2),
                "serving_lenient": milliseconds(Client(ours, "serving_lenient"), "image_bytes", batches, count // 2),
                "bare": milliseconds(Client(theirs, "serving_default"), "pixels", [pixels[:size]], count // 2),
            }
            times: dict[str, list[float]] = {side: [] for side in sides}
            for _ in range(2):  # in turns
                for side, measure in sides.items():
                    times[side] += measure()
            for signature in ("serving_default", "serving_lenient"):
                for percent in (50, 99):
                    ours_ms, bare_ms = (float(np.percentile(times[side], percent)) for side in (signature, "bare"))
                    what = "the same network for pixels, without decoding and preprocessing"
                    name = f"{signature}, batch {size}: p{percent}"
                    results.append(entry(name, ours_ms, bare_ms, what, "ratio of times", calls=len(times[signature])))
    return results


def loaded(folder: Path, signature: str, asked: list[Any], requests: int, batch: int) -> tuple[load.Tally, Memory]:
    """A run of all clients against a new server."""
    with server(folder, batch) as (address, pid):
        load.run(address, signature, asked[:8], 16, seed=1)  # warms up, as TensorFlow Serving does
        with Memory(pid) as memory:
            tally = load.run(address, signature, asked, requests, on_request=_progress(requests))
    _say(
        f"{signature}, batches of up to {batch}: {len(tally.wrong)} wrong, {tally.spoiled} spoiled, "
        f"{tally.failed} failed; memory {[round(one / 2**20) for one in memory.quarters()]} MB, peak "
        f"{memory.peak / 2**20:.0f} MB; p50 and p99 {np.percentile(tally.seconds, [50, 99]).round(3).tolist()} s"
    )
    return tally, memory


def _say(what: str) -> None:
    print(f"{time.strftime('%X')} {what}", file=sys.stderr, flush=True)


def _progress(requests: int) -> Callable[[int], None]:
    """Says how far it is, twenty times."""
    return lambda done: _say(f"{done:,} of {requests:,} requests") if done % max(1, requests // 20) == 0 else None


def serving(requests: int = REQUESTS) -> list[dict[str, Any]]:
    """The rows of results.json.

    Raises:
      AssertionError: an answer was wrong, or an invalid image spoiled another one's answer.
    """
    other = requests // OTHER
    with tempfile.TemporaryDirectory() as name:
        folder, bare = push(Path(name) / "model", MOST * MOST), push_bare(Path(name) / "bare")
        asked = pool(tf.saved_model.load(str(folder)), MOST * MOST, min(POOL, requests))
        _say(f"{len(asked)} different images")
        tally, memory = loaded(folder, "serving_lenient", asked, requests, 32)
        apart, _ = loaded(folder, "serving_lenient", asked, other, 1)
        strict, _ = loaded(folder, "serving_default", asked, other, 32)
        results = latencies(folder, bare, other)
    for one in (tally, apart, strict):
        if one.wrong:
            raise AssertionError(f"{len(one.wrong)} wrong answers: {Counter(one.wrong).most_common(5)}")
    if tally.failed + tally.spoiled + apart.failed + apart.spoiled:
        raise AssertionError("serving_lenient refused a whole request")
    quarters = memory.quarters()
    what = f"the answer to the same image alone; {load.CLIENTS} clients, batches of up to 32, {NETWORK}"
    sent = {"requests": len(tally.seconds), "images": tally.images, "refused": sum(tally.refused.values())}
    times = {
        side: [1000 * float(np.percentile(one.seconds, percent)) for percent in (50, 99)]
        for side, one in (("ours", tally), ("bare", apart))
    }
    return [
        {
            "name": f"wrong answers in {requests:,} requests under load",
            "value": len(tally.wrong),
            "unit": "answers",
            "compared_with": what,
            "goal": 0,
            **sent,
            "kinds_refused": len(tally.refused),
        },
        {
            "name": "valid requests that fail because of another client's image, serving_lenient",
            "value": tally.spoiled,
            "unit": "requests",
            "compared_with": what,
            "goal": 0,
        },
        {
            "name": "valid requests that fail because of another client's image, serving_default",
            "value": round(strict.spoiled / (strict.spoiled + len(strict.seconds)), 3),
            "unit": "share of the valid requests",
            "compared_with": f"none where nothing is merged; batches of up to 32, {other:,} requests, "
            f"{INVALID_SHARE:.0%} invalid images",
        },
        {
            "name": "memory of the server under load",
            "value": round(quarters[3] / quarters[2], 3),
            "unit": "ratio of bytes",
            "compared_with": "the third quarter of the run (medians of the resident memory)",
            "goal": LEVEL,
            "megabytes": {"quarters": [round(one / 2**20) for one in quarters], "peak": round(memory.peak / 2**20)},
        },
        *(
            {
                "name": f"serving_lenient under load, images of 1 to {MOST:,} pixels: p{percent}",
                "value": round(times["ours"][i] / times["bare"][i], 3),
                "unit": "ratio of times",
                "compared_with": "the same requests when the server merges nothing",
                "milliseconds": {side: round(found[i], 2) for side, found in times.items()},
            }
            for i, percent in enumerate((50, 99))
        ),
        *results,
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=REQUESTS)
    print(json.dumps(serving(parser.parse_args().requests), indent=2))

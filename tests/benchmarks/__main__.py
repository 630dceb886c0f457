"""`make bench`: measures, prints a table and writes results.json beside this file. `python -m tests.benchmarks reading`
measures one part anew.

Each figure is a ratio of speeds measured in turns in one process: machines differ and are noisy, the two sides of a
ratio less so. `images_per_second` of both sides stands beside it, for the order of magnitude alone.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from components.images.preprocess import preprocess
from tests.benchmarks import data
from tests.benchmarks.data import PHOTO
from tests.benchmarks.photos import photo

RESULTS = Path(__file__).with_name("results.json")
TURNS = 5
COUNT = 256


def drain(dataset: tf.data.Dataset) -> None:
    """Runs through a dataset."""
    for _ in dataset:
        pass


def compare(name: str, what: str, ours: Callable[[], object], bare: Callable[[], object]) -> dict:
    """Times both in turns and gives the ratio of their speeds (above 1: ours is faster)."""
    ours(), bare()  # tracing and caches are not what is measured
    seconds = {ours: [], bare: []}
    for _ in range(TURNS):
        for side, times in seconds.items():
            start = time.perf_counter()
            side()
            times.append(time.perf_counter() - start)
    median = {side: statistics.median(times) for side, times in seconds.items()}
    return {
        "name": name,
        "value": round(median[bare] / median[ours], 3),
        "unit": "ratio of speeds",
        "compared_with": what,
        "images_per_second": {"ours": round(COUNT / median[ours]), "bare": round(COUNT / median[bare])},
    }


def preprocessing() -> dict:
    """The one preprocessing as Transform and serving call it, a function of a batch, against tf.data alone."""
    encoded = [photo(i) for i in range(COUNT)]
    batches = [tf.constant(encoded[i : i + 32]) for i in range(0, COUNT, 32)]
    ours = tf.function(lambda batch: preprocess(batch, PHOTO), input_signature=[tf.TensorSpec([None], tf.string)])
    images = tf.data.Dataset.from_tensor_slices(encoded)

    def plain(one: tf.Tensor) -> tf.Tensor:
        pixels = tf.io.decode_jpeg(one, channels=3, dct_method="INTEGER_ACCURATE")
        return tf.cast(tf.round(tf.image.resize(pixels, (224, 224), antialias=True)), tf.uint8)

    bare = images.map(plain, num_parallel_calls=tf.data.AUTOTUNE).batch(32)
    return compare(
        "preprocessing",
        "tf.io.decode_jpeg, tf.image.resize and rounding in tf.data",
        lambda: [ours(batch) for batch in batches],
        lambda: drain(bare),
    )


def stem_errors() -> list[dict]:
    """What each change keeps, on all six backbones in 64 bits: in its own process, as Keras's precision is global."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [sys.executable, "-m", "components.stem.table", "--backbones", "all", "--json", file.name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(Path(file.name).read_text(encoding="utf-8"))


PARTS = {
    "preprocessing": lambda: [preprocessing()],
    "steps": lambda: data.in_a_folder(data.steps),
    "reading": lambda: [*data.in_a_folder(data.trainer_reading), *data.stored()],
    "stem": stem_errors,
}


def main(parts: list[str]) -> None:
    """Runs the benchmarks, or some of them; the others' results stay as they are."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if parts else []
    results = []
    for part, measure in PARTS.items():
        if parts and part not in parts:
            results += [entry for entry in kept if entry["part"] == part]
        else:
            results += [{"part": part, **entry} for entry in measure()]
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    for result in results:
        goal = f"; the goal is {result['goal']}" if "goal" in result else ""
        print(f"{result['name']}: {result['value']:.3g} ({result['unit']}, against {result['compared_with']}{goal})")


if __name__ == "__main__":
    main(sys.argv[1:])

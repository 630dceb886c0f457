"""What serving costs: the time that a call of each exported model takes, and the size of its files."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from restem.files import exists, file_sizes
from restem.processor import describe_processor
from restem.record_files import VERSION, parse, write_json
from restem.run_record import EXTRA

FILE = "serving.json"  # in the folder of the ModelEvaluation
BATCHES = (1, 32)
WARM_UP = 2
# Enough calls for a median; then no more than this time for one model and batch size.
LEAST_CALLS, MOST_CALLS, SECONDS = 5, 50, 0.5


@dataclass(frozen=True)
class Latency:
    """The time from encoded images to probabilities.

    Attributes:
      batch: images in a call.
      calls: how many calls were measured, after `WARM_UP` more.
      median, percentile_95: seconds a call.
    """

    batch: int
    calls: int
    median: float
    percentile_95: float


@dataclass(frozen=True)
class Serving:
    """What serving a model costs.

    Attributes:
      size: bytes of its files, without those in assets.extra, which are not served.
      latencies: one for each of `BATCHES`.
    """

    size: int
    latencies: tuple[Latency, ...] = ()


@dataclass(frozen=True)
class ServingCost:
    """What serving costs, of both models, measured in one process, in turns.

    Attributes:
      processor: on which it was measured.
      gpu: whether TensorFlow had a GPU.
    """

    candidate: Serving
    baseline: Serving
    processor: str
    gpu: bool = False
    version: int = VERSION


def served_size(folder: str) -> int:
    """Bytes of what is served: not of the records and the backbone for other trainings in assets.extra."""
    return sum(size for name, size in file_sizes(folder).items() if not name.startswith(f"{EXTRA}/"))


def measure_serving(
    models: Mapping[str, str], images: Sequence[bytes], *, seconds: float = SECONDS
) -> ServingCost | None:
    """Measures both models; None if the baseline serves none of the images, because it is limited to small ones.

    Args:
      models: the folders of the SavedModels, by "candidate" and "baseline".
      images: encoded images; they are used again and again.
      seconds: how long to measure one model with one batch size, if `LEAST_CALLS` calls need less.

    Raises:
      ValueError: there are no images.
    """
    import tensorflow as tf
    from tensorflow.python.util import _pywrap_util_port

    from restem.evaluator.models import load

    if not images:
        raise ValueError("there are no images")
    loaded = {role: load(folder) for role, folder in models.items()}
    # The candidate has this run's limits: an error of it is one.
    if not _serves(loaded["baseline"], images):
        images = [one for one in images if _serves(loaded["baseline"], [one])]
    if not images:
        return None
    costs = {role: Serving(served_size(folder)) for role, folder in models.items()}
    for batch in BATCHES:
        durations: dict[str, list[float]] = {role: [] for role in models}
        supply = itertools.cycle(images)
        for i in range(WARM_UP + MOST_CALLS):
            given = tf.constant(list(itertools.islice(supply, batch)))
            for role, model in loaded.items():
                begun = time.perf_counter()
                model.signatures["serving_default"](image_bytes=given)["probabilities"].numpy()
                if i >= WARM_UP:
                    durations[role].append(time.perf_counter() - begun)
            spent = max(map(sum, durations.values()))
            if i >= WARM_UP + LEAST_CALLS - 1 and spent > seconds:
                break
        for role, found in durations.items():
            median, high = np.percentile(found, [50, 95]).tolist()
            latencies = (*costs[role].latencies, Latency(batch, len(found), median, high))
            costs[role] = replace(costs[role], latencies=latencies)
    processor = describe_processor(onednn=_pywrap_util_port.IsMklEnabled())
    return ServingCost(
        candidate=costs["candidate"],
        baseline=costs["baseline"],
        processor=processor,
        gpu=bool(tf.config.list_physical_devices("GPU")),
    )


def _serves(model: Any, images: Sequence[bytes]) -> bool:
    """Whether no image is larger than the model's data.max_pixels, which may be smaller than this run's."""
    import tensorflow as tf

    try:
        model.signatures["serving_default"](image_bytes=tf.constant(images))
    except tf.errors.InvalidArgumentError:
        return False
    return True


def read_images(uri: str, count: int = BATCHES[-1]) -> list[bytes]:
    """The first encoded images of a split of raw examples."""
    import tensorflow as tf
    from tfx.dsl.io import fileio

    files = sorted(fileio.glob(f"{uri}/*"))
    features = {"image_bytes": tf.io.FixedLenFeature([], tf.string)}
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").take(count)
    return [tf.io.parse_single_example(one, features)["image_bytes"].numpy() for one in records]


def write_serving(folder: str, cost: ServingCost) -> None:
    """Writes serving.json."""
    write_json(folder, FILE, asdict(cost))


def read_serving(folder: str) -> ServingCost | None:
    """Reads serving.json; None: an older version evaluated, which did not measure it.

    Raises:
      DamagedRecord: it cannot be used.
    """
    return parse(folder, FILE, ServingCost) if exists(f"{folder}/{FILE}") else None

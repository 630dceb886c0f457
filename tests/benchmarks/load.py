"""Clients that send images to a model server at the same time, and compare each answer with the one that is right."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np

from tests.benchmarks.model_server import Client
from tests.benchmarks.traffic import Sent

# Convolutions and products of matrices add in another order in a larger batch; preprocessing is in integers.
TOLERANCE = 1e-5
CLIENTS = 8
# The second is TensorFlow's word for a raw container whose checksum is wrong.
REFUSED = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.DATA_LOSS)
SEVERAL, MOST_IN_A_REQUEST = 0.1, 4  # the share of requests with two to four images


@dataclass(frozen=True)
class Answer:
    """The answer to an image alone; `refused` has the reason, or is empty."""

    label: bytes
    probabilities: np.ndarray
    refused: str


@dataclass
class Tally:
    """What came of the requests.

    Attributes:
      seconds: of each answered request.
      images: how many were sent in all.
      refused: refused images by their kind (serving_lenient).
      failed: requests that failed as they had to: an image of them is invalid (serving_default).
      spoiled: valid requests that failed, because of another client's image.
      wrong: what was wrong, a sentence each.
    """

    seconds: list[float] = field(default_factory=list)
    images: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    spoiled: int = 0
    wrong: list[str] = field(default_factory=list)


def alone(model: Any, sent: Sent) -> Answer:
    """The answer to one image in a batch of 1; both signatures must agree on it, and it must be what is known."""
    import tensorflow as tf

    given = tf.constant([sent.data])
    lenient = {name: value.numpy()[0] for name, value in model.signatures["serving_lenient"](image_bytes=given).items()}
    refused = lenient["error"].decode()
    if sent.valid is not None and sent.valid == bool(refused):
        raise AssertionError(f"{sent.kind}: {refused or 'it was not refused'}")
    try:
        strict = model.signatures["serving_default"](image_bytes=given)
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError):
        if not refused:
            raise
    else:
        if refused or not np.array_equal(strict["probabilities"][0], lenient["probabilities"]):
            raise AssertionError(f"{sent.kind}: serving_default and serving_lenient differ: {refused}")
    return Answer(lenient["label"], lenient["probabilities"], refused)


def wrong(answer: dict[str, Any], expected: Answer, position: int) -> str:
    """What is wrong with the answer at this position of a response; empty: nothing."""
    refused = answer["error"][position].decode() if "error" in answer else ""
    if refused != expected.refused:
        return f"refused: {refused!r} instead of {expected.refused!r}"
    apart = float(np.abs(answer["probabilities"][position] - expected.probabilities).max())
    if apart > TOLERANCE:
        return f"the probabilities differ by {apart:.2g}"
    first = np.sort(expected.probabilities)[-2:]
    if answer["label"][position] != expected.label and first[1] - first[0] > 2 * TOLERANCE:
        return f"label {answer['label'][position]!r} instead of {expected.label!r}"
    return ""


def run(
    address: str,
    signature: str,
    pool: Sequence[tuple[Sent, Answer]],
    requests: int,
    *,
    clients: int = CLIENTS,
    seed: int = 0,
    on_request: Callable[[int], None] = lambda done: None,
) -> Tally:
    """Sends requests with random images of the pool from so many threads at once.

    Args:
      address: of the server.
      signature: serving_lenient or serving_default.
      pool: images with their answers.
      requests: of all clients together.
      clients: threads, each with a connection of its own.
      seed: chooses the images.
      on_request: called after each request, with the number of requests so far.

    Raises:
      Exception: an error in a client, which is none of the server's answers.
    """
    tally, lock = Tally(), threading.Lock()
    crashed: list[Exception] = []
    left, done = iter(range(requests)), itertools.count(1)

    def work(number: int) -> None:
        rng, client = np.random.default_rng([seed, number]), Client(address, signature)
        try:
            while True:
                with lock:
                    if crashed or next(left, None) is None:
                        return
                several = rng.random() < SEVERAL
                count = int(rng.integers(2, MOST_IN_A_REQUEST + 1)) if several else 1
                chosen = [pool[i] for i in rng.integers(0, len(pool), count)]
                _ask(client, chosen, tally, lock)
                on_request(next(done))
        except Exception as error:
            crashed.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if crashed:
        raise crashed[0]
    return tally


def _ask(client: Client, chosen: list[tuple[Sent, Answer]], tally: Tally, lock: threading.Lock) -> None:
    """One request, and what came of it."""
    begun = time.perf_counter()
    try:
        answer = client("image_bytes", [sent.data for sent, _ in chosen])
    except grpc.RpcError as error:
        if error.code() not in REFUSED:
            raise
        with lock:
            tally.images += len(chosen)
            if any(expected.refused for _, expected in chosen):
                tally.failed += 1
            else:
                tally.spoiled += 1
        return
    seconds = time.perf_counter() - begun
    found = [(sent, expected, wrong(answer, expected, i)) for i, (sent, expected) in enumerate(chosen)]
    with lock:
        tally.seconds.append(seconds)
        tally.images += len(chosen)
        tally.refused.update(sent.kind for sent, expected, _ in found if expected.refused)
        tally.wrong += [f"{sent.kind}: {what}" for sent, _, what in found if what]

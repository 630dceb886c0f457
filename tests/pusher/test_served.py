"""The pushed model behind TensorFlow Serving's protocol and batching; tests/benchmarks/serving.py is the long form."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from restem.images import container
from tests.benchmarks import load
from tests.benchmarks.model_server import Batching, Client, served
from tests.benchmarks.traffic import Sent, invalid, saved
from tests.tiny_model import MAX_PIXELS, png

# A batch runs only when it is full: what is sent at a time is in one batch, however slow the machine is.
FULL = Batching(max_batch_size=4, batch_timeout_micros=600_000_000, num_batch_threads=1)
OTHERS = (b"GIF", b"BM", container.SIGNATURE)
REQUESTS = 100
LEVELS = range(124, 133)  # around the tiny model's threshold: each has other probabilities


@pytest.fixture(scope="module")
def full(tiny_model):
    with served(tiny_model, FULL) as address:
        yield address


def ask_together(address: str, signature: str, images: list[bytes]) -> list[dict[str, np.ndarray] | grpc.RpcError]:
    """One request of one client for each image, in one batch; the answer or the error of each."""

    def ask(image: bytes) -> dict[str, np.ndarray] | grpc.RpcError:
        client = Client(address, signature)
        try:
            return client("image_bytes", [image])
        except grpc.RpcError as error:
            return error
        finally:
            client.close()

    with ThreadPoolExecutor(len(images)) as threads:
        return list(threads.map(ask, images))


def test_an_invalid_image_does_not_spoil_the_answers_of_other_clients_with_serving_lenient(full):
    answers = ask_together(full, "serving_lenient", [png(0), png(200)[:-30], png(255), b"no image"])
    assert [answer["label"][0] for answer in answers] == [b"dark", b"", b"light", b""]
    assert [bool(answer["error"][0]) for answer in answers] == [False, True, False, True]


def test_an_invalid_image_fails_the_requests_of_other_clients_with_serving_default(full):
    """README.md of the Pusher says so. If this changes, the remedy there is no longer needed."""
    answers = ask_together(full, "serving_default", [png(0), png(255), png(255), b"no image"])
    assert [answer.code() for answer in answers] == [grpc.StatusCode.INVALID_ARGUMENT] * 4
    answers = ask_together(full, "serving_default", [png(0), png(255), png(255), png(0)])
    assert [answer["label"][0] for answer in answers] == [b"dark", b"light", b"light", b"dark"]


def test_clients_that_send_valid_and_invalid_images_at_a_time_get_the_right_answers(tiny_model):
    rng = np.random.default_rng(0)
    model = tf.saved_model.load(str(tiny_model))
    images = [Image.new("L", rng.integers(1, 60, 2).tolist(), level) for level in LEVELS]
    whole = [Sent(f"png {i}", saved(one, "PNG"), True) for i, one in enumerate(images)]
    whole.append(Sent("jpeg", saved(images[5], "JPEG"), True))
    # tests/images/graph/test_lenient.py has the other formats.
    broken = [one for one in invalid(rng, whole, MAX_PIXELS, bomb=2**20) if not one.data.startswith(OTHERS)]
    pool = [(one, load.alone(model, one)) for one in whole + broken]
    with served(tiny_model) as address:
        tally = load.run(address, "serving_lenient", pool, REQUESTS)
    assert tally.wrong == []
    assert (tally.failed, tally.spoiled, len(tally.seconds)) == (0, 0, REQUESTS)
    assert len(tally.refused) > 10

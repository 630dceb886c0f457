"""A small model server with TensorFlow Serving's protocol and its batching, for where its binary cannot be had.

It answers `PredictionService.Predict` of tensorflow-serving-api over gRPC. Requests of different clients are merged by
TensorFlow's operation BatchFunction, which is the scheduler of TensorFlow Serving (SharedBatchScheduler): threads, the
largest batch, the time that a batch waits to fill, allowed sizes to which it is padded, and a queue that refuses with
UNAVAILABLE when it is full. An error in a merged batch is the answer to all its requests, as there.

`python -m tests.benchmarks.model_server MODEL --batch 32` prints its address, and serves until its input ends.
"""

import argparse
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

ANY_LENGTH = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class Batching:
    """TensorFlow Serving's `--batching_parameters_file`, under its names.

    Attributes:
      max_batch_size: images in a batch; 1: nothing is merged.
      batch_timeout_micros: how long a batch waits to fill.
      num_batch_threads: batches at a time.
      max_enqueued_batches: more are refused.
      allowed_batch_sizes: a batch is padded to the next of them; None: it is not padded.
    """

    max_batch_size: int = 32
    batch_timeout_micros: int = 5_000
    num_batch_threads: int = 2
    max_enqueued_batches: int = 100
    allowed_batch_sizes: tuple[int, ...] | None = None


def batched(model: Any, folder: Path, name: str, batching: Batching) -> Any:
    """A signature whose concurrent calls are merged; it takes its one input and returns its outputs by name."""
    signature = model.signatures[name]
    (given,) = signature.structured_input_signature[1].values()
    if batching.max_batch_size == 1:
        # BatchFunction would refuse a request with several images.
        return lambda values: signature(**{given.name: values})
    names = sorted(signature.structured_outputs)
    spec = tf.TensorSpec(given.shape, given.dtype)

    @tf.function(autograph=False, input_signature=[spec])
    def run(values: tf.Tensor) -> list[tf.Tensor]:
        answers = signature(**{given.name: values})
        return [answers[one] for one in names]

    inner = run.get_concrete_function()

    @tf.function(autograph=False, input_signature=[spec])
    def call(values: tf.Tensor) -> dict[str, tf.Tensor]:
        answers = tf.raw_ops.BatchFunction(
            in_tensors=[values],
            captured_tensors=inner.captured_inputs,
            f=inner,
            Tout=[signature.structured_outputs[one].dtype for one in names],
            num_batch_threads=batching.num_batch_threads,
            max_batch_size=batching.max_batch_size,
            batch_timeout_micros=batching.batch_timeout_micros,
            max_enqueued_batches=batching.max_enqueued_batches,
            allowed_batch_sizes=list(batching.allowed_batch_sizes or []),
            shared_name=f"{folder}/{name}/{batching}",
        )
        return dict(zip(names, answers, strict=True))

    return call.get_concrete_function()


class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Serves every signature of one model."""

    def __init__(self, folder: Path, batching: Batching) -> None:
        self._folder, self._batching = folder, batching
        self._model = tf.saved_model.load(str(folder))
        self._calls: dict[str, Any] = {}
        self._lock = threading.Lock()

    def _call(self, name: str) -> Any:
        with self._lock:
            if name not in self._calls:
                self._calls[name] = batched(self._model, self._folder, name, self._batching)
            return self._calls[name]

    def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Answers a request; an error of TensorFlow has its code and message."""
        call = self._call(request.model_spec.signature_name)
        (values,) = request.inputs.values()
        try:
            answers = call(tf.constant(tf.make_ndarray(values)))
        except tf.errors.OpError as error:
            context.abort(_CODES[error.error_code], error.message)
        response = predict_pb2.PredictResponse()
        for name, value in answers.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
        return response


@contextmanager
def served(folder: Path, batching: Batching = Batching(), *, clients: int = 8) -> Iterator[str]:
    """Serves a model in this process; gives the address."""
    server = grpc.server(ThreadPoolExecutor(clients), options=ANY_LENGTH)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Servicer(folder, batching), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        yield f"localhost:{port}"
    finally:
        server.stop(None).wait()


class Client:
    """A connection of its own to a server."""

    def __init__(self, address: str, signature: str) -> None:
        self._channel = grpc.insecure_channel(address, options=[*ANY_LENGTH, ("grpc.use_local_subchannel_pool", 1)])
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(self._channel).Predict
        self._signature = signature

    def __call__(self, name: str, values: Any) -> dict[str, Any]:
        """The outputs of a request, as arrays.

        Raises:
          grpc.RpcError: the server refused it.
        """
        request = predict_pb2.PredictRequest()
        request.model_spec.signature_name = self._signature
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        return {name: tf.make_ndarray(value) for name, value in self._predict(request).outputs.items()}

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--timeout-micros", type=int, default=5_000)
    given = parser.parse_args()
    with served(given.model, Batching(given.batch, given.timeout_micros)) as address:
        print(address, flush=True)
        sys.stdin.read()

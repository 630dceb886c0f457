"""The devices and machines that train together: which strategy, which part of a batch each one takes, who is chief.

One CPU or one GPU needs no strategy. Several GPUs of one machine train with TensorFlow's `MirroredStrategy`, several
machines (workers) with `MultiWorkerMirroredStrategy`, if TF_CONFIG names them, as Kubeflow's training operator does.
"""

import io
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from restem.errors import RestemError
from restem.trainer.variables import LOST_WORKER, TF_CONFIG, named_workers

log = logging.getLogger("restem")

CHUNK = 1 << 22  # numbers that the chief sends at once
# What TensorFlow raises in the other workers when one of them ends, is unreachable, or has been started again.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)


@dataclass(frozen=True, eq=False)
class Distribution:
    """The devices that train together; each has a replica of the network.

    Attributes:
      strategy: TensorFlow's; none: one device, and everything is as Keras does it.
      workers: how many processes train together, each on its own machine.
      index: the number of this one, counted from 0; number 0 is the chief, who decides and writes the checkpoints.
    """

    strategy: tf.distribute.Strategy | None = None
    workers: int = 1
    index: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this process decides, and writes the checkpoints."""
        return self.index == 0

    @property
    def replicas(self) -> int:
        """How many devices train, on all workers together."""
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    def scope(self) -> AbstractContextManager[Any]:
        """Variables that are made in it exist on every device."""
        return self.strategy.scope() if self.strategy else nullcontext()

    def check(self, batch_size: int) -> None:
        """Logs what trains.

        Raises:
          RestemError: there are more devices than images in a step.
        """
        if self.strategy is None:
            return
        if batch_size < self.replicas:
            raise RestemError(
                "a step has fewer images than there are devices",
                where="train.batch_size",
                expected=f"at least {self.replicas}: {self.workers} workers x {self.replicas // self.workers} devices",
                given=str(batch_size),
                remedy="Raise train.batch_size, or train on fewer devices (CUDA_VISIBLE_DEVICES, train.workers)",
            )
        log.info(
            "training on %d worker%s with %d device%s each; a step's %d images are split into %d parts of about %d",
            self.workers,
            "s" if self.workers > 1 else "",
            self.replicas // self.workers,
            "s" if self.replicas > self.workers else "",
            batch_size,
            self.replicas,
            batch_size // self.replicas,
        )

    def from_chief(self, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The chief's array on every worker; the others do not compute it."""
        if self.workers == 1:
            return make()
        return _loads(self.bytes_from_chief(_dumps(make()) if self.is_chief else b""))

    def bytes_from_chief(self, content: bytes) -> bytes:
        """The chief's content on every worker; that of the others is ignored."""
        if self.workers == 1:
            return content
        length = np.frombuffer(len(content).to_bytes(8, "little"), np.uint16)
        size = int.from_bytes(self._sum(length, len(length)).tobytes(), "little")
        numbers = np.frombuffer(content + b"\0" * (len(content) % 2), np.uint16)
        count = -(-size // 2)
        parts = [self._sum(numbers[i : i + CHUNK], min(CHUNK, count - i)) for i in range(0, count, CHUNK)]
        return b"".join(part.tobytes() for part in parts)[:size]

    def _sum(self, numbers: np.ndarray, count: int) -> np.ndarray:
        """The chief's numbers, uint16 [count], on every worker.

        They are added as float32, in which they are exact: every kind of device can add these.
        """
        mine = np.zeros(count, np.float32)
        if self.is_chief:
            mine[:] = numbers
        return self._add(tf.constant(mine)).numpy().astype(np.uint16)

    @cached_property
    def _add(self) -> Callable[[tf.Tensor], tf.Tensor]:
        strategy = self.strategy
        assert strategy is not None

        def replica(mine: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            # Of a worker with several devices only the first one counts.
            first = tf.cast(tf.equal(context.replica_id_in_sync_group % (self.replicas // self.workers), 0), mine.dtype)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, mine * first)

        @tf.function(reduce_retracing=True)
        def add(mine: tf.Tensor) -> tf.Tensor:
            return strategy.experimental_local_results(strategy.run(replica, args=(mine,)))[0]

        return add

    @contextmanager
    def together(self) -> Iterator[None]:
        """Around what the workers do together.

        Raises:
          SystemExit: with `LOST_WORKER`, if another worker has ended: this one must be started again with it, and all
            go on from the chief's checkpoint.
        """
        try:
            yield
        except LOST as error:
            if self.workers == 1:
                raise
            log.error("another worker is gone, so this one stops too: %s", str(error).splitlines()[0])
            raise SystemExit(LOST_WORKER) from None


ONE = Distribution()


def find_distribution() -> Distribution:
    """What this process trains on: the workers in TF_CONFIG, else the GPUs that it sees.

    It must be called before TensorFlow computes anything: only then can TensorFlow start the connection between
    workers. It waits until all workers are there.

    Raises:
      RestemError: TF_CONFIG cannot be read, or TensorFlow has computed something already.
    """
    workers, index = named_workers(os.environ.get(TF_CONFIG, ""))
    if workers > 1:
        try:
            return Distribution(tf.distribute.MultiWorkerMirroredStrategy(), workers, index)
        except RuntimeError as error:
            raise RestemError(
                "the connection to the other workers cannot be started in this process",
                where=TF_CONFIG,
                expected="a process that trains and does nothing before",
                given=str(error),
                remedy="Train on several machines with restem kubeflow run",
            ) from None
    gpus = tf.config.list_logical_devices("GPU") if len(tf.config.list_physical_devices("GPU")) > 1 else []
    return mirrored([gpu.name for gpu in gpus]) if gpus else ONE


def mirrored(devices: Sequence[str]) -> Distribution:
    """Several devices of this machine."""
    return Distribution(tf.distribute.MirroredStrategy(list(devices)))


def _dumps(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _loads(content: bytes) -> np.ndarray:
    return np.load(io.BytesIO(content), allow_pickle=False)

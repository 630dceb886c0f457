"""Logs the progress of a training phase."""

import logging
import time
from collections.abc import Mapping

import keras

from restem.run_record import Epoch

log = logging.getLogger("restem")


class EpochHistory(keras.callbacks.Callback):
    """Logs one line per epoch (loss, accuracy, images per second, time left) and keeps the values.

    Attributes:
      epochs: the epochs so far.
    """

    def __init__(self, phase: str, epochs: int, images: int) -> None:
        super().__init__()
        self.epochs: list[Epoch] = []
        self._phase, self._count, self._images = phase, epochs, images

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        assert logs is not None  # Keras hands them over.
        seconds = max(time.monotonic() - self._start, 1e-6)
        done = Epoch(
            phase=self._phase,
            epoch=epoch + 1,
            loss=float(logs["loss"]),
            accuracy=float(logs["accuracy"]),
            seconds=seconds,
            images_per_second=self._images / seconds,
        )
        self.epochs.append(done)
        log.info(
            "%s: epoch %d of %d, loss %.3f, training accuracy %.3f, %.0f images/s, %.0f s left",
            self._phase,
            epoch + 1,
            self._count,
            done.loss,
            done.accuracy,
            done.images_per_second,
            seconds * (self._count - epoch - 1),
        )

"""Event files for TensorBoard: a training's figures by epoch, its first layer's kernels, and the network's graph."""

import io
import logging
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from restem.run_record import EVENTS, Epoch
from restem.stem.picture import draw_kernels
from restem.trainer.network import Network, in_order

FILTERS = 24  # at most, in the picture of the kernels

log = logging.getLogger("restem")


class Events:
    """Writes the event files of one training, in a folder of their own in its run's folder.

    A training that continues writes its finished epochs again, and removes what an interrupted attempt left in the same
    folder: each epoch is there once. If they cannot be written, that is logged, and the training goes on.
    """

    def __init__(self, run_folder: str | None) -> None:
        """Args:
        run_folder: where the run's record goes, on this machine or in a bucket; None: nothing is written.
        """
        self._writer: tf.summary.SummaryWriter | None = None
        if run_folder is None:
            return
        folder = f"{run_folder}/{EVENTS}"

        def start() -> None:
            if tf.io.gfile.isdir(folder):
                tf.io.gfile.rmtree(folder)
            self._writer = tf.summary.create_file_writer(folder)

        self._try(start)

    def epoch(self, epoch: Epoch) -> None:
        """Writes an epoch's figures, as `<phase>/<figure>`, at the step of its number within the phase."""

        def write() -> None:
            for name, value in epoch.figures().items():
                if value is not None:
                    tf.summary.scalar(f"{epoch.phase}/{name}", value, step=epoch.epoch)

        self._write(write)

    def kernels(self, before: np.ndarray, after: np.ndarray, names: Sequence[str]) -> None:
        """Writes a picture of the first layer's kernels, each [side, side, channels, filters].

        Args:
          before, after: the training.
          names: of the channels.
        """

        def write() -> None:
            picture = io.BytesIO()
            draw_kernels(before, after, names, names, picture, FILTERS, ("before", "after"))
            pixels = tf.io.decode_png(picture.getvalue(), channels=3)[None]
            tf.summary.image("first layer before and after training", pixels, step=0)

        self._write(write)

    def graph(self, graph: tf.Graph) -> None:
        """Writes a graph; see `restem.trainer.cost.forward_graph`."""
        self._write(lambda: tf.summary.graph(graph))

    def close(self) -> None:
        """Writes what is not yet on disk."""
        if self._writer is not None:
            self._try(self._writer.close)

    def _write(self, write: Callable[[], None]) -> None:
        writer = self._writer
        if writer is None:
            return

        def written() -> None:
            with writer.as_default():
                write()
            writer.flush()

        self._try(written)

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except (tf.errors.OpError, OSError) as error:
            self._writer = None
            log.warning("TensorBoard's event files cannot be written: %s", str(error).splitlines()[0])


def first_kernel(network: Network) -> np.ndarray:
    """A copy of the kernel of the stem's first convolution, float32 [side, side, channels, filters]."""
    stem = (layer for layer in in_order(network.model) if layer.name in network.stem_layers)
    convolution = next(layer for layer in stem if isinstance(layer, keras.layers.Conv2D))
    return np.array(keras.ops.convert_to_numpy(convolution.kernel))

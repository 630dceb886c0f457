"""Watches the training of one network: its event files, and what it costs."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from restem.run_record import Cost, Epoch
from restem.trainer.cost import PeakMemory, forward_graph, measured_cost
from restem.trainer.events import Events, first_kernel
from restem.trainer.network import Network


class Observer:
    """From a network before its training to its cost afterwards."""

    def __init__(self, run_folder: str | None) -> None:
        """Args:
        run_folder: where the run's record and the event files go; None: this worker writes none.
        """
        self._events = Events(run_folder)
        self._graph: tf.Graph | None = None
        self._kernel: np.ndarray | None = None
        self._peak: PeakMemory | None = None

    def start(self, network: Network) -> None:
        """Before the training."""
        self._graph, self._kernel = forward_graph(network.model), first_kernel(network)
        self._events.graph(self._graph)
        self._peak = PeakMemory()

    def epoch(self, epoch: Epoch) -> None:
        """After each epoch."""
        self._events.epoch(epoch)

    def finish(self, network: Network, history: Iterable[Epoch]) -> Cost:
        """After the training; it keeps nothing of the network in memory."""
        assert self._graph is not None
        assert self._kernel is not None
        assert self._peak is not None
        cost = measured_cost(self._graph, history, self._peak)
        self._events.kernels(self._kernel, first_kernel(network), network.report.input["bands"])
        self._events.close()
        self._graph = None
        return cost

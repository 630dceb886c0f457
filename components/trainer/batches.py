"""The batches of a phase's epochs; each depends only on the seed, the epoch and the step."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from restem.trainer.balance import balanced_repeats, balanced_weights, epoch_length
from restem.trainer.config import TrainConfig
from restem.trainer.input import Split

# Batches of an epoch, its number, and how many batches were skipped -> the batches as the model sees them.
Prepare = Callable[[tf.data.Dataset, int, int], tf.data.Dataset]


class Batches:
    """A split in batches, with the classes balanced as `train.balance` says.

    Attributes:
      images, steps: in one epoch.
    """

    def __init__(
        self, split: Split, config: TrainConfig, prepare: Prepare = lambda batches, epoch, skip: batches
    ) -> None:
        self._split, self._config, self._prepare = split, config, prepare
        self._weights = balanced_weights(split.labels, split.weights) if config.balance == "weights" else split.weights
        self.images = epoch_length(split.labels, config)
        self.steps = -(-self.images // config.batch_size)

    def epoch(self, epoch: int, skip: int) -> tf.data.Dataset:
        """The batches of an epoch (counted from 0), without the first `skip`; see `Split.epoch`."""
        batches = self._split.epoch(
            self._config.batch_size,
            seed=self._config.seed,
            epoch=epoch,
            skip=skip,
            repeats=self._repeats(epoch),
            weights=self._weights,
        )
        return self._prepare(batches, epoch, skip)

    def files(self, epoch: int, step: int) -> list[str]:
        """The files of one batch; epoch and step are counted from 0."""
        return self._split.paths_of_batch(
            self._config.batch_size, seed=self._config.seed, epoch=epoch, step=step, repeats=self._repeats(epoch)
        )

    def _repeats(self, epoch: int) -> np.ndarray | None:
        if self._config.balance != "sampling":
            return None
        return balanced_repeats(self._split.labels, self._config.seed, epoch)

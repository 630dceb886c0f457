"""The average of the weights over the last steps (`train.ema`): Keras's, with corrections for this training loop."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops


def with_average(
    kind: Callable[..., keras.optimizers.Optimizer], momentum: float, statistics: Sequence[keras.Variable] = ()
) -> Callable[..., keras.optimizers.Optimizer]:
    """The optimizer with an exponential moving average of the weights that it trains.

    Keras keeps the average in the optimizer (`use_ema`), so that checkpoints hold it. Different from Keras's:
    the momentum after t steps is min(momentum, (1 + t) / (10 + t)), as in TensorFlow's ExponentialMovingAverage: with
    0.999 alone, the average of 50 steps would be the weights of the first step; and the end of `fit`, which is the end
    of an epoch here, leaves the weights alone.

    Args:
      kind: the optimizer's class.
      momentum: between 0 and 1.
      statistics: variables that are averaged in the same way although they are not trained: the moving statistics of
        BatchNormalization. Those of the latest weights do not fit averaged weights.
    """

    class WithAverage(kind):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, use_ema=True, ema_momentum=momentum, **more)

        def build(self, variables: list[keras.Variable]) -> None:
            if self.built:
                return
            super().build(variables)
            more = self.add_optimizer_variables(list(statistics), "average") if statistics else []
            self.averages = list(
                zip([*variables, *statistics], [*self._model_variables_moving_average, *more], strict=True)
            )

        def _update_model_variables_moving_average(self, trainable_variables: Any) -> None:
            steps = ops.cast(self.iterations, "float32")  # before this one
            kept = ops.where(steps > 0, ops.minimum(momentum, (1 + steps) / (10 + steps)), 0.0)
            for variable, average in self.averages:
                average.assign(average + ops.cast(1 - kept, average.dtype) * (variable - average))

        def finalize_variable_values(self, var_list: Any) -> None:
            pass

    return WithAverage


@contextmanager
def averaged(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Inside, the weights are their averages; afterwards they are what they were before, to the bit.

    Keras's SwapEMAWeights swaps by adding and subtracting, which rounds. Does nothing without `train.ema`.
    """
    pairs = _averages(optimizer)
    before = [np.array(ops.convert_to_numpy(variable)) for variable, _ in pairs]
    take_average(optimizer)
    try:
        yield
    finally:
        for (variable, _), value in zip(pairs, before, strict=True):
            variable.assign(value)


def take_average(optimizer: keras.optimizers.Optimizer) -> None:
    """Sets the weights to their averages. Does nothing without `train.ema`, and before the first step."""
    for variable, average in _averages(optimizer):
        variable.assign(average)


def _averages(optimizer: keras.optimizers.Optimizer) -> list[tuple[keras.Variable, keras.Variable]]:
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # Keras wraps it where it scales the loss
    pairs = getattr(inner, "averages", [])
    return pairs if pairs and int(ops.convert_to_numpy(inner.iterations)) else []

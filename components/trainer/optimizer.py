"""Optimizers and learning rates of the phases: Keras's own, by name, and Adam in one pass over the weights a step."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from restem.trainer.average import with_average
from restem.trainer.config import PhaseConfig, TrainConfig

STEPS_OF_STEP_SCHEDULE = (0.5, 0.75)  # shares of the phase after which the rate is divided by ten


class KernelAdam(keras.optimizers.Adam):
    """Keras's Adam, with the update of a weight done by TensorFlow's own kernel (Kingma and Ba 2014, arXiv 1412.6980).

    Keras writes it as a dozen operations, each of which passes over all weights: on two cores that is a quarter of the
    0.3 s that a step of a ResNet50 takes with 32 images of 32x32, and seven seconds when the step is traced.
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Updates one weight, as Keras's optimizers call it."""
        if self.amsgrad:
            super().update_step(gradient, variable, learning_rate)
            return
        place = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            beta1_power=tf.pow(tf.constant(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.constant(self.beta_2, variable.dtype), step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


KINDS: dict[str, type[keras.optimizers.Optimizer]] = {
    "adam": KernelAdam,
    "adamw": KernelAdam,  # the decay of all optimizers is decoupled here, as AdamW's is
    "sgd": keras.optimizers.SGD,
    "lion": keras.optimizers.Lion,
    "rmsprop": keras.optimizers.RMSprop,
    "nadam": keras.optimizers.Nadam,
    "adagrad": keras.optimizers.Adagrad,
    "adamax": keras.optimizers.Adamax,
    "lamb": keras.optimizers.Lamb,
}


def make_optimizer(
    config: TrainConfig,
    phase: PhaseConfig,
    steps: int,
    *,
    rates: Mapping[str, float] | None = None,
    no_decay: Sequence[keras.Variable] = (),
    statistics: Sequence[keras.Variable] = (),
) -> keras.optimizers.Optimizer:
    """The optimizer of one phase.

    Args:
      config: its name, its options, `clip_norm`, `ema`.
      phase: the learning rate and its schedule, and the weight decay, which is decoupled (Loshchilov and Hutter 2017,
        arXiv 1711.05101) for every optimizer.
      steps: of the whole phase.
      rates: factors of the learning rate by a weight's path; others have 1.
      no_decay: weights that do not decay.
      statistics: not trained, and averaged like the weights where `ema` is set.
    """
    kind: Callable[..., keras.optimizers.Optimizer] = KINDS[config.optimizer]
    if rates:
        kind = _with_rates(kind, rates)
    if config.ema is not None:
        kind = with_average(kind, config.ema, statistics)
    optimizer = kind(
        learning_rate(phase, steps),
        weight_decay=phase.weight_decay or None,
        global_clipnorm=config.clip_norm,
        **{"momentum": 0.9, **config.optimizer_options} if config.optimizer == "sgd" else config.optimizer_options,
    )
    if phase.weight_decay:
        optimizer.exclude_from_weight_decay(var_list=list(no_decay))
    return optimizer


def learning_rate(phase: PhaseConfig, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate by step: a linear warm-up over `phase.warm_up` of the steps, then the phase's schedule.

    `plateau` gives a plain number: the training itself lowers it.
    """
    peak = phase.learning_rate
    if phase.schedule == "plateau":
        return peak
    warm_up = int(steps * phase.warm_up)
    if phase.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=peak / 100 if warm_up else peak,
            decay_steps=max(steps - warm_up, 1),
            warmup_target=peak if warm_up else None,
            warmup_steps=warm_up,
        )
    ends = [int(share * steps) for share in STEPS_OF_STEP_SCHEDULE] if phase.schedule == "step" else []
    return _Stepwise(peak, warm_up, ends)


class _Stepwise(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up from a hundredth of the rate, then the rate, divided by ten after each of the given steps."""

    def __init__(self, peak: float, warm_up: int, ends: Sequence[int]) -> None:
        self.peak, self.warm_up, self.ends = peak, warm_up, tuple(ends)

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        rate = keras.ops.convert_to_tensor(self.peak, "float32")
        for end in self.ends:
            rate = rate * keras.ops.where(step >= end, 0.1, 1.0)
        if not self.warm_up:
            return rate
        share = keras.ops.minimum(step / self.warm_up, 1.0)
        return rate * (0.01 + 0.99 * share)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warm_up": self.warm_up, "ends": self.ends}


def _with_rates(
    kind: Callable[..., keras.optimizers.Optimizer], rates: Mapping[str, float]
) -> Callable[..., keras.optimizers.Optimizer]:
    """The optimizer with a factor of the learning rate for some weights."""

    class WithRates(kind):  # type: ignore[valid-type,misc]
        def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
            path = self._trainable_variables[self._get_variable_index(variable)].path
            super().update_step(gradient, variable, learning_rate * rates.get(path, 1.0))

    return WithRates

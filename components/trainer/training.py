"""The training loop: runs the phases from the last checkpoint on, selects the best epoch and logs the progress."""

import logging
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import keras
import numpy as np

from restem.run_record import Epoch
from restem.trainer.average import averaged, take_average
from restem.trainer.batches import Batches
from restem.trainer.checkpoint import Arrays, Best, Checkpoints, Position, Saved
from restem.trainer.config import PhaseConfig, TrainConfig
from restem.trainer.scores import Diverged, score

PROGRESS_SECONDS = 10.0  # between two lines within an epoch
PLATEAU_EPOCHS, PLATEAU_FACTOR = 3, 0.3  # schedule: plateau
STUCK = 0.01  # if the loss falls by a smaller share than this, a warning is logged

log = logging.getLogger("restem")


@dataclass(frozen=True)
class Phase:
    """What one phase trains.

    Attributes:
      name: "head", "stem", "all" or "pretrain".
      model: what is trained, compiled and built.
      accuracy: its metric of that name.
      settings: the phase's section.
      batches: of the training images.
      predict: returns probabilities float32 [M, classes] for the validation images from the model's current weights;
        None without such images.
      weights: returns those of the whole network, as they are if the phase ends now.
    """

    name: str
    model: keras.Model
    accuracy: keras.Metric
    settings: PhaseConfig
    batches: Batches
    predict: Callable[[], np.ndarray] | None = None
    weights: Callable[[], Arrays] = list


class Training:
    """Runs phases, and continues from the last checkpoint of the same training.

    Attributes:
      history: the finished epochs.
      best: the best of them on the validation images, if `train.keep` is "best".
    """

    def __init__(
        self,
        config: TrainConfig,
        phases: Sequence[str],
        checkpoints: Checkpoints,
        *,
        labels: np.ndarray | None = None,
        on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    ) -> None:
        """Args:
        config: the section.
        phases: the names of those that will run, in their order.
        checkpoints: where they go.
        labels: of the validation images, int64 [M]; none without such images.
        on_epoch: called for each epoch when it has ended, and for those before the checkpoint at once.
        """
        self.history: tuple[Epoch, ...] = ()
        self.best: Best | None = None
        self._best_weights: Arrays | None = None
        self._config = config
        self._checkpoints = checkpoints
        self._labels = labels
        self._on_epoch = on_epoch
        self._saved = checkpoints.load()
        self._over: tuple[str, ...] = ()
        if self._saved:
            position = self._saved.position
            self.history, self.best, self._best_weights = position.history, position.best, self._saved.best
            self._over = tuple(phases[: phases.index(position.phase)])
            done = position.phase, position.epoch, position.step
            log.info("continuing from a checkpoint: phase %s, after epoch %d and %d steps", *done)
        for epoch in self.history:
            on_epoch(epoch)

    def is_over(self, phase: str) -> bool:
        """Whether the checkpoint is from a later phase, so that this phase is skipped."""
        return phase in self._over

    def run(self, phase: Phase) -> None:
        """Trains one phase to its end.

        Raises:
          Diverged: the loss is not finite.
          SystemExit: with 143, after a checkpoint: the process was asked to stop (SIGTERM).
        """
        position = Position(phase.name)
        state = [*phase.model.variables, *phase.model.optimizer.variables]
        metrics: Arrays = ()
        if self._saved and self._saved.position.phase == phase.name:
            position = self._saved.position
            for variable, value in zip(state, self._saved.values, strict=False):
                variable.assign(value)
            metrics = self._saved.values[len(state) :]
        self._saved = None
        watch = _Watch(self, phase, position, metrics)
        with _until_asked_to_stop() as asked:
            watch.asked = asked
            for epoch in range(position.epoch, 0 if position.ended else phase.settings.epochs):
                if self._is_patience_over(phase.name):
                    log.info("%s: no improvement in %d epochs; the phase ends", phase.name, self._config.patience)
                    break
                phase.model.fit(
                    phase.batches.epoch(epoch, watch.step),
                    initial_epoch=epoch,
                    epochs=epoch + 1,
                    verbose=0,
                    callbacks=[watch],
                )
        if not position.ended:
            take_average(phase.model.optimizer)
            watch.save(ended=True)
        self._warn_where_nothing_was_learned(phase.name)

    def keep_the_best(self, variables: Sequence[keras.Variable]) -> None:
        """Gives the network the weights of the best epoch, if `train.keep` is "best"."""
        if self.best is None or self._best_weights is None:
            return
        for variable, value in zip(variables, self._best_weights, strict=True):
            variable.assign(value)
        log.info(
            "kept: epoch %d of the phase %s (%s on the validation images: %.4f)",
            self.best.epoch,
            self.best.phase,
            self._config.metric,
            abs(self.best.value),
        )

    def finish_epoch(self, phase: Phase, epoch: Epoch) -> None:
        """Adds an epoch to the history, with its scores on the validation images."""
        if phase.predict is not None and self._labels is not None:
            with averaged(phase.model.optimizer):
                scores = score(self._labels, phase.predict())
                epoch = replace(epoch, validation=scores)
                value = scores.larger_is_better(self._config.metric)
                if self._config.keep == "best" and (self.best is None or value > self.best.value):
                    self.best = Best(phase.name, epoch.epoch, value)
                    self._best_weights = phase.weights()
        self.history = (*self.history, epoch)
        self._on_epoch(epoch)
        waited = self._epochs_without_improvement(phase.name)
        if phase.settings.schedule == "plateau" and waited and waited % PLATEAU_EPOCHS == 0:
            optimizer = phase.model.optimizer
            optimizer.learning_rate.assign(optimizer.learning_rate * PLATEAU_FACTOR)
            log.info("%s: the learning rate is lowered to %.2g", phase.name, float(optimizer.learning_rate))

    def save(self, position: Position, values: Arrays) -> None:
        """Writes a checkpoint."""
        self._checkpoints.save(replace(position, history=self.history, best=self.best), values, self._best_weights)

    def snapshot(self, values: Arrays) -> Saved:
        """How far the training has come, after a phase, for other processes that train with this one."""
        return Saved(Position("", history=self.history, best=self.best), values, self._best_weights)

    def take(self, saved: Saved) -> None:
        """Takes over what another process has trained; `saved` is its snapshot."""
        self.history, self.best, self._best_weights = saved.position.history, saved.position.best, saved.best
        self._saved = None

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self._checkpoints.due

    def _of(self, phase: str) -> list[Epoch]:
        return [epoch for epoch in self.history if epoch.phase == phase]

    def _epochs_without_improvement(self, phase: str) -> int:
        """Epochs since the best one of the phase, by the metric on the validation images, else by the loss."""
        epochs = self._of(phase)
        values = [
            epoch.validation.larger_is_better(self._config.metric) if epoch.validation else -epoch.loss
            for epoch in epochs
        ]
        return len(values) - 1 - int(np.argmax(values)) if values else 0

    def _is_patience_over(self, phase: str) -> bool:
        patience = self._config.patience
        if patience is None or self._labels is None:
            return False
        return self._epochs_without_improvement(phase) >= patience

    def _warn_where_nothing_was_learned(self, phase: str) -> None:
        losses = [epoch.loss for epoch in self._of(phase)]
        if len(losses) > 1 and min(losses) > losses[0] * (1 - STUCK):
            log.warning(
                "%s: the loss did not fall (%.3f in the first epoch, %.3f in the last): the learning rate "
                "%s.learning_rate is probably too low or too high, or the labels do not belong to the images",
                phase,
                losses[0],
                losses[-1],
                section(phase),
            )


def to_arrays(variables: Iterable[keras.Variable]) -> Arrays:
    """Copies of the variables' values."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def section(phase: str) -> str:
    """The section of the configuration with a phase's keys."""
    return phase if phase == "pretrain" else f"train.{phase}"


class _Watch(keras.callbacks.Callback):
    """After every step: writes checkpoints, checks the loss, stops on SIGTERM and logs the progress."""

    def __init__(self, training: Training, phase: Phase, position: Position, metrics: Arrays) -> None:
        super().__init__()
        self._training, self._phase, self._metrics = training, phase, metrics
        self._epoch, self.step, self._seconds = position.epoch, position.step, position.seconds
        self.asked: Callable[[], bool] = lambda: False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        # Keras has just set the metrics to zero.
        for variable, value in zip(self._metrics_variables(), self._metrics, strict=False):
            variable.assign(value)
        self._metrics = ()
        self._start = self._reported = time.monotonic()
        self._seen = self._seconds

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any]) -> None:
        if not np.isfinite(float(logs["loss"])):
            self._refuse_loss(float(logs["loss"]))
        self.step += 1
        now = time.monotonic()
        self._seconds = self._seen + now - self._start
        stop = self.asked()
        # The last step's checkpoint is the epoch's, written when the epoch has been judged.
        if (stop or self._training.due) and self.step < self._phase.batches.steps:
            self.save()
            self._start, self._seen = time.monotonic(), self._seconds
            if stop:
                _stop(self._phase.name)
        if now - self._reported >= PROGRESS_SECONDS and self.step < self._phase.batches.steps:
            self._reported = now
            log.info(
                "%s: epoch %d of %d, step %d of %d, loss %.3f, %.0f s left in this epoch",
                self._phase.name,
                self._epoch + 1,
                self._phase.settings.epochs,
                self.step,
                self._phase.batches.steps,
                logs["loss"],
                self._seconds / self.step * (self._phase.batches.steps - self.step),
            )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any]) -> None:
        seconds = max(self._seconds, 1e-6)
        phase = self._phase
        self._training.finish_epoch(
            phase,
            Epoch(
                phase=phase.name,
                epoch=epoch + 1,
                loss=float(logs["loss"]),
                accuracy=float(logs["accuracy"]),
                seconds=seconds,
                images_per_second=phase.batches.images / seconds,
                learning_rate=float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            ),
        )
        self._epoch, self.step, self._seconds = epoch + 1, 0, 0.0
        stop = self.asked()
        if stop or self._training.due:
            self.save()  # before it is reported: what was reported is not computed again
        done = self._training.history[-1]
        validated = f", {done.validation.accuracy:.3f} on the validation images" if done.validation else ""
        log.info(
            "%s: epoch %d of %d, loss %.3f, accuracy %.3f on the training images%s, %.0f images/s, %.0f s left",
            phase.name,
            epoch + 1,
            phase.settings.epochs,
            done.loss,
            done.accuracy,
            validated,
            done.images_per_second,
            seconds * (phase.settings.epochs - epoch - 1),
        )
        if stop:
            _stop(phase.name)

    def save(self, *, ended: bool = False) -> None:
        """Writes a checkpoint."""
        model = self._phase.model
        variables = [*model.variables, *model.optimizer.variables, *(self._metrics_variables() if self.step else ())]
        position = Position(self._phase.name, self._epoch, self.step, self._seconds, ended)
        self._training.save(position, to_arrays(variables))

    def _metrics_variables(self) -> list[keras.Variable]:
        # Keras lists the compiled metrics only once a step has run.
        return [*self._phase.model.metrics[0].variables, *self._phase.accuracy.variables]

    def _refuse_loss(self, loss: float) -> None:
        optimizer = self.model.optimizer
        rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        files = self._phase.batches.files(self._epoch, self.step)
        raise Diverged(
            "the loss is not a finite number",
            where=f"phase {self._phase.name}, epoch {self._epoch + 1}, step {self.step + 1}",
            expected="a number that falls while the network learns",
            given=f"{loss}, with a learning rate of {rate:.2g}; the images of this step: {', '.join(files[:8])}"
            + (f" and {len(files) - 8} more" if len(files) > 8 else ""),
            remedy=f"Lower {section(self._phase.name)}.learning_rate"
            + ("" if self._phase.name == "pretrain" else ", or set train.clip_norm: 1.0")
            + (", or train.precision: float32" if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else ""),
        )


@contextmanager
def _until_asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM was received. In threads other than the main one it is not handled."""
    asked = False

    def take(_signum: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    try:
        before = signal.signal(signal.SIGTERM, take)
    except ValueError:  # not in the main thread
        yield lambda: False
        return
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(phase: str) -> None:
    log.info("%s: stopped by SIGTERM after a checkpoint; the next run continues from there", phase)
    raise SystemExit(128 + signal.SIGTERM)

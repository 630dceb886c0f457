"""A network that is trained on several devices at once, each with a replica of it.

Every worker makes the same batch (order and augmentation depend on seed, epoch and step alone), and each device takes
its part of it. The loss is the mean over the whole batch, gradients are added before they are clipped, and the
statistics of a trained BatchNormalization are those of the whole batch. So the figures are those of one device, up to
the rounding of sums in another order.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from restem.trainer.augmented import Augmentation
from restem.trainer.distribution import Distribution
from restem.trainer.network import layers_of


class Replicated(keras.Model):
    """Stands for a network in a phase of training; see the top of the file.

    It has its own step and its own `fit`: Keras 3.15's fails with several workers (in `_maybe_symbolic_build`, and it
    gives each device a mean over its own part of the batch).

    Its metrics are ordinary variables, the same on every worker: the chief can write them without the others.
    """

    def __init__(self, network: keras.Model, augment: Augmentation | None, distribution: Distribution):
        """Args:
        network: maps pixels to logits. Its layers decide what is trained; its weights are copied.
        augment: changes the whole batch, on every worker.
        distribution: with a strategy.
        """
        super().__init__()
        self._distribution = distribution
        self._original = _Untracked(network)
        self.augment = augment
        self.random_layers = augment.layers if augment else []  # their state is among the variables
        with distribution.scope():
            self.replicas = keras.models.clone_model(network)
        for ours, theirs in zip(layers_of(self.replicas), layers_of(network), strict=True):
            ours.trainable = theirs.trainable
            if isinstance(ours, keras.layers.BatchNormalization) and ours.trainable:
                ours.synchronized = True
        for ours, theirs in zip(self.replicas.variables, network.variables, strict=True):
            ours.assign(theirs.value)
        self.built = True
        self._step: Any = None

    def call(self, pixels: Any, training: bool = False) -> Any:
        """Float32 [N, height, width, channels] to logits [N, classes], on one device."""
        return self.replicas(pixels, training=training)

    def prepare(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Makes the variables of an optimizer, which was made in the distribution's scope."""
        with self._distribution.scope():
            optimizer.build(self.trainable_variables)
        # Keras adds the devices' gradients after it has clipped each of them. Here they are added before that.
        for each in (optimizer, getattr(optimizer, "inner_optimizer", None)):  # float16's loss scaling wraps another
            if each is not None:
                each._all_reduce_sum_gradients = list

    def write_back(self) -> None:
        """Gives the original network the present weights."""
        for theirs, ours in zip(self._original.model.variables, self.replicas.variables, strict=True):
            theirs.assign(ours.value)

    def fit(  # only what a phase's epoch needs
        self, batches: tf.data.Dataset, *, initial_epoch: int, epochs: int, verbose: int, callbacks: Sequence[Any]
    ) -> None:
        """Trains one epoch, with Keras's callbacks in Keras's order."""
        assert epochs == initial_epoch + 1, "one epoch at a time"
        listeners = keras.callbacks.CallbackList(list(callbacks), model=self)
        if self._step is None:
            self._step = tf.function(self._one_step, input_signature=batches.element_spec)
        self.stop_training = False
        listeners.on_train_begin()
        self.reset_metrics()
        listeners.on_epoch_begin(initial_epoch)
        logs: Mapping[str, Any] = {}
        for step, batch in enumerate(batches):
            listeners.on_train_batch_begin(step)
            logs = self._step(*batch)
            listeners.on_train_batch_end(step, logs)
        listeners.on_epoch_end(initial_epoch, {name: float(value) for name, value in logs.items()})
        self.optimizer.finalize_variable_values(self.trainable_weights)
        listeners.on_train_end()

    def _one_step(self, pixels: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """One step on a whole batch: pixels [N, height, width, channels], labels int64 [N], weights float32 [N]."""
        strategy = self._distribution.strategy
        assert strategy is not None
        target = labels
        if self.augment is not None:
            pixels, target, labels, weights = self.augment(pixels, labels, weights)
        arguments = (pixels, target) if weights is None else (pixels, target, weights)
        losses, parts = strategy.run(self._replica_step, args=arguments)
        loss = strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)
        # Each device's rows, and zeros in the others: their sum is exact, and in the batch's order.
        logits = strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None)
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(labels)[0])
        return self.compute_metrics(pixels, labels, logits, sample_weight=weights)

    def _replica_step(self, pixels: tf.Tensor, labels: tf.Tensor, *weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One device's part of a step: its share of the loss, and its rows of the logits [N, classes].

        The labels are int64 [N], or the classes' shares float32 [N, classes].
        """
        context = tf.distribute.get_replica_context()
        count, replicas = tf.shape(labels)[0], context.num_replicas_in_sync
        place = tf.cast(context.replica_id_in_sync_group, tf.int32)
        # Parts differ by at most one image. Of a last batch with fewer images than devices, each device takes all:
        # TensorFlow cannot add the sums of an empty part. Mean and statistics of equal copies are those of one.
        copies = count < replicas
        begin = tf.where(copies, 0, count * place // replicas)
        end = tf.where(copies, count, count * (place + 1) // replicas)
        pixels, labels = tf.cast(pixels[begin:end], tf.float32), labels[begin:end]
        parts = [weight[begin:end] for weight in weights]
        with tf.GradientTape() as tape:
            logits = self.replicas(pixels, training=True)
            loss = self.compute_loss(pixels, labels, logits, *parts)
            # Keras gives the mean over the part, divided by the number of devices. The share of the mean over the
            # whole batch is a larger one for a larger part.
            share = tf.cast((end - begin) * replicas, loss.dtype) / tf.cast(count, loss.dtype)
            loss *= tf.where(copies, 1.0, share)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_variables)
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        self.optimizer.apply_gradients(zip(total, self.trainable_variables, strict=True))
        rows = tf.pad(logits, [[begin, count - end], [0, 0]])
        return loss, tf.where(tf.logical_and(copies, place > 0), tf.zeros_like(rows), rows)


class _Untracked:
    """Keeps Keras from taking the original network for a part of this one."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model

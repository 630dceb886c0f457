"""Trains a stock RGB ResNet as the source checkpoint when ImageNet's weights are not available."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from restem.images.config import ImageConfig
from restem.run_record import Epoch
from restem.stem import load_backbone
from restem.trainer.agreement import agree_on_weights, shared
from restem.trainer.batches import Batches
from restem.trainer.checkpoint import Checkpoints
from restem.trainer.config import PhaseConfig, Precision, TrainConfig
from restem.trainer.distribution import ONE, Distribution
from restem.trainer.input import Split, read_split
from restem.trainer.memory import memory_errors_explained
from restem.trainer.model_config import Backbone
from restem.trainer.optimizer import make_optimizer
from restem.trainer.phases import compile_classifier, short_momentum
from restem.trainer.precision import body, computing_in, scaled
from restem.trainer.replicas import Replicated
from restem.trainer.scratch import Scratch
from restem.trainer.training import Phase, Training

CHECKPOINT = "backbone.weights.h5"
FIRST_CONVOLUTION = "conv1_conv"  # its name in all of keras.applications' ResNets

# Ranges of the uniform random colours that `paint` gives to paper and ink.
PAPER_RANGE = (180.0, 250.0)
INK_RANGE = (0.0, 130.0)
SHIFT_PIXELS = 2


@dataclass(frozen=True)
class SourceTask:
    """What to pretrain and how long; the fields are those of the sections `model`, `train` and `pretrain`.

    image: an ImageConfig with this size and three channels, as a dict; None means the default one.
    """

    backbone: Backbone
    size: int
    epochs: int
    learning_rate: float
    batch_size: int
    colourise: bool
    seed: int
    deterministic: bool
    precision: Precision = "float32"
    image: dict[str, Any] | None = None


def checkpoint_path(folder: str) -> str:
    """The path of the Pretrain step's checkpoint in its output folder."""
    return str(Path(folder) / CHECKPOINT)


def pretrain(
    files: Sequence[str],
    classes: int,
    task: SourceTask,
    out: Path,
    checkpoints: Checkpoints,
    *,
    weighted: bool = False,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    distribution: Distribution = ONE,
) -> tuple[Epoch, ...]:
    """Trains the stock network on raw examples and writes its backbone's weights.

    Args:
      files: gzip TFRecord files of raw examples, only of the training split.
      classes: number of classes.
      task: what to train.
      out: the checkpoint to write: a `.weights.h5` file of `keras.applications.<backbone>(include_top=False)`.
      checkpoints: of this training.
      weighted: whether the examples have weights.
      on_epoch: see `Training`.
      distribution: the devices that train; with several workers each of them writes the weights to its own `out`.

    Returns:
      The epochs.
    """
    image = ImageConfig.model_validate(task.image or {"size": task.size, "channels": 3, "store": "none"})
    with Scratch(out.parent, required=distribution.workers > 1) as scratch:
        split = read_split(files, image, weighted=weighted, scratch=scratch, name="training images")
        return _pretrain(split, classes, task, out, checkpoints.in_order(split.ordered), on_epoch, distribution)


def _pretrain(
    split: Split,
    classes: int,
    task: SourceTask,
    out: Path,
    checkpoints: Checkpoints,
    on_epoch: Callable[[Epoch], None],
    distribution: Distribution,
) -> tuple[Epoch, ...]:
    config = TrainConfig(seed=task.seed, deterministic=task.deterministic, batch_size=task.batch_size)
    phase = PhaseConfig(epochs=task.epochs, learning_rate=task.learning_rate)
    batches = Batches(split, config, partial(_as_the_source_sees_them, task))
    steps = phase.epochs * batches.steps

    backbone = load_backbone(task.backbone, "none")
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = short_momentum(steps)
    inputs = keras.Input((task.size, task.size, 3))
    network = keras.Model(inputs, keras.layers.Dense(classes, dtype="float32")(backbone(inputs)))
    with distribution.together():
        agree_on_weights(distribution, network)
        replicated = Replicated(network, None, distribution) if distribution.strategy else None
        model = replicated or network
        with distribution.scope():
            optimizer = scaled(make_optimizer(config, phase, steps), task.precision)
        if replicated:
            replicated.prepare(optimizer)
        accuracy = compile_classifier(model, optimizer)
        training = Training(config, ["pretrain"], shared(checkpoints, distribution), on_epoch=on_epoch)
        computing = body(replicated.replicas if replicated else network, (FIRST_CONVOLUTION,))
        explained = memory_errors_explained("pretrain", task.batch_size, network.input_shape[1:])
        with explained, computing_in(task.precision, computing):
            training.run(Phase(name="pretrain", model=model, accuracy=accuracy, settings=phase, batches=batches))
    if replicated:
        replicated.write_back()
    backbone.save_weights(out)
    return training.history


def _as_the_source_sees_them(task: SourceTask, batches: tf.data.Dataset, epoch: int, skipped: int) -> tf.data.Dataset:
    """Batches with Keras's preprocessing, and painted where the task asks for it."""
    applications = keras.applications.resnet_v2 if task.backbone.endswith("V2") else keras.applications.resnet

    def prepare(step: tf.Tensor, example: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        pixels, *rest = example
        if task.colourise:
            # The step's own seed: the colours are the same after an interruption.
            pixels = paint(pixels, tf.stack([task.seed, epoch * 1_000_000 + tf.cast(step, tf.int32)]))
        return applications.preprocess_input(tf.cast(pixels, tf.float32)), *rest

    numbered = batches.enumerate(skipped)
    return numbered.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def paint(pixels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Paints grey images in random colours: darker ink on light paper, shifted by up to two pixels.

    Args:
      pixels: uint8 [N, height, width, 3], three equal channels: the amount of ink, 0..255.
      seed: int32 [2]; the same seed gives the same colours.

    Returns:
      float32 [N, height, width, 3], 0..255.
    """
    grey = tf.reduce_mean(tf.cast(pixels, tf.float32), axis=-1, keepdims=True) / 255.0
    count = tf.shape(pixels)[0]
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
    shifts = tf.random.stateless_uniform((count, 2), seeds[0], -SHIFT_PIXELS, SHIFT_PIXELS + 1, tf.int32)
    grey = tf.map_fn(lambda item: tf.roll(item[0], item[1], (0, 1)), (grey, shifts), fn_output_signature=tf.float32)
    paper = tf.random.stateless_uniform((count, 1, 1, 3), seeds[1], *PAPER_RANGE)
    ink = tf.random.stateless_uniform((count, 1, 1, 3), seeds[2], *INK_RANGE)
    return paper + grey * (ink - paper)

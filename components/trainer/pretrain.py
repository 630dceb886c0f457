"""Trains a stock RGB ResNet as the source checkpoint when ImageNet's weights are not available."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from restem.images.config import ImageConfig
from restem.run_record import Epoch
from restem.stem import load_backbone
from restem.trainer.config import Backbone
from restem.trainer.input import read_split
from restem.trainer.phases import compile_classifier
from restem.trainer.progress import EpochHistory

CHECKPOINT = "backbone.weights.h5"

# Keras's default of 0.99 averages over hundreds of steps, most of a short training. The statistics then lag behind the
# weights, and inference differs from training (test accuracies of 0.79 to 0.92 for the same training accuracy).
BATCH_NORM_MOMENTUM = 0.9

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
    image: dict[str, Any] | None = None


def checkpoint_path(folder: str) -> str:
    """The path of the Pretrain step's checkpoint in its output folder."""
    return str(Path(folder) / CHECKPOINT)


def pretrain(files: Sequence[str], classes: int, task: SourceTask, out: Path, *, weighted: bool = False) -> list[Epoch]:
    """Trains the stock network on raw examples and writes its backbone's weights.

    Args:
      files: gzip TFRecord files of raw examples, only of the training split.
      classes: number of classes.
      task: what to train.
      out: the checkpoint to write: a `.weights.h5` file of `keras.applications.<backbone>(include_top=False)`.
      weighted: whether the examples have weights.

    Returns:
      The epochs.
    """
    image = ImageConfig.model_validate(task.image or {"size": task.size, "channels": 3, "store": "none"})
    split = read_split(files, image, weighted=weighted)
    pairs = split.batches(task.batch_size, shuffle_seed=task.seed)
    if task.colourise:
        pairs = pairs.map(lambda pixels, *rest: (paint(pixels), *rest), num_parallel_calls=tf.data.AUTOTUNE)

    applications = keras.applications.resnet_v2 if task.backbone.endswith("V2") else keras.applications.resnet
    pairs = pairs.map(
        lambda pixels, *rest: (applications.preprocess_input(tf.cast(pixels, tf.float32)), *rest),
        num_parallel_calls=tf.data.AUTOTUNE,
    )

    backbone = load_backbone(task.backbone, "none")
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = BATCH_NORM_MOMENTUM
    inputs = keras.Input((task.size, task.size, 3))
    model = keras.Model(inputs, keras.layers.Dense(classes, dtype="float32")(backbone(inputs)))
    compile_classifier(model, task.learning_rate, task.epochs * -(-split.count // task.batch_size))
    history = EpochHistory("pretrain", task.epochs, split.count)
    model.fit(pairs.prefetch(tf.data.AUTOTUNE), epochs=task.epochs, verbose=0, callbacks=[history])
    backbone.save_weights(out)
    return history.epochs


def paint(pixels: tf.Tensor) -> tf.Tensor:
    """Paints grey images in random colours: darker ink on light paper, shifted by up to two pixels.

    Args:
      pixels: uint8 [N, height, width, 3], three equal channels: the amount of ink, 0..255.

    Returns:
      float32 [N, height, width, 3], 0..255.
    """
    grey = tf.reduce_mean(tf.cast(pixels, tf.float32), axis=-1, keepdims=True) / 255.0
    count = tf.shape(pixels)[0]
    shifts = tf.random.uniform((count, 2), -SHIFT_PIXELS, SHIFT_PIXELS + 1, tf.int32)
    grey = tf.map_fn(lambda item: tf.roll(item[0], item[1], (0, 1)), (grey, shifts), fn_output_signature=tf.float32)
    paper = tf.random.uniform((count, 1, 1, 3), *PAPER_RANGE)
    ink = tf.random.uniform((count, 1, 1, 3), *INK_RANGE)
    return paper + grey * (ink - paper)

"""Whether the network that infers is the one that was trained, after short and long trainings.

A small ResNet learns the embedded digits from random weights for 50, 500 and 5,000 steps. Its loss on the training
images is measured twice: with the moving statistics, as it infers, and with the statistics of all images at once, which
is what the moving ones estimate ("precise BN", https://arxiv.org/abs/2105.07576). The same with Keras's own momentum.
"""

from types import SimpleNamespace
from typing import Any
from unittest import mock

import keras
import numpy as np
from keras.src.applications.resnet import stack_residual_blocks_v1

from restem.trainer import phases
from restem.trainer.checkpoint import Checkpoints
from restem.trainer.config import AllPhase, TrainConfig
from restem.trainer.input import Split, arrays_as_split
from restem.trainer.network import Network
from restem.trainer.phases import predict, set_seed, train_network
from restem.trainer.scores import score
from restem.trainer.training import Training

STEPS = (50, 500, 5_000)
BATCH = 32
IMAGES = 50 * BATCH  # an epoch has 50 steps
KERAS_MOMENTUM = 0.99


def digits() -> Split:
    """Digits of 16x16 pixels, uint8, in three channels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = np.kron(np.round(found.images[:IMAGES] * (255 / 16)), np.ones((2, 2))).astype(np.uint8)
    pixels = np.repeat(pixels[..., None], 3, axis=-1)
    return arrays_as_split(pixels, found.target[:IMAGES], np.array([str(i) for i in range(len(pixels))]))


def small_resnet() -> Network:
    """A ResNet of Keras's own blocks: 8 to 32 filters in three stages."""
    pixels = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(pixels)
    x = keras.layers.Conv2D(8, 3, padding="same", name="conv1_conv")(x)
    x = keras.layers.BatchNormalization(epsilon=1.001e-5, name="conv1_bn")(x)
    x = keras.layers.ReLU()(x)
    for stage, filters in enumerate((8, 16, 32)):
        x = stack_residual_blocks_v1(x, filters, 2, stride1=1 + (stage > 0), name=f"stage{stage}")
    features = keras.layers.GlobalAveragePooling2D()(x)
    head = keras.layers.Dense(10, name="head")
    report: Any = SimpleNamespace()
    stem = ("conv1_conv", "conv1_bn")
    return Network(keras.Model(pixels, head(features)), keras.Model(pixels, features), head, stem, report)


def with_statistics_of(images: np.ndarray, net: Network) -> None:
    """Sets the moving statistics to those of the images, layer by layer from the input."""
    norms = [layer for layer in net.model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        inputs = keras.Model(net.model.input, norm.input).predict(images, batch_size=256, verbose=0)
        norm.moving_mean.assign(inputs.mean(axis=(0, 1, 2)))
        norm.moving_variance.assign(inputs.var(axis=(0, 1, 2)))


def losses(steps: int, momentum: float | None) -> tuple[float, float, float]:
    """The loss as it infers, the loss with the statistics of all images, and the momentum that was used."""
    set_seed(0, deterministic=False)
    keras.backend.clear_session()
    train, net = digits(), small_resnet()
    epochs = steps * BATCH // IMAGES
    settings = TrainConfig(batch_size=BATCH, all=AllPhase(epochs=epochs, learning_rate=0.003))
    training = Training(settings, ["all"], Checkpoints(None, "", 0))
    chosen = momentum if momentum is not None else phases.short_momentum(steps)
    with mock.patch.object(phases, "short_momentum", return_value=chosen):
        train_network(training, net, train, None, "all", settings.all, settings, white=255, freeze_batch_norm=False)
    infers = score(train.labels, predict(net.model, train, 256)).loss
    with_statistics_of(np.stack(list(train.images.as_numpy_iterator())).astype(np.float32), net)
    return infers, score(train.labels, predict(net.model, train, 256)).loss, chosen


def batch_norm() -> list[dict[str, Any]]:
    """The figures for each length."""
    entries = []
    for steps in STEPS:
        infers, precise, momentum = losses(steps, None)
        keras_infers, keras_precise, _ = losses(steps, KERAS_MOMENTUM)
        entries.append(
            {
                "name": f"BatchNormalization after {steps} steps: loss with moving less with exact statistics",
                "value": round(infers - precise, 4),
                "unit": "difference of log losses on the training images",
                "compared_with": "the statistics of all training images",
                "momentum": round(momentum, 4),
                "losses": [round(infers, 4), round(precise, 4)],
                "with_keras_momentum": {
                    "value": round(keras_infers - keras_precise, 4),
                    "losses": [round(keras_infers, 4), round(keras_precise, 4)],
                },
            }
        )
    return entries

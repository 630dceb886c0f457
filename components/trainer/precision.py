"""The precision of training: the body of a network may compute in 16 bits, everything else computes in 32."""

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import keras
import tensorflow as tf

from restem.errors import RestemError
from restem.trainer.config import Precision
from restem.trainer.network import in_order

FLOAT32: Final = "float32"
BFLOAT16: Final = "mixed_bfloat16"
FLOAT16: Final = "mixed_float16"
# The first NVIDIA GPUs with fast units for each, by compute capability: Ampere and Volta.
BFLOAT16_SINCE, FLOAT16_SINCE = (8, 0), (7, 0)

log = logging.getLogger("restem")


def choose_precision(asked: Precision, devices: int = 1) -> Precision:
    """The precision of a training on this machine; "auto" is decided by the slowest GPU, and logged.

    Args:
      asked: `train.precision`.
      devices: how many train together.

    Raises:
      RestemError: mixed_float16 on several devices: in a trial with two, the training with a scaled loss did not follow
        the one on a single device.
    """
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    chosen = asked
    if asked == "auto":
        # Other devices than NVIDIA's have no compute capability.
        slowest = min((each or (0, 0) for each in capabilities), default=(0, 0))
        half: Precision = BFLOAT16 if slowest >= BFLOAT16_SINCE else FLOAT16
        enough = slowest >= FLOAT16_SINCE and (half == BFLOAT16 or devices == 1)
        chosen = half if enough else FLOAT32
    if chosen == FLOAT16 and devices > 1:
        raise RestemError(
            "mixed_float16 is for one device",
            where="train.precision",
            expected="float32, mixed_bfloat16 or auto",
            given=f"mixed_float16 with {devices} devices that train together",
            remedy="Use mixed_bfloat16, or train on one device (CUDA_VISIBLE_DEVICES, train.workers: 1)",
        )
    if chosen == FLOAT16 and not capabilities:
        log.warning("train.precision: mixed_float16 is slow on processors; mixed_bfloat16 and float32 are faster there")
    if asked != FLOAT32:
        log.info("precision of the training: %s%s", chosen, " (auto)" if asked == "auto" else "")
    return chosen


def body(model: keras.Model, stem_layers: Collection[str]) -> list[keras.layers.Layer]:
    """The layers that may compute in 16 bits: those after the stem, without the pooling of the features and the head.

    The stem ends with its BatchNormalization. In front of it are raw pixels and their normalisation: 16 bits hold no
    value of 0..65535 minus a mean exactly. Further BatchNormalizations compute their statistics in float32, from inputs
    in 16 bits.

    Args:
      model: the whole network; its last layer is the head.
      stem_layers: names of the layers that the stem change made; among them is the first convolution.
    """
    layers = in_order(model)
    start = next(i for i, layer in enumerate(layers) if layer.name in stem_layers)
    found: list[keras.layers.Layer] = []
    behind = False
    for layer in layers[start:-1]:
        if layer.name in stem_layers or isinstance(layer, keras.layers.GlobalAveragePooling2D):
            continue
        behind = behind or isinstance(layer, keras.layers.Conv2D)
        if behind or not isinstance(layer, keras.layers.BatchNormalization):
            found.append(layer)
    return found


@contextmanager
def computing_in(precision: Precision, layers: Sequence[keras.layers.Layer]) -> Iterator[None]:
    """Within it, what is traced computes in this precision in these layers; their weights stay float32.

    A compiled function keeps the precision in which it was traced. TensorFlow traces again for other shapes: so every
    call of such a function is inside, not only the first one.
    """
    before = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = precision
    try:
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy


def scaled(optimizer: keras.optimizers.Optimizer, precision: Precision) -> keras.optimizers.Optimizer:
    """The optimizer for a training in this precision.

    With mixed_float16 the loss is multiplied by a number that adapts itself, and the gradients are divided by it: most
    of them would be zero in float16 (Micikevicius et al. 2017, arXiv 1710.03740). bfloat16 has float32's range.
    """
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == FLOAT16 else optimizer

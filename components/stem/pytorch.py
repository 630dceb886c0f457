"""The network of torchvision's and timm's ResNets in Keras, with the weights of a checkpoint.

It differs from that of keras.applications: the stride of a stage is in its 3x3 convolution (v1.5), which pads both
sides with a zero, BatchNormalization's epsilon is 1e-5, and convolutions have no bias. It has Keras's names and layers
otherwise, with biases of zero, so that every change of the stem is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from .checkpoint.pytorch import EPSILON, NORM, Described, parts_of


def build(described: Described, *, include_top: bool, pooling: str | None) -> keras.Model:
    """The network in Keras, [n, height, width, channels] -> [n, features], with random weights."""
    layers = keras.layers
    inputs = keras.Input((None, None, described.channels))
    x = layers.ZeroPadding2D(3, name="conv1_pad")(inputs)
    x = layers.Conv2D(64, 7, strides=2, name="conv1_conv")(x)
    x = layers.BatchNormalization(epsilon=EPSILON, name="conv1_bn")(x)
    x = layers.Activation("relu", name="conv1_relu")(x)
    # PyTorch pads with minus infinity; nothing here is below zero.
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    for stage, count in enumerate(described.blocks):
        for block in range(count):
            stride = 2 if stage and block == 0 else 1
            name = f"conv{stage + 2}_block{block + 1}"
            x = _bottleneck(x, name, described.width * 2**stage, 256 * 2**stage, stride, shortcut=block == 0)
    if include_top:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(described.classes, activation="softmax", name="predictions")(x)
    elif pooling:
        kinds = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
        x = kinds[pooling](name=f"{pooling}_pool")(x)
    return keras.Model(inputs, x, name=described.backbone.lower())


def _bottleneck(x: Any, name: str, width: int, filters: int, stride: int, *, shortcut: bool) -> Any:
    layers = keras.layers

    def norm(x: Any, place: int) -> Any:
        return layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_{place}_bn")(x)

    before = x
    if shortcut:
        before = norm(layers.Conv2D(filters, 1, strides=stride, name=f"{name}_0_conv")(x), 0)
    x = layers.Activation("relu", name=f"{name}_1_relu")(norm(layers.Conv2D(width, 1, name=f"{name}_1_conv")(x), 1))
    # Keras's own padding "same" would pad one side only where the stride is 2.
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = norm(layers.Conv2D(width, 3, strides=stride, name=f"{name}_2_conv")(x), 2)
    x = layers.Activation("relu", name=f"{name}_2_relu")(x)
    x = norm(layers.Conv2D(filters, 1, name=f"{name}_3_conv")(x), 3)
    return layers.Activation("relu", name=f"{name}_out")(layers.Add(name=f"{name}_add")([before, x]))


def set_weights(network: keras.Model, described: Described, state: Mapping[str, np.ndarray]) -> None:
    """Sets the weights of a network of `build`; convolution kernels [out, in, rows, columns] are transposed."""

    def of(module: str, part: str) -> np.ndarray | None:
        return state.get(f"{described.prefix}{module}.{part}")

    for name, module, _ in parts_of(described):
        layer = network.get_layer(name)
        if name.endswith("_bn"):
            layer.set_weights([of(module, part) for part in NORM.values()])
        else:
            kernel, bias = of(module, "weight"), of(module, "bias")
            assert kernel is not None  # _check_shapes
            layer.set_weights([kernel.transpose(2, 3, 1, 0), np.zeros(len(kernel)) if bias is None else bias])
    if network.layers[-1].name == "predictions":
        kernel, bias = of("fc", "weight"), of("fc", "bias")
        assert kernel is not None
        network.layers[-1].set_weights([kernel.T, np.zeros(len(kernel)) if bias is None else bias])

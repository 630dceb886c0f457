"""Rebuilds the network from its layers' configurations with another stem, and copies weights by name.

A residual network is not a chain: slicing `model.layers` and stacking the rest in a Sequential loses the
shortcuts. `keras.models.clone_model` follows the real graph instead; its two hooks change a layer's
configuration and how it is called.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from .anatomy import EXTRA_NORM, FIRST, JOIN, ONES, RESCALE, Anatomy
from .saved import StemModel

EPSILON = 1.001e-5  # the value of every BatchNormalization in keras.applications' ResNets


@dataclasses.dataclass(frozen=True)
class Blueprint:
    """The structure of the new stem.

    Attributes:
        channels: number of channels of the model's input.
        scale, offset: of the Rescaling layer; None leaves the layer out (preprocessing outside).
        ones: append a channel of ones before the zero padding.
        kernel, filters, stride, padding: of the convolution named conv1_conv.
        extra_norm: add a BatchNormalization after it.
        pool: keep the max pool.
        deep: filters of the 3x3 convolutions before conv1_conv; the first one has `stride`.
    """

    channels: int
    scale: np.ndarray | None
    offset: np.ndarray | None
    ones: bool
    kernel: int
    filters: int
    stride: int
    padding: tuple[int, int]
    extra_norm: bool
    pool: bool
    deep: tuple[int, ...] = ()


def deep_names(index: int) -> tuple[str, str, str, str]:
    """Names of the padding, convolution, BatchNorm and ReLU of a deep stem's convolution `index`, from 1."""
    start = f"stem_deep{index}"
    return f"{start}_pad", f"{start}_conv", f"{start}_bn", f"{start}_relu"


def rebuild(backbone: keras.Model, anatomy: Anatomy, plan: Blueprint) -> keras.Model:
    """The same network with the stem of `plan`. Its weights are newly initialised until `carry_over`."""
    old_input = backbone.get_layer(anatomy.input)
    new_input = keras.Input((None, None, plan.channels), dtype=old_input.dtype, name=old_input.name)
    dropped = () if plan.pool else _pool_layers(anatomy)

    def make(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if layer.name == anatomy.pad:
            config["padding"] = (plan.padding, plan.padding)
        elif layer.name == anatomy.conv:
            config["kernel_size"] = (plan.kernel, plan.kernel)
            config["filters"] = plan.filters
            config["strides"] = (1, 1) if plan.deep else (plan.stride, plan.stride)
        return type(layer).from_config(config)

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> keras.KerasTensor:
        if layer.name in dropped or layer.name in anatomy.before:
            # Skips a removed pool, and the old preprocessing of a network that this library made.
            return args[0][0] if layer.name == JOIN else args[0]
        if layer.name == anatomy.pad:
            args = (_before(args[0], plan, backbone.get_layer(anatomy.conv)), *args[1:])
        out = layer(*args, **kwargs)
        if layer.name == anatomy.conv and plan.extra_norm:
            out = keras.layers.BatchNormalization(
                axis=-1, epsilon=EPSILON, name=EXTRA_NORM, dtype=backbone.get_layer(anatomy.conv).dtype_policy
            )(out)
        return out

    clone = keras.models.clone_model(backbone, input_tensors=new_input, clone_function=make, call_function=call)
    return StemModel(inputs=clone.inputs[0], outputs=clone.outputs[0], name=backbone.name)


def carry_over(backbone: keras.Model, model: keras.Model, new: dict[str, list[np.ndarray]]) -> None:
    """Sets every weight of `model`: from `new` by layer name, all others from `backbone`, bit for bit."""
    for layer in model.layers:
        if layer.name in new:
            layer.set_weights([np.asarray(a, w.dtype) for a, w in zip(new[layer.name], layer.weights, strict=True)])
        elif layer.weights:
            layer.set_weights(backbone.get_layer(layer.name).get_weights())


def _before(x: keras.KerasTensor, plan: Blueprint, conv: keras.layers.Layer) -> keras.KerasTensor:
    """Adds the layers between the input and conv1_pad. Built-in layers only, so that plain Keras can load them."""
    # Half precision cannot represent 0..255 minus a mean exactly, so preprocessing runs in 32 bits or more.
    dtype = conv.compute_dtype if conv.compute_dtype in ("float32", "float64") else "float32"
    if plan.scale is not None:
        # Arrays of the layer's dtype, because Python floats would be rounded to 32 bits in a 64-bit layer.
        scale, offset = (np.asarray(v, dtype) for v in (plan.scale, plan.offset))
        x = keras.layers.Rescaling(scale, offset, name=RESCALE, dtype=dtype)(x)
    if plan.ones:
        one = x
        if plan.channels > 1:
            # Cropping2D with channels_first crops the last two axes, here width (by 0) and channels.
            crop = ((0, 0), (0, plan.channels - 1))
            one = keras.layers.Cropping2D(crop, data_format="channels_first", name=FIRST, dtype=dtype)(x)
        one = keras.layers.Rescaling(0.0, 1.0, name=ONES, dtype=dtype)(one)
        x = keras.layers.Concatenate(axis=-1, name=JOIN, dtype=dtype)([x, one])
    for index, filters in enumerate(plan.deep, start=1):
        pad, name, norm, relu = deep_names(index)
        stride = plan.stride if index == 1 else 1
        policy = conv.dtype_policy
        x = keras.layers.ZeroPadding2D(1, name=pad, dtype=policy)(x)
        x = keras.layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=name, dtype=policy)(x)
        x = keras.layers.BatchNormalization(axis=-1, epsilon=EPSILON, name=norm, dtype=policy)(x)
        x = keras.layers.Activation("relu", name=relu, dtype=policy)(x)
    return x


def _pool_layers(anatomy: Anatomy) -> tuple[str, ...]:
    """The max pool, the padding right before it, and one after it that only takes every second pixel."""
    pools = [name for name, kind, _ in anatomy.chain if kind == "MaxPooling2D"]
    return tuple(dict.fromkeys(name for name in (anatomy.pool_pad, anatomy.pool, *pools) if name))

"""ResNets in PyTorch's form, in Keras: built from the layers that checkpoint/form.py lists."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from .checkpoint.form import Form, layout_of_form
from .checkpoint.head import TOP


def build(
    form: Form, *, include_top: bool = False, pooling: str | None = "avg", classes: int | None = None
) -> keras.Model:
    """The network in Keras, [n, height, width, channels] -> [n, features], with random weights.

    Args:
        form: the network.
        include_top: average pooling and a classifier with `classes` classes and softmax.
        pooling: `avg`, `max` or None; applies only without the classifier.
    """
    layers = keras.layers
    layout = layout_of_form(form)
    inputs = keras.Input((None, None, form.channels))
    made = {"input": inputs}
    for part in layout.parts:
        layer = getattr(layers, part.kind)(name=part.name, **part.settings)
        read = [made[name] for name in part.inputs]
        made[part.name] = layer(read if len(read) > 1 else read[0])
    x = made[layout.end]
    if include_top:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(classes, activation="softmax", name=TOP)(x)
    elif pooling:
        kinds = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
        x = kinds[pooling](name=f"{pooling}_pool")(x)
    return keras.Model(inputs, x, name=form.backbone.lower())


def set_weights(network: keras.Model, values: Mapping[str, np.ndarray]) -> None:
    """Sets the weights of a network of `build`.

    Args:
        values: by `layer/weight`, with Keras's names and shapes; more than the network has is allowed.
    """
    for layer in network.layers:
        if layer.weights:
            layer.set_weights([values[f"{layer.name}/{weight.name}"] for weight in layer.weights])

"""Loads a stock ResNet from keras.applications with downloaded weights, weights from a file, or random weights."""

from __future__ import annotations

from pathlib import Path

import keras

from .contents import holds_model, read_contents
from .errors import StemError
from .given import find_resnet, read_front, refuse_not_finite, with_settings_of
from .saved import StemModel
from .spec import BACKBONES


def load_backbone(
    name: str,
    weights: str | Path = "imagenet",
    *,
    include_top: bool = False,
    pooling: str | None = "avg",
    channels: int = 3,
) -> keras.Model:
    """A stock network for any image size, as keras.applications builds it (without preprocessing).

    Args:
        name: one of BACKBONES.
        weights: `imagenet` (Keras downloads it once), `none` (random), or a file: `.weights.h5`, `.h5`
            (also Keras's own ImageNet files), `.keras`, with or without the classifier. A .keras file of a
            network that this library made is returned unchanged; it can be modified again.
        include_top: keep the classifier (a file must contain one; its classes are read from the file).
        pooling: `avg`, `max` or None; applies only without the classifier.
        channels: of a network with random weights.

    Returns:
        keras.Model [n, height, width, channels] -> [n, features] ([n, rows, columns, features] without
        pooling). The file's first convolution sets the number of channels; without a file it is 3.

    Raises:
        StemError: if a name is unknown, ImageNet's weights are not available, or a file does not fit.
    """
    if name not in BACKBONES:
        raise StemError(f"Unknown backbone {name!r}: choose one of {', '.join(BACKBONES)}.")
    if pooling not in ("avg", "max", None):
        raise StemError(f"pooling must be 'avg', 'max' or None, not {pooling!r}.")
    if weights == "none":
        return _build(name, include_top, pooling, channels)
    if weights == "imagenet":
        return _imagenet(name, include_top, pooling)
    path = Path(weights)
    if not path.is_file():
        raise StemError(
            f"Weights file {str(path)!r} not found. Give 'imagenet', 'none', or the path of a .weights.h5, .h5 or "
            f".keras file of {name}."
        )
    try:
        network = _from_file(name, path, include_top, pooling)
        refuse_not_finite(network, str(path))
        return network
    except StemError:
        raise
    except Exception as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise StemError(
            f"{str(path)!r} does not fit {name}: {first_line}. Expected weights of this network, saved by Keras as "
            f".weights.h5, .h5 or .keras. The file may belong to another backbone: {', '.join(BACKBONES)}."
        ) from error


def _build(name: str, include_top: bool, pooling: str | None, channels: int = 3, classes: int = 1000) -> keras.Model:
    make = getattr(keras.applications, name)
    if not include_top:
        return make(include_top=False, weights=None, input_shape=(None, None, channels), pooling=pooling)
    # keras.applications fixes the image size of networks with a classifier, so it is added here, with Keras's names.
    body = _build(name, False, "avg", channels)
    top = keras.layers.Dense(classes, activation="softmax", name="predictions")
    return keras.Model(body.inputs, top(body.outputs[0]), name=body.name)


def _imagenet(name: str, include_top: bool, pooling: str | None) -> keras.Model:
    network = _build(name, include_top, pooling)
    try:
        # With the default input shape, only the download and the reading of the file can fail.
        given = getattr(keras.applications, name)(include_top=include_top, weights="imagenet", pooling=pooling)
    except Exception as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise StemError(
            f"The ImageNet weights of {name} cannot be downloaded ({first_line}). Do one of the following: put Keras's "
            f"file ({name.lower()}_weights_tf_dim_ordering_tf_kernels{'' if include_top else '_notop'}.h5) into "
            "~/.keras/models on this machine; give a checkpoint of this network as a file (.weights.h5, .h5, "
            ".keras); create one with `restem pretrain`; or start from random weights with weights 'none'."
        ) from error
    network.set_weights(given.get_weights())
    return network


def _from_file(name: str, path: Path, include_top: bool, pooling: str | None) -> keras.Model:
    if path.suffix == ".keras" or (path.suffix == ".h5" and holds_model(path)):
        given = keras.saving.load_model(path, compile=False)
        own = _own(given)
        if own is None:
            return _transplant(name, given, path, include_top, pooling)
        if own.name != name.lower() and own.name in [known.lower() for known in BACKBONES]:
            raise StemError(f"{str(path)!r} does not contain {name}: it contains a modified {own.name}.")
        return own
    if path.suffix not in (".h5", ".hdf5"):
        raise StemError(f"{str(path)!r} is not a weights file. Supported: .weights.h5, .h5 and .keras.")
    contents = read_contents(path)
    if include_top and contents.classes is None:
        raise StemError(f"{str(path)!r} contains no classifier, but include_top=True requires one.")
    whole = _build(name, contents.classes is not None, pooling, contents.channels, contents.classes or 1000)
    convolutions = sum(isinstance(layer, keras.layers.Conv2D) for layer in whole.layers)
    if convolutions != contents.convolutions:
        raise StemError(
            f"{str(path)!r} does not contain {name}: it has {contents.convolutions} convolutions, expected "
            f"{convolutions}."
        )
    whole.load_weights(path)
    return whole if include_top or contents.classes is None else _cut(name, whole, pooling, contents.channels)


def _transplant(name: str, given: keras.Model, path: Path, include_top: bool, pooling: str | None) -> keras.Model:
    """Copies weights by layer name into a stock network that gets the given network's settings.

    Its attribute `front` is the `Front` of the layers before the ResNet, which become the source's preprocessing.
    """
    found = find_resnet(given)
    if found is None:
        raise StemError(f"{str(path)!r} contains no keras.applications ResNet (no layer 'conv1_conv').")
    resnet, before = found
    layers = {layer.name: layer for layer in (*_flat(given), *resnet.layers)}
    channels = layers["conv1_conv"].kernel.shape[2]
    front = read_front(before, channels, str(path), resnet.name)
    top = layers.get("predictions")
    if include_top and top is None:
        raise StemError(f"{str(path)!r} contains no classifier, but include_top=True requires one.")
    network = _build(name, include_top, pooling, channels, top.units if include_top and top is not None else 1000)
    own = [layer for layer in network.layers if layer.weights]
    missing = [layer.name for layer in own if layer.name not in layers]
    extra = sum(1 for layer in resnet.layers if layer.weights and layer.name.startswith("conv")) - sum(
        1 for layer in own if layer.name.startswith("conv")
    )
    if missing or extra:
        raise StemError(
            f"{str(path)!r} does not contain {name}: "
            + (
                f"{len(missing)} layer(s) are missing, the first is {missing[0]!r}."
                if missing
                else f"it has {extra} layer(s) too many."
            )
        )
    network = with_settings_of(network, resnet, str(path))
    for layer in [layer for layer in network.layers if layer.weights]:
        values = layers[layer.name].get_weights()
        if [v.shape for v in values] != [tuple(w.shape) for w in layer.weights]:
            raise StemError(
                f"{str(path)!r}: the weights of {layer.name!r} have shapes {[v.shape for v in values]}, but a stock "
                f"{name} has {[tuple(w.shape) for w in layer.weights]}. Give a checkpoint of the unmodified network."
            )
        layer.set_weights(values)
    network.front = front
    return network


def _own(model: keras.Model) -> keras.Model | None:
    """The network that this library made: `model` itself or one of its layers, or None."""
    if isinstance(model, StemModel) and model.about:
        return model
    found = (_own(layer) for layer in getattr(model, "layers", []) if isinstance(layer, keras.Model))
    return next((network for network in found if network is not None), None)


def _flat(model: keras.Model) -> list[keras.layers.Layer]:
    return [part for layer in model.layers for part in (_flat(layer) if isinstance(layer, keras.Model) else (layer,))]


def _cut(name: str, whole: keras.Model, pooling: str | None, channels: int) -> keras.Model:
    network = _build(name, False, pooling, channels)
    for layer in network.layers:
        if layer.weights:
            layer.set_weights(whole.get_layer(layer.name).get_weights())
    return network

"""Loads a stock ResNet from keras.applications with weights from the network, from a file, or fresh."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import keras

from .errors import StemError
from .saved import StemModel
from .spec import BACKBONES


def load_backbone(
    name: str, weights: str | Path = "imagenet", *, include_top: bool = False, pooling: str | None = "avg"
) -> keras.Model:
    """A stock network for any image size, as keras.applications builds it (its preprocessing is not inside).

    Args:
        name: one of BACKBONES.
        weights: `imagenet` (downloaded by Keras, once), `none` (fresh), or a file: `.weights.h5`, `.h5`
            (Keras's own ImageNet files too), `.keras`, with or without the classifier. A .keras file of a
            network that this library made is given back as it is: it can be modified once more.
        include_top: keep the classifier (files must have one; its classes are read from the file).
        pooling: `avg`, `max` or None, without the classifier.

    Returns:
        keras.Model [n, height, width, channels] -> [n, features] ([n, rows, columns, features] without
        pooling). Channels: as the file's first convolution has them, 3 otherwise.

    Raises:
        StemError: with the ways out, where ImageNet's weights cannot be had or a file does not fit.
    """
    if name not in BACKBONES:
        raise StemError(f"{name!r} is not a backbone: choose one of {', '.join(BACKBONES)}.")
    if pooling not in ("avg", "max", None):
        raise StemError(f"pooling must be 'avg', 'max' or None, not {pooling!r}.")
    if weights == "none":
        return _build(name, include_top, pooling)
    if weights == "imagenet":
        return _imagenet(name, include_top, pooling)
    path = Path(weights)
    if not path.is_file():
        raise StemError(
            f"There is no weights file {str(path)!r}. Give 'imagenet', 'none', or the path of a .weights.h5, .h5 or "
            f".keras file of {name}."
        )
    try:
        return _from_file(name, path, include_top, pooling)
    except StemError:
        raise
    except Exception as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise StemError(
            f"{str(path)!r} does not fit {name}: {first_line}. Expected weights of that very network, saved by Keras "
            f"as .weights.h5, .h5 or .keras; another of {', '.join(BACKBONES)} may be the one it was saved from."
        ) from error


def _build(name: str, include_top: bool, pooling: str | None, channels: int = 3, classes: int = 1000) -> keras.Model:
    make = getattr(keras.applications, name)
    if not include_top:
        return make(include_top=False, weights=None, input_shape=(None, None, channels), pooling=pooling)
    # keras.applications fixes the size of networks with a classifier; it is put on here, with Keras's names.
    body = _build(name, False, "avg", channels)
    top = keras.layers.Dense(classes, activation="softmax", name="predictions")
    return keras.Model(body.inputs, top(body.outputs[0]), name=body.name)


def _imagenet(name: str, include_top: bool, pooling: str | None) -> keras.Model:
    network = _build(name, include_top, pooling)
    try:
        # With a fixed input shape, so that nothing but the download and the reading can fail.
        given = getattr(keras.applications, name)(include_top=include_top, weights="imagenet", pooling=pooling)
    except Exception as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise StemError(
            f"The ImageNet weights of {name} cannot be downloaded here ({first_line}). Ways out: put Keras's own file "
            f"({name.lower()}_weights_tf_dim_ordering_tf_kernels{'' if include_top else '_notop'}.h5) into "
            "~/.keras/models on this machine; give any checkpoint of this network as a file (.weights.h5, .h5, "
            ".keras); make one with `restem pretrain`; or start from fresh weights with weights 'none'."
        ) from error
    network.set_weights(given.get_weights())
    return network


@dataclasses.dataclass(frozen=True)
class _Contents:
    """What a weights file holds: its convolutions, channels of the first, classes of the top (None: no top)."""

    convolutions: int
    channels: int
    classes: int | None


def _from_file(name: str, path: Path, include_top: bool, pooling: str | None) -> keras.Model:
    if path.suffix == ".keras" or (path.suffix == ".h5" and _holds_model(path)):
        given = keras.saving.load_model(path, compile=False)
        own = _own(given)
        if own is None:
            return _transplant(name, given, path, include_top, pooling)
        if own.name != name.lower() and own.name in [known.lower() for known in BACKBONES]:
            raise StemError(f"{str(path)!r} holds another network than {name}: a modified {own.name}.")
        return own
    if path.suffix not in (".h5", ".hdf5"):
        raise StemError(f"{str(path)!r} is not a weights file: .weights.h5, .h5 and .keras are understood.")
    contents = _read_contents(path)
    if include_top and contents.classes is None:
        raise StemError(f"{str(path)!r} holds no classifier, but include_top=True asks for one.")
    whole = _build(name, contents.classes is not None, pooling, contents.channels, contents.classes or 1000)
    convolutions = sum(isinstance(layer, keras.layers.Conv2D) for layer in whole.layers)
    if convolutions != contents.convolutions:
        raise StemError(
            f"{str(path)!r} holds another network than {name}: {contents.convolutions} convolutions instead of "
            f"{convolutions}."
        )
    whole.load_weights(path)
    return whole if include_top or contents.classes is None else _cut(name, whole, pooling, contents.channels)


def _transplant(name: str, given: keras.Model, path: Path, include_top: bool, pooling: str | None) -> keras.Model:
    """Copies weights by layer name into a stock network."""
    layers = {layer.name: layer for layer in _flat(given)}
    if "conv1_conv" not in layers:
        raise StemError(f"{str(path)!r} holds no keras.applications ResNet (no layer 'conv1_conv').")
    channels = layers["conv1_conv"].kernel.shape[2]
    top = layers.get("predictions")
    if include_top and top is None:
        raise StemError(f"{str(path)!r} holds no classifier, but include_top=True asks for one.")
    network = _build(name, include_top, pooling, channels, top.units if include_top and top is not None else 1000)
    own = [layer for layer in network.layers if layer.weights]
    missing = [layer.name for layer in own if layer.name not in layers]
    extra = sum(1 for n, layer in layers.items() if layer.weights and n.startswith("conv")) - sum(
        1 for layer in own if layer.name.startswith("conv")
    )
    if missing or extra:
        raise StemError(
            f"{str(path)!r} holds another network than {name}: "
            + (
                f"it lacks {missing[0]!r} and {len(missing) - 1} more layers."
                if missing
                else f"{extra} layers too many."
            )
        )
    for layer in own:
        values = layers[layer.name].get_weights()
        if [v.shape for v in values] != [tuple(w.shape) for w in layer.weights]:
            raise StemError(
                f"{str(path)!r}: the weights of {layer.name!r} have shapes {[v.shape for v in values]}, but a stock "
                f"{name} has {[tuple(w.shape) for w in layer.weights]}. A modified network is not a source checkpoint."
            )
        layer.set_weights(values)
    return network


def _own(model: keras.Model) -> keras.Model | None:
    """The network that this library made, in `model` or in one of its layers."""
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


def _holds_model(path: Path) -> bool:
    with h5py.File(path, "r") as file:
        return "model_config" in file.attrs


def _read_contents(path: Path) -> _Contents:
    """From the shapes alone: the one 7x7 kernel is the first convolution's, the one matrix the top's."""
    kernels: list[tuple[int, ...]] = []
    convolutions = 0
    matrices: list[tuple[int, ...]] = []

    def look(_: str, item: object) -> None:
        nonlocal convolutions
        if isinstance(item, h5py.Dataset):
            convolutions += item.ndim == 4
            if item.ndim == 4 and item.shape[:2] == (7, 7):
                kernels.append(item.shape)
            elif item.ndim == 2:
                matrices.append(item.shape)

    with h5py.File(path, "r") as file:
        file.visititems(look)
    if len(kernels) != 1:
        raise StemError(f"{str(path)!r} holds no stock ResNet: its first convolution (7x7) was not found.")
    return _Contents(convolutions, int(kernels[0][2]), int(matrices[0][1]) if matrices else None)

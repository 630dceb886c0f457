"""Loads a stock ResNet from keras.applications with downloaded weights, weights from a file, or random weights."""

from __future__ import annotations

from pathlib import Path

import keras

from .checkpoint.examine import examine
from .checkpoint.examined import Examined
from .checkpoint.form import form_of, known_layout
from .checkpoint.hdf5 import check_stored, opened, read_tensor
from .checkpoint.head import TOP
from .checkpoint.pytorch import CONVENTION
from .checkpoint.values import read_values, refuse_impossible
from .contents import refuse_other
from .errors import StemError
from .own import load_own
from .pytorch import build, set_weights
from .spec import BACKBONES, OTHER_BACKBONES


def load_backbone(
    name: str,
    weights: str | Path = "imagenet",
    *,
    include_top: bool = False,
    pooling: str | None = "avg",
    channels: int = 3,
) -> keras.Model:
    """A stock network for any image size, without preprocessing.

    Args:
        name: one of BACKBONES. A bottleneck ResNet of a PyTorch checkpoint, and every ResNet18, 26 and 34, has
            PyTorch's strides and paddings.
        weights: `imagenet` (Keras downloads it once), `none` (random), or a file: `.weights.h5`, `.h5`
            (also Keras's own ImageNet files), `.keras`, `.safetensors` or `.pth` of torchvision and timm,
            with or without the classifier. A .keras file of a
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
    return _from_file(name, Path(weights), include_top, pooling)


def _build(name: str, include_top: bool, pooling: str | None, channels: int = 3, classes: int = 1000) -> keras.Model:
    if name in OTHER_BACKBONES:
        return build(form_of(name, channels), include_top=include_top, pooling=pooling, classes=classes)
    make = getattr(keras.applications, name)
    if not include_top:
        return make(include_top=False, weights=None, input_shape=(None, None, channels), pooling=pooling)
    # keras.applications fixes the image size of networks with a classifier, so it is added here, with Keras's names.
    body = _build(name, False, "avg", channels)
    top = keras.layers.Dense(classes, activation="softmax", name="predictions")
    return keras.Model(body.inputs, top(body.outputs[0]), name=body.name)


def no_imagenet(name: str) -> str:
    """Why there are no ImageNet weights of one of OTHER_BACKBONES, and what to give."""
    low = name.lower()
    return (
        f"Keras has no ImageNet weights of {name}. Give a file of torchvision's or timm's: where PyTorch is installed, "
        f"safetensors.torch.save_file(timm.create_model('{low}', pretrained=True).state_dict(), '{low}.safetensors')."
    )


def _imagenet(name: str, include_top: bool, pooling: str | None) -> keras.Model:
    if name in OTHER_BACKBONES:
        raise StemError(no_imagenet(name))
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
    """Its attribute `front` is the `Front` of the file's layers before the ResNet, which become its preprocessing.

    `unsure` says why the preprocessing cannot be known, if the file points to such layers without describing them.
    """
    found = examine(path, name)
    if found.own:
        if found.backbone != name and found.backbone in BACKBONES:
            raise StemError(f"{str(path)!r} does not contain {name}: it contains a modified {found.backbone}.")
        return load_own(found)
    refuse_other(found, name)
    if include_top and found.classes is None:
        behind = "; ".join(found.left_out) or "nothing"
        raise StemError(
            f"{str(path)!r} contains no classifier, but include_top=True requires one: average pooling and one Dense "
            f"layer behind the ResNet. The file has behind it: {behind}."
        )
    if found.described is not None:
        return _from_form(found, include_top, pooling)
    layers = {layer: tensors for layer, tensors in found.tensors.items() if layer != TOP or include_top}
    with opened(path, found.kind) as file:
        for tensors in layers.values():
            for tensor in tensors.values():
                check_stored(file, tensor)
        network = _build(name, include_top, pooling, found.channels, found.classes or 1000)
        network = _with_settings(network, found)
        for layer in network.layers:
            if layer.weights:
                values = {role: read_tensor(file, tensor) for role, tensor in layers[layer.name].items()}
                refuse_impossible(values, layer.name, str(path))
                layer.set_weights([values[weight.name] for weight in layer.weights])
    network.front = found.front
    network.unsure = found.unsure
    return network


def _from_form(found: Examined, include_top: bool, pooling: str | None) -> keras.Model:
    """A network in PyTorch's form, from a state dict or from a preset of KerasHub."""
    values = read_values(found)
    described = found.described
    network = build(described.form, include_top=include_top, pooling=pooling, classes=described.classes)
    set_weights(network, values)
    network.front, network.unsure = found.front, found.unsure
    network.convention = None if found.storage else CONVENTION
    return network


def _with_settings(network: keras.Model, found: Examined) -> keras.Model:
    """The stock network with the file's settings of its layers: strides, epsilon and others."""
    config, changed = network.get_config(), False
    # Keras counts the names of the pools in the shortcuts of V2 up in a process.
    parts = known_layout(found.backbone).parts
    pools = [part.name for part in parts if part.kind == "MaxPooling2D" and part.name.endswith("_pool")]
    counted = [e for e in config["layers"] if e["class_name"] == "MaxPooling2D"]
    names = dict(zip((entry["name"] for entry in counted), pools, strict=True))
    for entry in config["layers"]:
        for key, value in found.changes.get(names.get(entry["name"], entry["name"]), {}).items():
            changed |= entry["config"][key] != value
            entry["config"][key] = value
    if not changed:
        return network
    try:
        return type(network).from_config(config)
    except Exception as error:  # Keras has many for settings that contradict each other
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise StemError(f"{str(found.path)!r}: the settings of its layers do not fit together: {first}") from error

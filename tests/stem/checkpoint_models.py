"""Small models as plain descriptions, and writers of the files that each Keras version made of them.

Keras is not needed: the formats were taken from the files of Keras 3.15 and tf_keras 2.21, and from the sources of
Keras 2.13, 3.0 and 3.6.
"""

import dataclasses
import io
import json
import zipfile
from typing import Any

import h5py
import numpy as np

from restem.stem.checkpoint.config import snake
from restem.stem.checkpoint.layout import layout_of


@dataclasses.dataclass
class Layer:
    """A layer, or a model with its layers."""

    kind: str
    name: str
    config: dict[str, Any]
    inputs: list[str]
    tensors: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    layers: list["Layer"] | None = None
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    package: str = ""

    @property
    def weighted(self) -> list["Layer"]:
        return [part for layer in self.layers or [] for part in (layer.weighted if layer.layers else [layer])]


def resnet(backbone="ResNet50", channels=3, seed=0, size=None, name="resnet50") -> Layer:
    """A stock network with random tensors."""
    rng = np.random.default_rng(seed)
    layers = [Layer("InputLayer", "input_1", {"batch_shape": [None, size, size, channels], "dtype": "float32"}, [])]
    layout = layout_of(backbone, channels)
    for part in layout.parts:
        tensors = {role: rng.normal(0, 1, shape).astype("float32") for role, shape in part.shapes().items()}
        if "moving_variance" in tensors:
            tensors["moving_variance"] = np.abs(tensors["moving_variance"])
        inputs = [source.replace("input", "input_1") if source == "input" else source for source in part.inputs]
        layers.append(Layer(part.kind, part.name, dict(part.settings), inputs, tensors))
    return Layer("Functional", name, {}, [], layers=layers)


def dense(name, rows, columns, source, activation="softmax", seed=9) -> Layer:
    rng = np.random.default_rng(seed)
    tensors = {"kernel": rng.normal(0, 1, (rows, columns)), "bias": rng.normal(0, 1, (columns,))}
    tensors = {role: value.astype("float32") for role, value in tensors.items()}
    return Layer("Dense", name, {"units": columns, "activation": activation, "use_bias": True}, [source], tensors)


def plain(kind, name, source, package="", **config) -> Layer:
    return Layer(kind, name, config, [source], package=package)


def around(inner, front=(), head=(), channels=3, sequential=False) -> Layer:
    """A model of layers in front, the ResNet, and layers behind it. Their inputs are set here."""
    layers = [Layer("InputLayer", "input_2", {"batch_shape": [None, 32, 32, channels], "dtype": "float32"}, [])]
    for layer in (*front, inner, *head):
        layers.append(dataclasses.replace(layer, inputs=[layers[-1].name]))
    return Layer("Sequential" if sequential else "Functional", "model", {}, [], layers=layers)


def flat(inner, front=(), head=()) -> Layer:
    """The same in one model without another one inside."""
    start, *rest = inner.layers
    layers = [start]
    for layer in front:
        layers.append(dataclasses.replace(layer, inputs=[layers[-1].name]))
    rest[0] = dataclasses.replace(rest[0], inputs=[layers[-1].name])
    layers += rest
    for layer in head:
        layers.append(dataclasses.replace(layer, inputs=[layers[-1].name]))
    return Layer("Functional", inner.name, {}, [], layers=layers)


def renamed(model, name) -> Layer:
    """The layers under other names, given by a function."""
    names = {layer.name: name(layer.name) for layer in model.layers}
    layers = [
        dataclasses.replace(layer, name=names[layer.name], inputs=[names.get(one, one) for one in layer.inputs])
        for layer in model.layers
    ]
    return dataclasses.replace(model, layers=layers)


def old_name(name) -> str:
    """Keras 2.0's name of a layer."""
    if name in ("conv1_conv", "conv1_bn"):
        return {"conv1_conv": "conv1", "conv1_bn": "bn_conv1"}[name]
    if not name.startswith("conv") or not name.endswith(("_conv", "_bn")) or "block" not in name:
        return name
    stage, block, place, kind = name.split("_")
    branch = {"0": "1", "1": "2a", "2": "2b", "3": "2c"}[place]
    return f"{'res' if kind == 'conv' else 'bn'}{stage[4:]}{'abcdefgh'[int(block[5:]) - 1]}_branch{branch}"


def changed(model, **settings) -> Layer:
    """Other settings of layers, by name; tensors of settings that are turned off are left out."""
    gone = {"use_bias": "bias", "scale": "gamma", "center": "beta"}

    def one(layer):
        new = settings.get(layer.name, {})
        off = {role for key, role in gone.items() if new.get(key) is False}
        tensors = {role: value for role, value in layer.tensors.items() if role not in off}
        return dataclasses.replace(layer, config=layer.config | new, tensors=tensors)

    return dataclasses.replace(model, layers=[one(layer) for layer in model.layers])


def config_of(model, version=3) -> dict[str, Any]:
    """The configuration as Keras 2's .h5 (2), tf_keras's .keras (2.2) or Keras 3 (3) writes it."""
    new = version > 2

    def node(layer, sequential):
        if layer.layers is not None:
            entry = config_of(layer, version)
        else:
            settings = {"name": layer.name, "trainable": True, "dtype": "float32", **layer.config}
            if version < 3 and "axis" in settings:
                settings["axis"] = [settings["axis"]]
            if version < 3 and "batch_shape" in settings:
                settings["batch_input_shape"] = settings.pop("batch_shape")
            for role in layer.tensors if layer.kind in ("Conv2D", "Dense") else ():
                settings[f"{role}_initializer"] = {"class_name": "Zeros", "config": {}}
            entry = {"class_name": layer.kind, "config": settings}
            if new:
                entry |= {
                    "module": layer.package or "keras.layers",
                    "registered_name": (layer.package and layer.kind) or None,
                }
        entry = {**entry, "name": layer.name}
        if not sequential:
            if version < 3:
                nodes = [[source, 0, 0, layer.arguments] for source in layer.inputs]
                entry["inbound_nodes"] = [nodes] if nodes else []
                if layer.arguments:
                    entry["inbound_nodes"] = nodes
            else:
                tensors = [
                    {"class_name": "__keras_tensor__", "config": {"keras_history": [s, 0, 0]}} for s in layer.inputs
                ]
                args = [tensors] if len(tensors) > 1 else tensors
                entry["inbound_nodes"] = [{"args": args, "kwargs": layer.arguments}] if tensors else []
        return entry

    sequential = model.kind == "Sequential"
    config = {"name": model.name, "layers": [node(layer, sequential) for layer in model.layers], **model.config}
    if not sequential:
        config["input_layers"] = [[model.layers[0].name, 0, 0]]
        config["output_layers"] = [[model.layers[-1].name, 0, 0]]
    return {"class_name": model.kind, "config": config, **({"module": "keras", "registered_name": None} if new else {})}


# The format of Keras 1, 2, and of Keras 3 for .h5.
def write_named(path, model, version="2.15.0", whole=False, suffix=":0", scope=None, config=None, backend="tensorflow"):
    """Groups with the layers' names; `scope(model, layer)` gives the path of the weights in the group."""
    scope = scope or (lambda group, layer: layer.name)
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        for place in {root, file} if whole else {root}:
            place.attrs["backend"], place.attrs["keras_version"] = backend.encode(), version.encode()
        if whole:
            file.attrs["model_config"] = json.dumps(config or config_of(model, 2)).encode()
        names = [
            layer.name for layer in model.layers if not (model.kind == "Sequential" and layer.kind == "InputLayer")
        ]
        for layer in model.layers:
            if layer.name not in names:
                continue
            group = root.create_group(layer.name)
            parts = layer.weighted if layer.layers else [layer]
            weights = {
                "/".join(x for x in (scope(layer, part), f"{role}{suffix}") if x): value
                for part in parts
                for role, value in part.tensors.items()
            }
            group.attrs["weight_names"] = [name.encode() for name in weights]
            for name, value in weights.items():
                group.create_dataset(name, data=value)
        encoded = [name.encode() for name in names]
        if sum(map(len, encoded)) > 30_000 or version == "chunked":
            half = len(encoded) // 2
            root.attrs["layer_names0"], root.attrs["layer_names1"] = encoded[:half], encoded[half:]
        else:
            root.attrs["layer_names"] = encoded
    return path


def write_counted(file, model, attribute="layers", names=False, place=""):
    """Groups with classes and counts; `names` adds the layers' names, as Keras has done since 3.6."""
    counts: dict[str, int] = {}
    for layer in model.layers:
        kind = snake(layer.kind)
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        path = f"{place}{attribute}/{kind}{f'_{number}' if number else ''}"
        group = file.create_group(f"{path}/vars")
        if names:
            group.attrs["name"] = layer.name
        for position, value in enumerate(layer.tensors.values()):
            group.create_dataset(str(position), data=value)
        if layer.layers is not None:
            write_counted(file, layer, attribute, names, f"{path}/")


def write_weights(path, model, **options):
    with h5py.File(path, "w") as file:
        write_counted(file, model, **options)
        file.create_group("optimizer/vars").create_dataset("0", data=1)
    return path


def write_archive(path, model, version="3.15.0", config=None, compression=zipfile.ZIP_STORED, extra=None, **options):
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        write_counted(file, model, **options)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(config or config_of(model, 3 if version >= "3" else 2.2)))
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
        archive.writestr("model.weights.h5", memory.getvalue())
    return path

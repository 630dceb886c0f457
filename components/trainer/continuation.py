"""Going on from a pushed model: what its folder holds for that, and the network with its weights.

A pushed SavedModel holds its variables under the names of the Keras layers (`network_weights` in export.py), and
assets.extra/network.json what a new network cannot know: the constants of its Rescaling layers, and the logits of a few
probe images. The network is built anew from the configuration, as for a first training; if the source had another form
than Keras's (PyTorch's strides, a deep stem), from the layers of assets.extra/backbone.keras. Only arrays and the
settings of built-in layers are read from the folder; no code and no graph of the pushed model runs. The probe shows
that the new network computes what the pushed one did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from restem.errors import RestemError
from restem.images.config import ImageConfig
from restem.record_files import DamagedRecord, read_json
from restem.run_record import EXTRA, NETWORK, STEM, StartedFrom, read_classes, read_model
from restem.stem import load_backbone
from restem.stem.anatomy import CONV
from restem.stem.saved import StemModel, describe
from restem.trainer.backbone import BACKBONE
from restem.trainer.model_config import AGAIN, ModelConfig, StemConfig
from restem.trainer.network import Network, build_network, layers_of

FORMAT = 1
PROBE_IMAGES = 4
# The largest difference of the probe's logits, as a share of the largest one: processors round differently.
TOLERANCE = {"float32": 1e-2, "lower": 0.1}
CONSTANTS = ("scale", "offset")


# --- writing -------------------------------------------------------------------------------------------------------


def named_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """The model's variables by "layer/weight"."""
    # Keras's variables, not the TensorFlow variables in them: the two would be saved twice.
    named = {f"{layer.name}/{weight.name}": weight for layer in layers_of(model) for weight in layer.weights}
    assert len(named) == len(model.weights), "two layers have the same name"
    return named


def describe_network(model: keras.Model, image: ImageConfig) -> dict[str, Any]:
    """The content of network.json.

    Args:
      model: maps pixel values float32 [N, height, width, channels], 0..image.white, to logits.
      image: its input.
    """
    return {
        "version": FORMAT,
        "constants": {
            layer.name: {name: np.asarray(getattr(layer, name), np.float64).tolist() for name in CONSTANTS}
            for layer in _rescalings(model)
        },
        "logits": _probe(model, image).tolist(),
        "precision": _precision(model),
    }


def _rescalings(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in layers_of(model) if isinstance(layer, keras.layers.Rescaling)]


def _probe(model: keras.Model, image: ImageConfig) -> np.ndarray:
    """The logits of random images, float32 [PROBE_IMAGES, classes]."""
    shape = (PROBE_IMAGES, image.height, image.width, image.count)
    pixels = np.random.default_rng(0).integers(0, image.white + 1, shape).astype(np.float32)
    return keras.ops.convert_to_numpy(model(pixels, training=False))


def _precision(model: keras.Model) -> str:
    lowest = {layer.compute_dtype for layer in layers_of(model)} & {"float16", "bfloat16"}
    return "lower" if lowest else "float32"


# --- reading -------------------------------------------------------------------------------------------------------


def pushed_model(custom: Mapping[str, Any], classes: Sequence[str]) -> StartedFrom | None:
    """The pushed model that `start` in the `custom_config` of `run_fn` names; None without one.

    Args:
      custom: the `custom_config`.
      classes: this run's class names in label order.
    """
    start = custom.get("start")
    if not start or start["path"] is None:
        return None
    theirs = read_classes(f"{start['path']}/{EXTRA}")
    return StartedFrom(
        path=start["path"],
        version=start["version"],
        fingerprint=start["fingerprint"],
        added=tuple(name for name in classes if name not in theirs),
        dropped=tuple(name for name in theirs if name not in classes),
    )


def continue_network(
    folder: str, image: ImageConfig, stem: StemConfig, *, classes: Sequence[str], sample: np.ndarray
) -> Network:
    """The network of a pushed model, with its weights, for this run's classes.

    For the same classes it computes what the pushed model computes. Otherwise the logits of the classes that both have
    are the same. A new class starts with a kernel of zeros, so that its logit is the same for every image and changes
    no decision between the old classes, and with the bias that makes it as probable as an average class on the sample:
    with the random kernel of a new head it would win on some images by chance, and with a bias of zero it would start
    far below or above the trained logits.

    Args:
      folder: the pushed model's; its backbone, image and stem are those of this run (restem.start.check).
      image: describes the images that Transform outputs.
      stem: the section.
      classes: this run's class names in label order.
      sample: some training images, image.dtype [n, height, width, channels].

    Raises:
      RestemError: the folder's files do not belong together, or this version of restem builds another network.
    """
    extra = f"{folder}/{EXTRA}"
    try:
        record, theirs, described = read_model(extra), read_classes(extra), read_json(extra, NETWORK)
        told = read_json(extra, STEM)
    except DamagedRecord as damage:
        raise _unusable(folder, f"{EXTRA}/{damage}") from None
    if described.get("version") != FORMAT:
        raise _unusable(folder, f"{EXTRA}/{NETWORK} has format {described.get('version')}, expected {FORMAT}")
    source = (record.config.get("model") or {}).get("source", "auto")
    network = build_network(
        "candidate",
        image,
        ModelConfig.model_validate({"backbone": record.backbone, "weights": "none", "source": source}),
        stem,
        weights="none",
        classes=len(theirs),
        # They decide only constants, which are read below.
        statistics=(np.full(image.count, 127.0), np.full(image.count, 50.0)),
        sample=sample,
    )
    try:
        _fill(network.model, image, described, folder)
    except RestemError:
        # The configuration does not say which form the source had: Keras's, or PyTorch's with other strides.
        saved = _as_saved(network, record.backbone, image, Path(extra) / BACKBONE, len(theirs))
        if saved is None:
            raise
        network = saved
        _fill(network.model, image, described, folder)
    model, head = network.model, network.head
    if list(classes) != theirs:
        head = _head_for(network, theirs, classes, sample)
        model = keras.Model(network.features.input, head(network.features.output), name="candidate")
    return Network(model, network.features, head, network.stem_layers, KeptStem(told, folder), continued=True)


def _fill(model: keras.Model, image: ImageConfig, described: Mapping[str, Any], folder: str) -> None:
    """Sets the weights and constants of a pushed model, and checks that it then computes what that one does."""
    _read_weights(model, folder)
    _set_constants(model, described["constants"], folder)
    _check_probe(model, image, described, folder)


def _as_saved(built: Network, backbone: str, image: ImageConfig, file: Path, classes: int) -> Network | None:
    """A network with the layers of a `backbone.keras`; None if there is no such file, or it has another precision.

    Args:
      built: the network of the configuration; what it has in front of its backbone is kept.
      backbone: the name of the stock network.
      file: of the pushed model.
      classes: of its head.
    """
    inner = next((layer for layer in built.features.layers if isinstance(layer, StemModel)), None)
    if inner is None or not file.is_file():
        return None
    saved = load_backbone(backbone, file)
    if not isinstance(saved, StemModel) or saved.get_layer(CONV).compute_dtype != inner.get_layer(CONV).compute_dtype:
        return None
    pixels = keras.Input((image.height, image.width, image.count), name="pixels")
    front = [layer for layer in layers_of(built.model) if layer.name == "match_statistics"]
    features = saved(front[0](pixels) if front else pixels)
    head = keras.layers.Dense(classes, dtype="float32", name="head")
    changed = [one["name"] for one in (describe(saved) or {})["report"]["weights"] if one["origin"] != "identical"]
    names = {name.split("/")[0] for name in changed} | {CONV}
    return Network(
        keras.Model(pixels, head(features), name="candidate"),
        keras.Model(pixels, features),
        head,
        tuple(layer.name for layer in saved.layers if layer.name in names),
        built.report,
    )


def _read_weights(model: keras.Model, folder: str) -> None:
    reader = tf.train.load_checkpoint(f"{folder}/variables/variables")
    shapes = reader.get_variable_to_shape_map()
    for name, variable in named_weights(model).items():
        # TensorFlow writes a dot as two dots, and a slash as .S, in the names of a checkpoint.
        escaped = name.replace(".", "..").replace("/", ".S")
        key = f"network_weights/{escaped}/.ATTRIBUTES/VARIABLE_VALUE"
        given = shapes.get(key)
        if given is None or tuple(given) != tuple(variable.shape):
            shape = "no such weight" if given is None else f"the shape {tuple(given)}"
            raise _unusable(folder, f"{name}: the network has the shape {tuple(variable.shape)}, the model has {shape}")
        variable.assign(reader.get_tensor(key))
    held = sum(key.startswith("network_weights/") for key in shapes)
    if held != len(model.weights):
        raise _unusable(folder, f"it has {held} weights, and the network has {len(model.weights)}")


def _set_constants(model: keras.Model, constants: Mapping[str, Mapping[str, Any]], folder: str) -> None:
    layers = {layer.name: layer for layer in _rescalings(model)}
    if set(layers) != set(constants):
        raise _unusable(folder, f"its constants are those of {sorted(constants)}, and the network has {sorted(layers)}")
    for name, layer in layers.items():
        for constant in CONSTANTS:
            before = getattr(layer, constant)
            dtype = before.dtype if isinstance(before, np.ndarray) else np.float64
            value = np.asarray(constants[name][constant], dtype)
            if value.shape != np.shape(before):
                raise _unusable(folder, f"{name}/{constant} has the shape {value.shape}, expected {np.shape(before)}")
            setattr(layer, constant, value)


def _check_probe(model: keras.Model, image: ImageConfig, described: Mapping[str, Any], folder: str) -> None:
    expected, found = np.asarray(described["logits"], np.float32), _probe(model, image)
    lower = "lower" in (described["precision"], _precision(model))
    allowed = TOLERANCE["lower" if lower else "float32"] * max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(expected - found).max()) if expected.shape == found.shape else np.inf
    if not difference <= allowed:
        raise _unusable(
            folder, f"the network with its weights gives other logits (difference {difference:.2g} on random images)"
        )


def _head_for(network: Network, theirs: Sequence[str], classes: Sequence[str], sample: np.ndarray) -> Any:
    """A head with the rows of the classes that the old head has, and new ones; see `continue_network`."""
    kernel, bias = network.head.get_weights()
    place = {name: i for i, name in enumerate(theirs)}
    kept = [place[name] for name in classes if name in place]
    logits = keras.ops.convert_to_numpy(network.model.predict(sample.astype(np.float32), verbose=0))[:, kept]
    # The mean over the sample of log(mean over the kept classes of exp(logit)).
    top = logits.max(axis=1, keepdims=True)
    average = float(np.mean(top[:, 0] + np.log(np.mean(np.exp(logits - top), axis=1)))) if kept else 0.0
    head = keras.layers.Dense(len(classes), dtype="float32", name="head")
    head.build((None, kernel.shape[0]))
    new_kernel, new_bias = np.zeros((kernel.shape[0], len(classes)), np.float32), np.full(len(classes), average, "f4")
    for i, name in enumerate(classes):
        if name in place:
            new_kernel[:, i], new_bias[i] = kernel[:, place[name]], bias[place[name]]
    head.set_weights([new_kernel, new_bias])
    return head


def _unusable(folder: str, reason: str) -> RestemError:
    return RestemError(
        "the training cannot go on from this model",
        where=f"model.weights ({folder})",
        expected="a model that this pipeline pushed, with the same stem, and all its files",
        given=reason,
        remedy=AGAIN,
    )


@dataclass(frozen=True)
class KeptStem:
    """In place of a transfer report: the one with which the pushed model's stem was made."""

    stem: Mapping[str, Any]
    folder: str

    def to_dict(self) -> dict[str, Any]:
        """The report, as values."""
        return dict(self.stem)

    def to_text(self) -> str:
        """What was done, as text."""
        return (
            f"The stem, with all weights, is that of {self.folder}.\nIt was made with this claim: "
            f"{self.stem.get('claim', 'unknown')}. Its weights may have been trained since.\n"
        )

    def save_picture(self, path: Path) -> None:
        """There is no picture: the kernels of its source are not known any more."""

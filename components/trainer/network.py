"""The two networks that are compared: the candidate with its modified stem, and the stock baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from restem.errors import RestemError
from restem.images.config import ImageConfig
from restem.stem import Preprocessing, StemSpec, load_backbone, modify_stem
from restem.stem.plausibility import Plausibility
from restem.trainer.model_config import ModelConfig, Role, StemConfig, stem_spec
from restem.trainer.source import SourceNetwork
from restem.trainer.source_config import bands_of


@dataclass(frozen=True)
class Network:
    """A network to train.

    Attributes:
      model: maps pixel values float32 [N, height, width, channels], 0..255 or (image.bits: 16) 0..65535, to logits
        float32 [N, classes].
      features: maps the same input to the backbone's pooled features float32 [N, features].
      head: the last layer of `model`, a Dense on those features.
      stem_layers: names of the layers whose weights the stem change created or derived.
      report: the stem's transfer report.
      continued: its weights, with those of the head, are those of a pushed model.
      plausibility: of the source's preprocessing on training images; None: not checked.
      stock_source: the source's stem had the shape of the stock one.
    """

    model: keras.Model
    features: keras.Model
    head: keras.layers.Dense
    stem_layers: tuple[str, ...]
    report: Any
    continued: bool = False
    plausibility: Plausibility | None = None
    stock_source: bool = True

    def layers(self) -> list[keras.layers.Layer]:
        """All layers, including those inside nested models, but not the models themselves."""
        return layers_of(self.model)


def layers_of(model: keras.Model) -> list[keras.layers.Layer]:
    """All layers of a model, including those inside nested models, but not the models themselves."""
    return [layer for layer in model._flatten_layers(include_self=False) if not isinstance(layer, keras.Model)]


def in_order(model: keras.Model) -> list[keras.layers.Layer]:
    """All layers from the input to the output, with those inside nested models in their place."""
    layers: list[keras.layers.Layer] = []
    for layer in model.layers:
        layers += in_order(layer) if isinstance(layer, keras.Model) else [layer]
    return layers


def build_network(
    role: Role,
    image: ImageConfig,
    model: ModelConfig,
    stem: StemConfig,
    *,
    weights: str,
    classes: int,
    statistics: tuple[np.ndarray, np.ndarray] | None,
    sample: np.ndarray,
) -> Network:
    """Builds the candidate or the baseline, with a new head.

    Args:
      role: `candidate` has the stem that `stem` and `image` describe; `baseline` has the stock stem with three
        channels, and the same images converted to red, green and blue. Of a source without colours, it has those of
        its bands that the images have, or grey.
      image: describes the images that Transform outputs.
      model: the backbone's name, and the preprocessing that its weights were trained with.
      stem: the candidate's stem.
      weights: `imagenet`, `none` or a checkpoint's path.
      classes: number of classes.
      statistics: the channels' mean and standard deviation on the training split, float64 [channels] each; required
        if `needs_statistics` is true.
      sample: some training images, image.dtype [n, height, width, channels]. Weights that cannot be derived from the
        old stem (a smaller kernel, the statistics of an extra BatchNormalization) are fitted to them.

    Raises:
      StemError: if the weights cannot be loaded, or the stem cannot be built.
      RestemError: if a channel that must match the source's statistics is constant.
    """
    channels = len(bands_of(model.source))
    if weights == "none" and channels != 3:
        backbone = load_backbone(model.backbone, weights, channels=channels)
    else:
        backbone = load_backbone(model.backbone, weights)
    source = SourceNetwork(backbone, model, weights)
    plausibility = None
    pixels = keras.Input((image.height, image.width, image.count), name="pixels")
    adapter = keras.Sequential([pixels])
    value_range = (0.0, float(image.white))
    if image.normalise == "dataset":
        assert statistics is not None
        adapter.add(_match_statistics(image.names, *statistics))
        value_range = (0.0, 255.0)
    if role == "candidate":
        measured = None
        if stem.measured:
            assert statistics is not None
            measured = _measured(image.names, *statistics)
        spec = stem_spec(stem, image, value_range=value_range, measured=measured)
        seen = adapter.predict(sample.astype(np.float32), verbose=0) if adapter.layers else sample.astype(np.float32)
        plausibility = source.check(spec, seen)
        modified = modify_stem(backbone, spec, source=source.preprocessing, images=seen)
    else:
        reads = source.stock_bands(image.names)
        adapter.add(_to_rgb(image.names) if reads is None else _to_bands(image.names, reads))
        spec = StemSpec(bands=reads, channels=3 if reads is None else None, value_range=value_range)
        modified = modify_stem(backbone, spec, source=source.preprocessing)
    features = modified.model(adapter(pixels))
    head = keras.layers.Dense(classes, dtype="float32", name="head")
    network = keras.Model(pixels, head(features), name=role)
    report = source.told(modified.report)
    inner = keras.Model(pixels, features)
    return Network(
        network, inner, head, modified.stem_layers, report, plausibility=plausibility, stock_source=source.stock
    )


def needs_statistics(role: Role, image: ImageConfig, stem: StemConfig) -> bool:
    """Whether `build_network` needs the channels' statistics on the training split."""
    return image.normalise == "dataset" or (role == "candidate" and stem.measured)


def _measured(names: Sequence[str], mean: np.ndarray, std: np.ndarray) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation by channel name."""
    _refuse_constant(names, std, "stem.normalise")
    return {name: (float(m), float(s)) for name, m, s in zip(names, mean, std, strict=True)}


def _refuse_constant(names: Sequence[str], std: np.ndarray, key: str) -> None:
    flat = [name for name, value in zip(names, std, strict=True) if value < 1e-3]
    if flat:
        raise RestemError(
            f"the channel(s) {', '.join(flat)} have the same value in every pixel of the training images",
            where=key,
            expected="channels that vary, so that they can be scaled to the source's mean and standard deviation",
            given="a standard deviation of 0",
            remedy=f"Remove the channel (image.select), or use the default of {key}",
        )


def _to_rgb(names: Sequence[str]) -> keras.layers.Layer:
    """A fixed 1x1 convolution that converts images to red, green and blue.

    It selects the bands with these names if all three exist. Otherwise each colour is the mean of all bands (grey is
    replicated).
    """
    kernel = np.zeros((1, 1, len(names), 3), np.float32)
    for i, colour in enumerate(("red", "green", "blue")):
        if {"red", "green", "blue"} <= set(names):
            kernel[0, 0, list(names).index(colour), i] = 1.0
        else:
            kernel[0, 0, :, i] = 1.0 / len(names)
    return keras.layers.Conv2D(
        3, 1, use_bias=False, trainable=False, kernel_initializer=keras.initializers.Constant(kernel), name="to_rgb"
    )


def _to_bands(names: Sequence[str], reads: Sequence[str]) -> keras.layers.Layer:
    """The same for a source without colours: the bands `reads`, or, for grey, the mean of all bands."""
    kernel = np.zeros((1, 1, len(names), len(reads)), np.float32)
    for i, band in enumerate(reads):
        if band in names:
            kernel[0, 0, list(names).index(band), i] = 1.0
        else:
            kernel[0, 0, :, i] = 1.0 / len(names)
    constant = keras.initializers.Constant(kernel)
    return keras.layers.Conv2D(
        len(reads), 1, use_bias=False, trainable=False, kernel_initializer=constant, name="to_rgb"
    )


def _match_statistics(names: Sequence[str], mean: np.ndarray, std: np.ndarray) -> keras.layers.Layer:
    """Rescales each channel from the training split's mean and standard deviation to those the source expects.

    Both candidate and baseline use it. `StemSpec(normalise="statistics")` works only for the candidate, because the
    baseline uses means of bands, whose statistics do not follow from those of the bands.

    Raises:
      RestemError: if a channel has the same value in every pixel of the training split.
    """
    _refuse_constant(names, std, "image.normalise")
    raw = Preprocessing("raw", tuple(names), (1.0,) * len(names), (0.0,) * len(names))
    target_mean, target_std = raw.statistics()
    scale = target_std / std
    return keras.layers.Rescaling(
        scale=scale.tolist(), offset=(target_mean - mean * scale).tolist(), name="match_statistics"
    )

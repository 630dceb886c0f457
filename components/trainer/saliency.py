"""What a network looked at: Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391)."""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from restem.run_record import Evaluation
from restem.trainer.network import Network, layers_of

SHOWN_MISTAKES, SHOWN_RIGHT = 8, 12
STRENGTH = 0.65  # of the colour where the map is 1
COLOUR = (255, 120, 0)
SMALLEST = 96  # pixels; smaller pictures are enlarged, so that the map on them is smooth
BATCH = 8
# A map of fewer rows and columns shows no place. Small images have a single position at the end of a ResNet.
POSITIONS = 4
BLOCK_ENDS = (keras.layers.Activation, keras.layers.ReLU, keras.layers.Add)


class NoMaps(ValueError):
    """The network has no feature maps to weight; the message says why."""


@dataclass(frozen=True, eq=False)
class Maps:
    """A network with the last feature maps as a second output.

    Attributes:
      model: maps pixels float32 [n, height, width, channels] to maps [n, rows, columns, features] and to the backbone's
        features [n, features].
      layer: whose output the maps are.
    """

    model: keras.Model
    layer: str

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        _, rows, columns, _ = self.model.output_shape[0]
        return rows, columns


def last_maps(network: Network) -> Maps:
    """The last feature maps: those of the last convolution, with what follows it up to the pooling.

    If they have too few positions, those of an earlier layer.

    Raises:
      NoMaps: there are none, or they have a single position.
    """
    model, layer = _with_maps(network.features, network.features.input_shape[1:])
    maps = Maps(model, layer)
    if maps.size == (1, 1):
        raise NoMaps(
            f"the last feature maps ({layer}) have a single position, so they cannot show a place in the image"
        )
    return maps


def _with_maps(model: keras.Model, shape: tuple[int, ...]) -> tuple[keras.Model, str]:
    """A chain of layers and models, or a graph of layers, with the last output [n, rows, columns, features]."""
    nested = [layer for layer in model.layers if isinstance(layer, keras.Model) and _convolutions(layer)]
    if not nested:
        if not _convolutions(model):
            raise NoMaps("the network has no convolution")
        tensor = _maps_of(model, shape)
        return keras.Model(model.inputs, [tensor, model.outputs[0]]), tensor._keras_history.operation.name
    pixels = keras.Input(shape)
    x, maps, name = pixels, None, ""
    for layer in model.layers:
        if layer is nested[-1]:
            inner, name = _with_maps(layer, x.shape[1:])
            maps, x = inner(x)
        elif not isinstance(layer, keras.layers.InputLayer):
            x = layer(x)
    return keras.Model(pixels, [maps, x]), name


def _maps_of(model: keras.Model, shape: tuple[int, ...]) -> keras.KerasTensor:
    """The last maps of a graph of layers with at least `POSITIONS` rows or columns; else the last of the largest ones.

    Args:
      model: the graph; it may take images of any size.
      shape: of an image, [height, width, channels].
    """
    # From the output to the input. A layer may be part of several graphs, so `layer.output` could be another one's.
    nodes = [node for depth in sorted(model._nodes_by_depth) for node in model._nodes_by_depth[depth]]
    maps = [node.output_tensors[0] for node in nodes if node.input_tensors and len(node.output_tensors[0].shape) == 4]
    if not maps:
        raise NoMaps("no feature maps lead to the network's features")
    # The last maps may be any layer's. Of those before, only what a block hands on counts, not a padded copy.
    found = maps[:1] + [one for one in maps[1:] if isinstance(one._keras_history.operation, BLOCK_ENDS)]
    sizes = keras.Model(model.inputs, found).compute_output_spec(keras.KerasTensor((1, *shape)))
    sizes = [tuple(one.shape[1:3]) for one in (sizes if isinstance(sizes, list) else [sizes])]
    for one, size in zip(found, sizes, strict=True):
        if max(size) >= POSITIONS:
            return one
    return found[max(range(len(found)), key=lambda i: sizes[i][0] * sizes[i][1])]


def _convolutions(model: keras.Model) -> bool:
    return any(isinstance(layer, keras.layers.Conv2D) and layer.name != "to_rgb" for layer in layers_of(model))


def grad_cam(maps: Maps, head: keras.layers.Dense, pixels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Where an image speaks for a class, float32 [n, rows, columns], 0..1 with a maximum of 1; or 0 everywhere.

    With the maps A_k and the class's logit y: ReLU(sum_k a_k A_k), a_k the mean over the positions of dy / dA_k.

    Args:
      maps: of the network.
      head: its last layer.
      pixels: [n, height, width, channels].
      classes: int64 [n], for which of the classes.
    """
    found = []
    for start in range(0, len(pixels), BATCH):
        part = tf.convert_to_tensor(pixels[start : start + BATCH].astype(np.float32))
        with tf.GradientTape() as tape:
            tape.watch(part)  # all weights may be frozen, and the tape would then record nothing
            a, features = maps.model(part, training=False)
            logits = head(features)
            chosen = tf.gather(logits, classes[start : start + BATCH], batch_dims=1)
        gradient = tape.gradient(chosen, a)
        weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
        found.append(tf.nn.relu(tf.reduce_sum(weights * a, axis=-1)).numpy())
    heat = np.concatenate(found)
    largest = heat.max(axis=(1, 2), keepdims=True)
    return np.divide(heat, largest, out=np.zeros_like(heat), where=largest > 0).astype(np.float32)


def choose(evaluation: Evaluation) -> tuple[list[int], list[int]]:
    """The most confident mistakes, and of each class the most confident right answer: positions of test images.

    Of many classes those with the most test images.
    """
    surest = np.argsort(-evaluation.confidence, kind="stable")
    right = evaluation.right
    mistakes = [int(i) for i in surest if not right[i]][:SHOWN_MISTAKES]
    first: dict[int, int] = {}
    for i in surest:
        if right[i]:
            first.setdefault(int(evaluation.labels[i]), int(i))
    images = np.bincount(evaluation.labels, minlength=len(evaluation.classes))
    kept = sorted(sorted(first, key=lambda label: (-images[label], label))[:SHOWN_RIGHT])
    return mistakes, [first[label] for label in kept]


def enlarged(picture: np.ndarray) -> np.ndarray:
    """A picture of at least `SMALLEST` pixels, each of which is repeated."""
    times = max(1, -(-SMALLEST // max(picture.shape[:2])))
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def overlay(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The picture in grey with the map in colour, uint8 [height, width, 3].

    Args:
      picture: uint8 [height, width] or [height, width, 3].
      heat: float32 [rows, columns], 0..1.
    """
    grey = picture if picture.ndim == 2 else picture.mean(axis=-1)
    grey = np.repeat(grey.astype(np.float32)[..., None], 3, axis=-1)
    smooth = tf.image.resize(heat[..., None], grey.shape[:2], method="bilinear").numpy()
    share = STRENGTH * np.clip(smooth, 0, 1)
    return np.round(grey * (1 - share) + np.array(COLOUR, np.float32) * share).astype(np.uint8)

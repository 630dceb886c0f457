"""Mixing of images in pairs.

MixUp (Zhang et al. 2017, arXiv 1710.09412) and CutMix (Yun et al. 2019, arXiv 1905.04899) are Keras's layers. Two
things are ours: CutMix mixes the labels by the pixels that were pasted, and a batch takes one of the two at random.
"""

from typing import Any

import keras
from keras import ops


class Mixing(keras.layers.Layer):
    """Mixes each image of a batch with another image of it; a batch takes one of the ways that are on, at random.

    Images and labels are mixed with the same share, which differs from image to image. The partner may be the image
    itself, which then stays as it is; a batch of one image does not change.
    """

    def __init__(self, mixup: float, cutmix: float, seed: int, **more: Any) -> None:
        """Args:
        mixup, cutmix: alpha of the Beta(alpha, alpha) distribution of the shares, 0..1; 0: off. One of them is on.
        seed: the random state starts from it. It is among the layer's variables, so that checkpoints hold it.
        """
        super().__init__(dtype="float32", **more)
        self.ways: list[keras.layers.Layer] = []
        if mixup:
            self.ways.append(keras.layers.MixUp(mixup, seed=seed, dtype="float32"))
        if cutmix:
            self.ways.append(PixelCutMix((cutmix, cutmix), seed=seed + 1, dtype="float32"))
        self.choice = keras.random.SeedGenerator(seed + 2)
        # XLA has no kernel for the gamma distribution, from which Keras makes the Beta distribution.
        self.supports_jit = False

    def build(self, shapes: Any) -> None:
        """Builds Keras's layers; they have no weights."""
        for way in self.ways:
            way.build(shapes)

    def call(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Images float32 [N, height, width, channels] and labels float32 [N, columns] to the same.

        The labels' columns are mixed as they are: one-hot labels, or any other figures that belong to the images.
        """
        # A new dictionary for each: Keras's layers write into the one that they get.
        first, *others = [way(dict(batch)) for way in self.ways]
        if not others:
            return first
        is_first = keras.random.uniform((), seed=self.choice) < 0.5
        return {name: ops.where(is_first, first[name], others[0][name]) for name in first}


class PixelCutMix(keras.layers.CutMix):
    """Keras's CutMix, with labels mixed by the share of the pixels that were pasted.

    Keras takes the area of the rectangle before it is laid on the pixels: on images of 8x8 that is up to 7 points off.
    """

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """The rectangles and partners that Keras draws, with the share of the pixels that stay."""
        drawn = super().get_random_transformation(data, training=training, seed=seed)
        if drawn is not None:
            pasted = ops.mean(ops.cast(drawn["batch_masks"], "float32"), axis=(1, 2, 3))
            drawn["mix_weight"] = 1 - pasted
        return drawn

"""Augmentation: layers in front of the network that change images in training alone."""

from typing import Any

import keras
from keras import ops

from restem.trainer.augment_config import AugmentConfig


def augmentation(config: AugmentConfig, white: float, seed: int) -> list[keras.layers.Layer]:
    """The layers that the section asks for, in the order in which they are applied; none: there are none.

    They take and give float32 [N, height, width, channels], 0..white, for any number of channels. Geometry and
    erasing are Keras's own; the others are a few lines here: Keras has no quarter turns, changes all channels by the
    same number, and takes no standard deviation above 1.
    """
    layers: list[keras.layers.Layer] = []
    modes = [name for name in ("horizontal", "vertical") if getattr(config, f"flip_{name}")]
    if modes:
        layers.append(keras.layers.RandomFlip("_and_".join(modes), seed=seed))
    if config.quarter_turns:
        layers.append(QuarterTurns(seed=seed + 1))
    fill: dict[str, Any] = {"fill_mode": "reflect", "seed": seed + 2}
    if config.rotation:
        layers.append(keras.layers.RandomRotation(config.rotation / 360, **fill))
    if config.translation:
        layers.append(keras.layers.RandomTranslation(config.translation, config.translation, **fill))
    if config.zoom:
        layers.append(keras.layers.RandomZoom((-config.zoom, config.zoom), **fill))
    if config.brightness or config.contrast:
        layers.append(BandJitter(config.brightness, config.contrast, white, seed=seed + 3))
    if config.noise:
        layers.append(Noise(config.noise * white, seed=seed + 4))
    if config.erasing:
        layers.append(
            keras.layers.RandomErasing(factor=config.erasing, value_range=(0, white), seed=seed + 5, data_format=None)
        )
    return layers


class QuarterTurns(keras.layers.Layer):
    """Turns each image by 0, 90, 180 or 270 degrees; the images are square."""

    def __init__(self, seed: int, **more: Any) -> None:
        super().__init__(**more)
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        """Float32 [N, side, side, channels] to the same."""
        if not training:
            return images
        turns = keras.random.randint((ops.shape(images)[0], 1, 1, 1), 0, 4, seed=self.seed_generator)
        half = ops.flip(ops.flip(images, 1), 2)
        turned = ops.where(turns >= 2, half, images)
        return ops.where(turns % 2 == 1, ops.flip(ops.transpose(turned, (0, 2, 1, 3)), 1), turned)


class BandJitter(keras.layers.Layer):
    """Changes brightness and contrast of each band of each image on its own.

    contrast: the distances from the band's mean are multiplied by 1 - contrast to 1 + contrast; brightness: up to this
    share of white is added or taken away. The result stays in 0..white.
    """

    def __init__(self, brightness: float, contrast: float, white: float, seed: int, **more: Any) -> None:
        super().__init__(**more)
        self.brightness, self.contrast, self.white = brightness, contrast, white
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        """Float32 [N, height, width, channels] to the same."""
        if not training:
            return images
        shape = (ops.shape(images)[0], 1, 1, images.shape[-1])
        scale = keras.random.uniform(shape, 1 - self.contrast, 1 + self.contrast, seed=self.seed_generator)
        shift = keras.random.uniform(shape, -self.brightness, self.brightness, seed=self.seed_generator) * self.white
        mean = ops.mean(images, axis=(1, 2), keepdims=True)
        return ops.clip((images - mean) * scale + mean + shift, 0, self.white)


class Noise(keras.layers.Layer):
    """Adds normal noise of that standard deviation."""

    def __init__(self, deviation: float, seed: int, **more: Any) -> None:
        super().__init__(**more)
        self.deviation = deviation
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        """Float32 [N, height, width, channels] to the same."""
        if not training:
            return images
        return images + keras.random.normal(ops.shape(images), stddev=self.deviation, seed=self.seed_generator)

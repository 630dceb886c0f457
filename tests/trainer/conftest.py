"""A tiny network instead of a ResNet, and images that it can classify."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from restem.images.config import ImageConfig
from restem.trainer.input import Split
from restem.trainer.network import Network

CLASSES = ["dark", "light", "striped"]


@pytest.fixture(scope="session")
def image() -> ImageConfig:
    return ImageConfig(size=8, channels=1)


@pytest.fixture(scope="session")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """90 grey images, uint8 [90, 8, 8, 1], and labels int64 [90]: dark, light, and striped ones."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    pixels = rng.integers(0, 60, (90, 8, 8, 1))
    pixels[labels == 1] += 190
    pixels[labels == 2, ::2] += 190
    return pixels.astype(np.uint8), labels


@pytest.fixture
def split(pictures) -> Split:
    pixels, labels = pictures
    paths = np.array([f"class/{i}.png" for i in range(len(labels))])
    return Split(tf.data.Dataset.from_tensor_slices((pixels, labels, paths)), len(labels))


@pytest.fixture
def network() -> Network:
    keras.utils.set_random_seed(0)
    pixels = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Conv2D(4, 3, name="conv1_conv")(x)
    x = keras.layers.BatchNormalization(name="conv1_bn")(x)
    x = keras.layers.Conv2D(6, 3, activation="relu", name="body_conv")(x)
    x = keras.layers.BatchNormalization(name="body_bn")(x)
    features = keras.layers.GlobalAveragePooling2D()(x)
    head = keras.layers.Dense(len(CLASSES), name="head")
    report = SimpleNamespace(to_text=lambda: "text", to_dict=dict)
    return Network(
        keras.Model(pixels, head(features)), keras.Model(pixels, features), head, ("conv1_conv", "conv1_bn"), report
    )

"""A pushed model as a Keras model from pixels to probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.images.config import ImageConfig
from restem.run_record import EXTRA, read_classes, read_model
from restem.trainer.continuation import continue_network
from restem.trainer.model_config import StemConfig

INPUT, OUTPUT = "pixels", "probabilities"


@dataclass(frozen=True)
class Pixels:
    """A pushed model without its decoding.

    Attributes:
      model: pixel values float32 [N, height, width, channels], 0..image.white, to probabilities [N, classes].
      image: how a file becomes these pixels.
      classes: the class names in the order of the probabilities.
      data: the section of the run that made it.
    """

    model: keras.Model
    image: ImageConfig
    classes: tuple[str, ...]
    data: DataConfig


def read_pushed(folder: str) -> Pixels:
    """Builds the network of a pushed model anew and reads its weights.

    Args:
      folder: of one version.

    Raises:
      RestemError: it was not pushed by this pipeline, or its files do not belong together.
    """
    extra = f"{folder}/{EXTRA}"
    try:
        record, classes = read_model(extra), tuple(read_classes(extra))
    except (OSError, ValueError) as error:
        raise RestemError(
            "this model cannot be converted",
            where=folder,
            expected="a version that this pipeline pushed, with its folder assets.extra",
            given=str(error),
        ) from None
    image = ImageConfig.model_validate(record.config["image"])
    # It decides only constants, which are then read from the folder.
    shape = (2, image.height, image.width, image.count)
    sample = np.random.default_rng(0).integers(0, image.white + 1, shape).astype(image.dtype)
    stem = StemConfig.model_validate(record.config["stem"])
    logits = continue_network(folder, image, stem, classes=classes, sample=sample).model
    inputs = keras.Input((image.height, image.width, image.count), name=INPUT)
    outputs = logits(inputs)
    if record.temperature is not None:
        outputs = keras.layers.Rescaling(1 / record.temperature, name="temperature")(outputs)
    outputs = keras.layers.Softmax(name=OUTPUT)(outputs)
    return Pixels(keras.Model(inputs, outputs), image, classes, DataConfig.model_validate(record.config["data"]))

"""How fast this machine trains, measured on a few steps."""

import time
from collections.abc import Sequence

import keras
import numpy as np

from restem.stem import load_backbone
from restem.trainer.config import AllPhase, TrainConfig
from restem.trainer.optimizer import make_optimizer
from restem.trainer.phases import compile_classifier

BATCH, STEPS = 8, 3


def seconds_per_image(backbone: str, sizes: Sequence[tuple[int, int]]) -> list[float]:
    """The seconds that one image takes in a pass of training, for each height and width in pixels.

    They are those of `STEPS` steps of `BATCH` images with the stock network, after one that builds it.
    """
    found = []
    for height, width in sizes:
        inputs = keras.Input((height, width, 3))
        features = load_backbone(backbone, "none")(inputs)
        model = keras.Model(inputs, keras.layers.Dense(2, dtype="float32")(features))
        compile_classifier(model, make_optimizer(TrainConfig(), AllPhase(), STEPS))
        pixels, labels = np.zeros((BATCH, height, width, 3), np.float32), np.zeros(BATCH, np.int64)
        model.train_on_batch(pixels, labels)
        start = time.perf_counter()
        for _ in range(STEPS):
            model.train_on_batch(pixels, labels)
        found.append((time.perf_counter() - start) / (BATCH * STEPS))
        keras.backend.clear_session()
    return found

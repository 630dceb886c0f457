"""The backbone's features of a split's images, which the head trains on: computed once, in a file if they are large."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np

from restem.trainer.input import Split
from restem.trainer.scratch import Scratch

MOST_BYTES = 2**29  # of features in memory
SMALLEST_STD_SHARE = 0.3  # of the features' mean standard deviation
ROWS, COLUMNS = 4096, 256  # that are handled at once


@contextmanager
def features_of(model: keras.Model, split: Split, batch_size: int) -> Iterator[np.ndarray]:
    """The features of all images, float32 [count, features], in the split's order.

    Above `MOST_BYTES` they are a np.memmap of a temporary file, which disappears at the end, if a disk has room.

    Args:
      model: maps pixels to features.
      split: the images.
      batch_size: images in a batch.
    """
    shape = split.count, model.output_shape[-1]
    size = 4 * shape[0] * shape[1]
    if size <= MOST_BYTES:
        yield model.predict(split.pixels(batch_size), verbose=0)
        return
    with (split.scratch or Scratch(None)).array("the features", shape) as features:
        at = 0
        for pixels in split.pixels(batch_size):
            part = model.predict_on_batch(pixels)
            features[at : at + len(part)] = part
            at += len(part)
        yield features


def mean_and_std(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature, float32 [features].

    A feature that hardly varies must not be blown up: the head would hang on its noise, and the first steps that move
    the backbone would throw the logits off. So no deviation is below a share of their mean.
    """
    columns = [features[:, i : i + COLUMNS] for i in range(0, features.shape[1], COLUMNS)]
    mean = np.concatenate([np.asarray(part.mean(axis=0)) for part in columns])
    std = np.concatenate([np.asarray(part.std(axis=0)) for part in columns])
    return mean, np.maximum(std, SMALLEST_STD_SHARE * std.mean())


def standardise(features: np.ndarray, mean: np.ndarray, std: np.ndarray) -> None:
    """Subtracts the mean and divides by the standard deviation, in place."""
    for i in range(0, len(features), ROWS):
        features[i : i + ROWS] = (features[i : i + ROWS] - mean) / std

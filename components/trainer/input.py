"""Transformed examples as tf.data, for training and for evaluation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from components.images.config import ImageConfig
from components.images.preprocess import decode_pixels
from components.images.statistics import FEATURES, ChannelSums, mean_and_std

# Decoded pixels are kept in memory up to this; beyond it they are decoded anew in every pass.
CACHE_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Split:
    """One split of transformed examples.

    Attributes:
      images: `pixels` uint8 or uint16 [height, width, channels], `label` int64 [], `path` string [] and, where they are
        weighted, `weight` float32 []; unbatched, in a fixed order.
      count: number of examples.
      weighted: the examples have weights.
    """

    images: tf.data.Dataset
    count: int
    weighted: bool = False

    def batches(self, batch_size: int, *, shuffle_seed: int | None = None) -> tf.data.Dataset:
        """Pixels, uint8 or uint16 [batch, height, width, channels], labels int64 [batch], and weights if it has any.

        Args:
          batch_size: images a batch; the last batch of a pass may be smaller.
          shuffle_seed: shuffles anew in each pass, the same way for the same seed; none keeps the order.
        """
        examples = self.images.map(lambda pixels, label, path, *weight: (pixels, label, *weight))
        if shuffle_seed is not None:
            examples = examples.shuffle(min(self.count, 20_000), seed=shuffle_seed, reshuffle_each_iteration=True)
        return examples.batch(batch_size).prefetch(tf.data.AUTOTUNE)

    def pixels(self, batch_size: int) -> tf.data.Dataset:
        """The images alone as a network takes them, float32 [batch, height, width, channels], in the fixed order."""
        return self.batches(batch_size).map(lambda pixels, *_: tf.cast(pixels, tf.float32))

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Some images of the whole split, [up to count, height, width, channels]; the same for the same seed."""
        pixels = self.images.map(lambda pixels, *_: pixels)
        chosen = pixels.shuffle(min(self.count, 20_000), seed=seed).batch(count).take(1)
        return next(iter(chosen.as_numpy_iterator()))

    def labels(self) -> np.ndarray:
        """All labels, int64 [count], in the fixed order."""
        return self._column(1)

    def paths(self) -> np.ndarray:
        """All paths, unicode [count], in the fixed order."""
        return np.array([path.decode() for path in self._column(2)])

    def weights(self) -> np.ndarray | None:
        """All weights in training, float32 [count], in the fixed order; none: every example counts alike."""
        return self._column(3) if self.weighted else None

    def _column(self, index: int) -> np.ndarray:
        batches = self.images.map(lambda *columns: columns[index]).batch(4096)
        return np.concatenate(list(batches.as_numpy_iterator()))


def read_split(file_patterns: Sequence[str], feature_spec: Mapping[str, Any], image: ImageConfig) -> Split:
    """Reads one split that Transform wrote.

    Args:
      file_patterns: patterns of gzip TFRecord files.
      feature_spec: the transformed features, as `TFTransformOutput.transformed_feature_spec()` gives them.
      image: what Transform made of the images.
    """
    files = sorted(file for pattern in file_patterns for file in tf.io.gfile.glob(pattern))
    wanted = {name: feature_spec[name] for name in ("pixels", "label_index", "path")}
    weight = {"weight": feature_spec["weight"]} if "weight" in feature_spec else {}

    def parse(example: tf.Tensor) -> tuple[tf.Tensor, ...]:
        features = tf.io.parse_single_example(example, {**wanted, **weight})
        pixels = decode_pixels(features["pixels"], image)
        return pixels, features["label_index"], features["path"], *(features[name] for name in weight)

    return Split(*read_records(files, parse, image), weighted=bool(weight))


def read_records(
    files: Sequence[str], parse: Callable[[tf.Tensor], tuple[tf.Tensor, ...]], image: ImageConfig
) -> tuple[tf.data.Dataset, int]:
    """Examples with decoded pixels, one by one, kept in memory where they fit; and their number.

    Args:
      files: gzip TFRecord files.
      parse: a serialized example, string scalar, to pixels [height, width, channels] and what goes with them.
      image: the pixels' size and type.
    """
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    count = int(records.reduce(np.int64(0), lambda total, _: total + 1))
    examples = records.map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    if count * image.height * image.width * image.count * image.bits // 8 <= CACHE_BYTES:
        examples = examples.cache()
    return examples, count


def read_channel_statistics(
    file_patterns: Sequence[str], feature_spec: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """What Transform learned: the channels' mean and standard deviation in grey levels, float64 [channels] each."""
    file = min(file for pattern in file_patterns for file in tf.io.gfile.glob(pattern))
    record = next(iter(tf.data.TFRecordDataset(file, compression_type="GZIP").take(1)))
    names = (*FEATURES, "pixel_count")
    features = tf.io.parse_single_example(record, {name: feature_spec[name] for name in names})
    *total, count = (features[name].numpy() for name in names)
    return mean_and_std(ChannelSums(*total), int(count))

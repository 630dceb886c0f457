"""The images of a split as a tf.data dataset, for training and for evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from restem.images.config import ImageConfig
from restem.images.graph.preprocess import preprocess_one
from restem.images.graph.statistics import ChannelSums, channel_sums, mean_and_std
from restem.images.graph.stored import decode_pixels

# Decoded pixels are cached in memory up to this size; larger splits are decoded again in every pass.
CACHE_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Split:
    """One split of examples.

    Attributes:
      images: `pixels` uint8 or uint16 [height, width, channels], `label` int64 [], `path` string [] and, if weighted,
        `weight` float32 []; unbatched, in a fixed order.
      count: number of examples.
      weighted: whether the examples have weights.
    """

    images: tf.data.Dataset
    count: int
    weighted: bool = False

    def batches(self, batch_size: int, *, shuffle_seed: int | None = None) -> tf.data.Dataset:
        """Batches of pixels uint8 or uint16 [batch, height, width, channels], labels int64 [batch], and weights if any.

        Args:
          batch_size: images per batch; the last batch of a pass may be smaller.
          shuffle_seed: reshuffles in each pass, in the same way for the same seed; None keeps the order.
        """
        examples = self.images
        if shuffle_seed is not None:
            examples = examples.shuffle(min(self.count, 20_000), seed=shuffle_seed, reshuffle_each_iteration=True)
        # Paths are dropped per batch: another function per image would cost a fifth of the speed.
        batches = examples.batch(batch_size).map(lambda pixels, label, path, *weight: (pixels, label, *weight))
        return batches.prefetch(tf.data.AUTOTUNE)

    def pixels(self, batch_size: int) -> tf.data.Dataset:
        """Only the images, as network input float32 [batch, height, width, channels], in the fixed order."""
        return self.batches(batch_size).map(lambda pixels, *_: tf.cast(pixels, tf.float32))

    def sample(self, count: int, seed: int) -> np.ndarray:
        """A random sample of the images, [up to count, height, width, channels]; the same for the same seed."""
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
        """All sample weights, float32 [count], in the fixed order; None if the examples have no weights."""
        return self._column(3) if self.weighted else None

    def channel_statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel's pixel values, float64 [channels] each; reads the images once.

        The sums are integers, so the order of the images does not matter.
        """
        sums = self.batches(32).map(
            lambda pixels, *_: tuple(tf.reduce_sum(part, axis=0) for part in channel_sums(pixels)),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        total = ChannelSums(*(sum(part) for part in zip(*sums.as_numpy_iterator(), strict=True)))
        height, width, _ = self.images.element_spec[0].shape
        return mean_and_std(total, self.count * height * width)

    def _column(self, index: int) -> np.ndarray:
        batches = self.images.map(lambda *columns: columns[index]).batch(4096)
        return np.concatenate(list(batches.as_numpy_iterator()))


def read_split(files: Sequence[str], image: ImageConfig, *, weighted: bool = False) -> Split:
    """Reads one split of transformed examples, or of raw examples with `image.store: none`.

    Args:
      files: gzip TFRecord files or glob patterns.
      image: size, type and storage of the pixels.
      weighted: whether the examples have weights.
    """
    encoded = "image_bytes" if image.store == "none" else "pixels"
    to_pixels = preprocess_one if image.store == "none" else decode_pixels
    wanted = {
        encoded: tf.io.FixedLenFeature([], tf.string),
        "label_index": tf.io.FixedLenFeature([], tf.int64),
        "path": tf.io.FixedLenFeature([], tf.string),
        **({"weight": tf.io.FixedLenFeature([], tf.float32)} if weighted else {}),
    }

    def parse(example: tf.Tensor) -> tuple[tf.Tensor, ...]:
        features = tf.io.parse_single_example(example, wanted)
        return to_pixels(features[encoded], image), *(features[name] for name in wanted if name != encoded)

    found = sorted(file for pattern in files for file in tf.io.gfile.glob(pattern))
    records = tf.data.TFRecordDataset(found, compression_type="GZIP")
    count = int(records.reduce(np.int64(0), lambda total, _: total + 1))
    images = records.map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    if count * image.height * image.width * image.count * image.bits // 8 <= CACHE_BYTES:
        images = images.cache()
    return Split(images, count, weighted)

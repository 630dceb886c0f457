"""The images of a split as tf.data, for training and for evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from restem.images.config import ImageConfig
from restem.images.graph.preprocess import preprocess_one
from restem.images.graph.statistics import ChannelSums, channel_sums, mean_and_std
from restem.images.graph.stored import decode_pixels

# Decoded pixels are kept in memory up to this; beyond it they are decoded anew in every pass.
CACHE_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Split:
    """One split of examples.

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
        examples = self.images
        if shuffle_seed is not None:
            examples = examples.shuffle(min(self.count, 20_000), seed=shuffle_seed, reshuffle_each_iteration=True)
        # The paths are dropped from batches: another function for each image would take a fifth of the speed.
        batches = examples.batch(batch_size).map(lambda pixels, label, path, *weight: (pixels, label, *weight))
        return batches.prefetch(tf.data.AUTOTUNE)

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

    def channel_statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """The channels' mean and standard deviation in grey levels, float64 [channels] each; one pass over the images.

        The sums are whole numbers: the same in any order.
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
    """Reads one split: transformed examples, or, with `image.store: none`, raw ones.

    Args:
      files: gzip TFRecord files, or patterns of them.
      image: the pixels' size, type and how they are stored.
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

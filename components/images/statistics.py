"""Per-channel mean and standard deviation, from sums that are exact integers.

Integers add up to the same total in any order, so the result does not depend on how many workers added them, or in
which order.
"""

import numpy as np
import tensorflow as tf


def channel_sums(pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sums over each image's pixels, by channel.

    Args:
      pixels: uint8 [N, H, W, C].

    Returns:
      int64 [N, C] sums and int64 [N, C] sums of squares.
    """
    # One image's squares must fit into the accumulator: int64 holds 1.4e14 pixels of 255**2.
    values = tf.cast(pixels, tf.int64)
    return tf.reduce_sum(values, axis=[1, 2]), tf.reduce_sum(values * values, axis=[1, 2])


def mean_and_std(sums: np.ndarray, squares: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (of the population) by channel, in grey levels.

    Args:
      sums: int64 [C], total over all images.
      squares: int64 [C], total of squares over all images.
      count: how many pixels were added up in each channel: images x height x width.

    Returns:
      float64 [C] mean and float64 [C] standard deviation.
    """
    sums, squares = np.asarray(sums, np.float64), np.asarray(squares, np.float64)
    mean = sums / count
    # Rounding may take a constant channel's variance just below zero.
    return mean, np.sqrt(np.maximum(squares / count - mean * mean, 0.0))

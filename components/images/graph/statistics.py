"""Per-channel mean and standard deviation, from sums that are exact integers.

Integers add up to the same total in any order, so the result does not depend on how many workers added them, or in
which order.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

_HALF_BITS = 32


class ChannelSums(NamedTuple):
    """Sums over images, by channel, int64 each.

    The sum of squares is kept in two halves, `squares = high * 2**32 + low`: a single one of 16-bit images would
    overflow after two thousand million white pixels, some 40,000 images of 224 x 224. The halves hold 2**31 images.
    """

    sums: tf.Tensor
    squares_high: tf.Tensor
    squares_low: tf.Tensor


def channel_sums(pixels: tf.Tensor) -> ChannelSums:
    """Sums over each image's pixels, by channel.

    Args:
      pixels: uint8 or uint16 [N, H, W, C].

    Returns:
      int64 [N, C] each.
    """
    # One image's squares must fit into the accumulator: int64 holds 2.1e9 pixels of 65535**2, 4096 x 4096 at most.
    values = tf.cast(pixels, tf.int64)
    squares = tf.reduce_sum(values * values, axis=[1, 2])
    high = tf.bitwise.right_shift(squares, tf.constant(_HALF_BITS, tf.int64))
    return ChannelSums(tf.reduce_sum(values, axis=[1, 2]), high, squares - high * 2**_HALF_BITS)


def mean_and_std(total: ChannelSums, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (of the population) by channel, in grey levels.

    Args:
      total: over all images, int64 [C] each.
      count: how many pixels were added up in each channel: images x height x width.

    Returns:
      float64 [C] mean and float64 [C] standard deviation.
    """
    sums = np.asarray(total.sums, np.float64)
    squares = np.asarray(total.squares_high, np.float64) * 2.0**_HALF_BITS + np.asarray(total.squares_low, np.float64)
    mean = sums / count
    # Rounding may take a constant channel's variance just below zero.
    return mean, np.sqrt(np.maximum(squares / count - mean * mean, 0.0))

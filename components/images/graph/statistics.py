"""Per-channel mean and standard deviation, from exact integer sums.

Integer sums are the same in any order, so the result does not depend on the number of workers or their order.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

_HALF_BITS = 32


class ChannelSums(NamedTuple):
    """Sums over images, per channel, int64 each; `count` is the number of pixels in them.

    The sum of squares has two halves, `squares = high * 2**32 + low`. For 16-bit images, a single int64 would overflow
    after two billion white pixels, about 40,000 images of 224 x 224. The halves can hold 2**31 images.
    """

    sums: tf.Tensor
    squares_high: tf.Tensor
    squares_low: tf.Tensor
    count: tf.Tensor


def channel_sums(pixels: tf.Tensor, missing: tf.Tensor | None = None) -> ChannelSums:
    """Sums over each image's pixels, per channel.

    Args:
      pixels: uint8 or uint16 [N, H, W, C].
      missing: bool [N, H, W, C], the pixels that are left out; None: no pixels.

    Returns:
      int64 [N, C] each.
    """
    # The squares of one image must fit into int64, enough for 2.1e9 pixels of 65535**2. Images have up to 4096 x 4096.
    values = tf.cast(pixels, tf.int64)
    known = tf.ones_like(values) if missing is None else tf.cast(~missing, tf.int64)
    values *= known
    squares = tf.reduce_sum(values * values, axis=[1, 2])
    high = tf.bitwise.right_shift(squares, tf.constant(_HALF_BITS, tf.int64))
    count = tf.reduce_sum(known, axis=[1, 2])
    return ChannelSums(tf.reduce_sum(values, axis=[1, 2]), high, squares - high * 2**_HALF_BITS, count)


def mean_and_std(total: ChannelSums) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (of the population) per channel, in grey levels.

    Args:
      total: sums over all images, int64 [C] each. A channel without pixels has the mean 0 and the deviation 0.

    Returns:
      float64 [C] mean and float64 [C] standard deviation.
    """
    sums = np.asarray(total.sums, np.float64)
    squares = np.asarray(total.squares_high, np.float64) * 2.0**_HALF_BITS + np.asarray(total.squares_low, np.float64)
    count = np.maximum(np.asarray(total.count, np.float64), 1)
    mean = sums / count
    # Rounding may make a constant channel's variance slightly negative.
    return mean, np.sqrt(np.maximum(squares / count - mean * mean, 0.0))

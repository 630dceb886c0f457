"""Preprocessing that answers for the readable images of a batch, and says of the others why they are not read.

The images go through a tf.data pipeline, because only `ignore_errors` can go on after a decoder's error.
"""

from collections.abc import Callable

import tensorflow as tf

from restem.images import container
from restem.images.config import ImageConfig
from restem.images.graph.decode import NOT_READ
from restem.images.graph.missing import LOSSY

JPEG = b"\xff\xd8\xff"
STARTS = (JPEG, b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", container.SIGNATURE)
EMPTY = "the image is empty (0 bytes)"
DAMAGED = (
    "the image is damaged, too large, has values that are not finite, or does not have the channels that the model "
    "needs"
)


@tf.autograph.experimental.do_not_convert
def preprocess_readable(
    image_bytes: tf.Tensor, config: ImageConfig, of_one: Callable[[tf.Tensor], tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """`preprocess` that does not stop at an image which cannot be read.

    Args:
      image_bytes: string [N], encoded images.
      config: size, fit, channels, depth.
      of_one: `preprocess_one` of this configuration, as a function of one image.

    Returns:
      Pixels as `preprocess` returns them, black for an unreadable image; and the reasons, string [N], empty for a
      readable one.
    """
    shape = (config.height, config.width, config.count)
    count = tf.shape(image_bytes, out_type=tf.int64)[0]
    readable = (
        tf.data.Dataset.from_tensor_slices((tf.range(count), image_bytes))
        .map(
            lambda position, data: (position, of_one(data)),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .ignore_errors()
        .batch(tf.maximum(count, 1))
    )
    # The optimizations of long pipelines cost a second for each call.
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    readable = readable.with_options(options)
    none = (tf.zeros([0], tf.int64), tf.zeros((0, *shape), config.dtype))
    positions, pixels = readable.reduce(none, lambda _, batch: batch)
    # Integers of 32 bits: scatter_nd has no 16 bits on every device.
    whole = tf.concat([count[None], tf.constant(shape, tf.int64)], 0)
    placed = tf.scatter_nd(positions[:, None], tf.cast(pixels, tf.int32), whole)
    read = tf.scatter_nd(positions[:, None], tf.ones_like(positions, tf.bool), count[None])
    reasons = tf.where(read, tf.zeros([], tf.string), _reasons(image_bytes, config))
    return tf.ensure_shape(tf.cast(placed, config.dtype), [None, *shape]), reasons


def _reasons(image_bytes: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """The likely reason for each image, string [N]; tf.data does not tell the decoder's."""
    known = [tf.strings.substr(image_bytes, 0, len(start)) == start for start in STARTS]
    reasons = tf.where(tf.reduce_any(tf.stack(known), axis=0), DAMAGED, NOT_READ)
    if config.nodata_rule is not None and config.nodata_rule.needs_exact_values:
        reasons = tf.where(known[STARTS.index(JPEG)], LOSSY, reasons)
    return tf.where(tf.strings.length(image_bytes) == 0, EMPTY, reasons)

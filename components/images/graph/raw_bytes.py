"""Reads numbers from a file's bytes inside the TensorFlow graph."""

import tensorflow as tf


def first_bytes(data: tf.Tensor, count: int) -> tf.Tensor:
    """A file's first bytes, int32 [count]; zeros after its end.

    Reading beyond the end with tf.strings.substr raises an error whose message contains the file's raw bytes, which
    Python cannot decode (UnicodeDecodeError).
    """
    return tf.cast(tf.io.decode_raw(data, tf.uint8, fixed_length=count), tf.int32)


def bytes_at(data: tf.Tensor, position: tf.Tensor, count: int) -> tf.Tensor:
    """The bytes starting at a position, int32 [count]; zeros after the file's end.

    Args:
      data: string scalar, the file.
      position: int32 scalar, not negative.
      count: number of bytes.
    """
    piece = tf.strings.substr(data, tf.minimum(position, tf.strings.length(data)), count)
    return first_bytes(piece, count)


def little_endian(values: tf.Tensor) -> tf.Tensor:
    """int32 [..., n] bytes -> [...]; four-byte values of 2**31 or more become negative."""
    return tf.reduce_sum(values * [256**i for i in range(values.shape[-1])], axis=-1)


def big_endian(values: tf.Tensor) -> tf.Tensor:
    """Like little_endian, with the most significant byte first."""
    return little_endian(values[..., ::-1])

"""How Transform stores the model's pixels for the Trainer: losslessly as PNG, or as JPEG if configured.

A lossless photograph of 224 x 224 takes 0.6 of its raw bytes. JPEG takes 0.11 to 0.16 and changes the pixels; training,
evaluation and serving then all see the changed pixels, see `restem.images.graph.preprocess`.
"""

import tensorflow as tf

from restem.images.config import ImageConfig

_PNG_CHANNELS = 4
# zlib's fastest level: three times as fast as its default on photographs, for 8% more bytes.
_PNG_COMPRESSION = 1


def encode_pixels(pixels: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """One image, config.dtype [height, width, count] -> string scalar.

    A PNG holds up to four channels. More channels are stacked vertically in a grey image with count x height rows.
    """
    if config.store == "jpeg":
        return tf.io.encode_jpeg(pixels, quality=config.jpeg_quality)
    if config.count > _PNG_CHANNELS:
        pixels = tf.reshape(tf.transpose(pixels, [2, 0, 1]), [config.count * config.height, config.width, 1])
    return tf.io.encode_png(pixels, compression=_PNG_COMPRESSION)


def encode_missing(missing: tf.Tensor) -> tf.Tensor:
    """bool [height, width, channels] -> string scalar: a grey PNG with the channels above each other; empty if all are
    false, as in most images.
    """
    stacked = tf.reshape(tf.transpose(missing, [2, 0, 1]), [-1, tf.shape(missing)[1], 1])
    return tf.cond(
        tf.reduce_any(missing),
        lambda: tf.io.encode_png(tf.cast(stacked, tf.uint8) * 255, compression=_PNG_COMPRESSION),
        lambda: tf.constant(""),
    )


def decode_missing(stored: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """Decodes the result of encode_missing: string scalar -> bool [height, width, count] of the config."""
    height, width, channels = config.height, config.width, config.count

    def decoded() -> tf.Tensor:
        stacked = tf.io.decode_png(stored, channels=1)
        return tf.transpose(tf.reshape(stacked, [channels, height, width]), [1, 2, 0]) != 0

    nothing = tf.strings.length(stored) == 0
    return tf.cond(nothing, lambda: tf.zeros([height, width, channels], tf.bool), decoded)


def decode_pixels(stored: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """Decodes the result of encode_pixels: string scalar -> config.dtype [height, width, count] of the config.

    It takes one image, not a batch: tf.data already loops over images, and a second loop inside its function is slower.
    """
    height, width, channels = config.height, config.width, config.count
    if config.store == "jpeg":
        pixels = tf.io.decode_jpeg(stored, channels=channels, dct_method="INTEGER_ACCURATE")
    else:
        # channels=0 keeps the stored number; tf.io.decode_png does not accept channels=2 (grey and alpha).
        pixels = tf.io.decode_png(stored, channels=0, dtype=config.dtype)
    if channels <= _PNG_CHANNELS:
        return tf.ensure_shape(pixels, [height, width, channels])
    return tf.transpose(tf.reshape(pixels, [channels, height, width]), [1, 2, 0])

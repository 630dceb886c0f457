"""How the model's pixels lie between Transform and the Trainer: as PNG, losslessly, or as JPEG where that is asked for.

Lossless, a photograph of 224 x 224 takes 0.6 of its raw bytes; as JPEG 0.11 to 0.16, and its pixels change. Training,
evaluation and serving then all see the changed ones: see `restem.images.graph.preprocess`.
"""

import tensorflow as tf

from restem.images.config import ImageConfig

_PNG_CHANNELS = 4
# zlib's fastest: three times as fast as its default on photographs, for 8% more bytes.
_PNG_COMPRESSION = 1


def encode_pixels(pixels: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """One image, config.dtype [height, width, count] -> string scalar.

    A PNG holds up to four channels. More of them lie in it one below the other, as a grey image of count x height rows.
    """
    if config.store == "jpeg":
        return tf.io.encode_jpeg(pixels, quality=config.jpeg_quality)
    if config.count > _PNG_CHANNELS:
        pixels = tf.reshape(tf.transpose(pixels, [2, 0, 1]), [config.count * config.height, config.width, 1])
    return tf.io.encode_png(pixels, compression=_PNG_COMPRESSION)


def decode_pixels(stored: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """What encode_pixels stored: string scalar -> config.dtype [height, width, count] of the config.

    One image, and not a batch: tf.data has its own loop over images, and is slower with another inside its function.
    """
    height, width, channels = config.height, config.width, config.count
    if config.store == "jpeg":
        pixels = tf.io.decode_jpeg(stored, channels=channels, dct_method="INTEGER_ACCURATE")
    else:
        # channels=0 keeps what was stored; tf.io.decode_png does not take 2 (grey and alpha to a PNG) as a wish.
        pixels = tf.io.decode_png(stored, channels=0, dtype=config.dtype)
    if channels <= _PNG_CHANNELS:
        return tf.ensure_shape(pixels, [height, width, channels])
    return tf.transpose(tf.reshape(pixels, [channels, height, width]), [1, 2, 0])

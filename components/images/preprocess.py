"""The one road from encoded images to what the model sees: used by Transform, the Trainer, evaluation and serving.

`preprocess` ends in uint8 pixels of the model's size; whatever scaling the network wants is inside the network.
`encode_pixels` and `decode_pixels` are how those pixels lie between Transform and the Trainer: as PNG, losslessly.
"""

import tensorflow as tf

from components.images.config import ImageConfig
from components.images.decode import decode


def preprocess(image_bytes: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """Decodes images of any sizes and brings them to the model's size and channels.

    Args:
      image_bytes: string [N], encoded images (PNG, JPEG, BMP, GIF).
      config: size and channels.

    Returns:
      uint8 [N, config.height, config.width, config.count], values 0..255, channels as config.names.

    Raises:
      tf.errors.InvalidArgumentError: an image cannot be decoded.
    """
    shape = [config.height, config.width, config.count]
    return tf.map_fn(
        lambda one: tf.ensure_shape(resize(decode(one, config), config.height, config.width), shape),
        image_bytes,
        fn_output_signature=tf.TensorSpec(shape, tf.uint8),
    )


def resize(pixels: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Resizes one uint8 [h, w, C] image with an antialiased triangle filter (Pillow's BILINEAR), rounding to nearest.

    Where the size already fits, the pixels come through untouched.
    """

    def resized() -> tf.Tensor:
        values = tf.image.resize(pixels, [height, width], method="bilinear", antialias=True)
        return tf.saturate_cast(tf.round(values), tf.uint8)

    fits = tf.reduce_all(tf.equal(tf.shape(pixels)[:2], [height, width]))
    return tf.cond(fits, lambda: pixels, resized)


def encode_pixels(pixels: tf.Tensor) -> tf.Tensor:
    """uint8 [N, H, W, C] with C in 1..4 -> string [N], PNG: lossless."""
    return tf.io.encode_png(pixels)


def decode_pixels(stored: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """The inverse of encode_pixels: string [N] -> uint8 [N, config.height, config.width, config.count]."""
    shape = [config.height, config.width, config.count]
    return tf.map_fn(
        # channels=0 keeps what was stored; tf.io.decode_png does not take 2 (grey and alpha to a PNG) as a wish.
        lambda one: tf.ensure_shape(tf.io.decode_png(one, channels=0), shape),
        stored,
        fn_output_signature=tf.TensorSpec(shape, tf.uint8),
    )

"""A file's channels to the model's: grey, colour, transparency, bands. TensorFlow graph code."""

import tensorflow as tf

from restem.images.config import ImageConfig

# Weights of Rec. 601 in 1/65536, rounded as in Pillow's Convert.c; they sum to exactly 65536, so grey stays grey.
_LUMA = (19595, 38470, 7471)
_LUMA_HALF = 1 << 15
_LUMA_SHIFT = 16
_MAX_CHANNELS = 4


def to_channels(pixels: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """Grey or colour of an image that is one of these, with or without alpha.

    Args:
      pixels: uint8 or uint16 (config.dtype) [h, w, 1..4]: grey, grey and alpha, RGB, RGB and alpha.
      config: one channel or three, and the background for transparency; without one, alpha is dropped.

    Returns:
      The same type, [h, w, 1 or 3].

    Raises:
      tf.errors.InvalidArgumentError: more channels than four, which only `bands` can name.
    """
    # What the model sees comes through with one comparison: every operation counts, an image takes a millisecond.
    return tf.cond(tf.shape(pixels)[-1] == config.count, lambda: pixels, lambda: _to_other_channels(pixels, config))


def _to_other_channels(pixels: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    found = tf.shape(pixels)[-1]
    complaint = ["the image has more than 4 channels: name them in image.bands; their number is", found]
    with tf.control_dependencies([tf.debugging.Assert(found <= _MAX_CHANNELS, complaint)]):
        pixels = tf.identity(pixels)
    if config.background is not None:
        pixels = tf.cond(found % 2 == 0, lambda: _laid_on_background(pixels, config), lambda: pixels)
        found = tf.shape(pixels)[-1]
    if config.count == 1:
        return tf.cond(found < 3, lambda: pixels[..., :1], lambda: luma(pixels[..., :3]))
    return tf.cond(found < 3, lambda: _threefold(pixels[..., :1]), lambda: pixels[..., :3])


def pick_bands(pixels: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """The bands that config.names lists, of an image with those that config.bands lists.

    Raises:
      tf.errors.InvalidArgumentError: the image has another number of channels.
    """
    assert config.bands is not None  # decode has looked.
    found, named = tf.shape(pixels)[-1], len(config.bands)
    complaint = [f"the configuration names {named} bands, the image's number of channels is", found]
    with tf.control_dependencies([tf.debugging.Assert(found == named, complaint)]):
        pixels = tf.identity(pixels)
    if config.names == config.bands:
        return pixels
    return tf.gather(pixels, [config.bands.index(name) for name in config.names], axis=-1)


def luma(rgb: tf.Tensor) -> tf.Tensor:
    """uint8 or uint16 [..., 3] -> the same type, [..., 1]: Rec. 601 luma, rounded as Pillow does."""
    wide = tf.int32 if rgb.dtype == tf.uint8 else tf.int64  # 65535 x 65536 is beyond 32 bits.
    weighted = tf.reduce_sum(tf.cast(rgb, wide) * tf.constant(_LUMA, wide), axis=-1, keepdims=True)
    shifted = tf.bitwise.right_shift(weighted + _LUMA_HALF, tf.constant(_LUMA_SHIFT, wide))
    return tf.cast(shifted, rgb.dtype)


def background(config: ImageConfig) -> tf.Tensor:
    """The background's value in each of the model's channels, config.dtype [config.count]; black where none is set."""
    if config.background_rgb is None:
        return tf.zeros([config.count], config.dtype)
    rgb = _background_rgb(config)
    return luma(rgb) if config.count == 1 else rgb


def _background_rgb(config: ImageConfig) -> tf.Tensor:
    return tf.cast(tf.constant(config.background_rgb), config.dtype) * (config.white // 255)


def _threefold(grey: tf.Tensor) -> tf.Tensor:
    """[..., 1] -> [..., 3]; tf.repeat and tf.tile do not know uint16."""
    return tf.concat([grey, grey, grey], axis=-1)


def _laid_on_background(pixels: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """[h, w, 2 or 4] with alpha last -> [h, w, 1 or 3], rounded to nearest; the stored (not linear) values are mixed.

    Grey on a background that is not grey, where the model sees colour, becomes RGB.
    """
    colour, alpha = pixels[..., :-1], tf.cast(pixels[..., -1:], tf.int64)
    if config.count == 3:
        colour = tf.cond(tf.shape(colour)[-1] == 1, lambda: _threefold(colour), lambda: colour)
        ground = background(config)
    else:
        ground = tf.cond(tf.shape(colour)[-1] == 1, lambda: background(config), lambda: _background_rgb(config))
    mixed = tf.cast(colour, tf.int64) * alpha + tf.cast(ground, tf.int64) * (config.white - alpha)
    return tf.cast((mixed + config.white // 2) // config.white, pixels.dtype)

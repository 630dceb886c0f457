"""Finds and fills pixels without data (`image.nodata`): the only function that decides which ones they are.

Ingestion counts with it, and Transform, the Trainer, evaluation and serving show with it. It sees the stored values,
before image.value_range, so a value that is no data never takes part in scaling or resizing.
"""

import tensorflow as tf

from restem.images.config import ImageConfig
from restem.images.graph.channels import background, pick_bands, to_channels
from restem.images.nodata import Nodata
from restem.images.values import as_type

NOT_FINITE = "the image has values that are not finite (NaN or infinity), and the model's image.nodata is not nan"
LOSSY = (
    "a JPEG's values were changed by compression, so the model's image.nodata cannot be found in it: send a format "
    "without loss, such as PNG"
)
NO_MASK = "the image has no mask band: image.nodata names one of its channels; number of channels:"


def marks(values: tf.Tensor, rule: Nodata) -> tf.Tensor:
    """Which values are no data.

    Args:
      values: stored values, uint8, uint16, float32 or float64 [h, w, C].
      rule: of the configuration.

    Returns:
      bool [h, w, C]; a mask band marks all channels.

    Raises:
      tf.errors.InvalidArgumentError: there is no mask band.
    """
    if rule.mask is not None:
        found = tf.shape(values)[-1]
        with tf.control_dependencies([tf.debugging.Assert(found > rule.mask, [NO_MASK, found])]):
            values = tf.identity(values)
        hidden = values[..., rule.mask : rule.mask + 1] == tf.zeros([], values.dtype)
        return tf.broadcast_to(hidden, tf.shape(values))
    if rule.not_finite:
        return ~tf.math.is_finite(values) if values.dtype.is_floating else tf.zeros_like(values, tf.bool)
    assert rule.value is not None
    stored = as_type(rule.value, values.dtype.as_numpy_dtype)
    return tf.zeros_like(values, tf.bool) if stored is None else values == tf.constant(stored, values.dtype)


def not_finite(values: tf.Tensor, marked: tf.Tensor) -> tf.Tensor:
    """Which values are NaN or infinity without being marked, bool [h, w, C]."""
    return ~tf.math.is_finite(values) & ~marked if values.dtype.is_floating else tf.zeros_like(marked)


def counts(values: tf.Tensor, rule: Nodata) -> tf.Tensor:
    """What ingestion needs to know of an image.

    Args:
      values: stored values, [h, w, C]; a NumPy array will do.
      rule: of the configuration.

    Returns:
      int64 [5]: height, width and channels; the number of pixels without data in at least one channel that the model
      sees; the number of values that are NaN or infinity without being marked.
    """
    values = tf.convert_to_tensor(values)
    marked = marks(values, rule)
    missing = tf.reduce_any(_seen(marked, rule), axis=-1)
    numbers = [tf.math.count_nonzero(missing), tf.math.count_nonzero(not_finite(values, marked))]
    return tf.concat([tf.shape(values, tf.int64), tf.stack(numbers)], 0)


def fill(pixels: tf.Tensor, marked: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """Converts a file's channels to the model's, and shows pixels without data black, or as the background.

    A channel without data is black. A pixel without data in all channels is the background.

    Args:
      pixels: config.dtype [h, w, C], the file's channels.
      marked: bool [h, w, C], the result of `marks`.
      config: with image.nodata.

    Returns:
      config.dtype [h, w, 2 config.count]: the model's channels, and for each 1 where it has no data, 0 elsewhere.
    """
    rule = config.nodata_rule
    assert rule is not None  # decode has looked.
    if config.bands is not None:
        pixels, marked = pick_bands(pixels, config), _seen(marked, rule)
        pixels = tf.where(marked, tf.zeros([], pixels.dtype), pixels)
        return _beside(pixels, marked)
    pixels = _without_mask(pixels, rule)
    colours = _seen(marked, rule)
    last = tf.range(tf.shape(pixels)[-1]) == tf.shape(pixels)[-1] - 1
    # Alpha says how much of the colour is seen: a value in it is none of the image's.
    is_alpha = last & (tf.shape(pixels)[-1] % 2 == 0)
    pixels = tf.where(_without_mask(marked, rule) & ~is_alpha, tf.zeros([], pixels.dtype), pixels)
    pixels = to_channels(pixels, config)
    whole = tf.reduce_all(colours, axis=-1, keepdims=True)
    if config.background is not None:
        pixels = tf.where(whole, background(config), pixels)
    if config.count == 1:
        return _beside(pixels, tf.reduce_any(colours, axis=-1, keepdims=True))
    return _beside(pixels, tf.broadcast_to(colours, tf.shape(pixels)))


def _seen(marked: tf.Tensor, rule: Nodata) -> tf.Tensor:
    """The marks of the channels that the model sees; without bands, those of grey or red, green and blue."""
    if rule.seen is not None:
        return tf.gather(marked, rule.seen, axis=-1)
    if rule.mask is not None:
        return marked[..., :1]  # They are the same in all channels.
    channels = tf.shape(marked)[-1]
    return marked[..., : tf.minimum(channels - (1 - channels % 2), 3)]


def _without_mask(values: tf.Tensor, rule: Nodata) -> tf.Tensor:
    if rule.mask is None:
        return values
    return tf.concat([values[..., : rule.mask], values[..., rule.mask + 1 :]], -1)


def _beside(pixels: tf.Tensor, marked: tf.Tensor) -> tf.Tensor:
    return tf.concat([pixels, tf.cast(marked, pixels.dtype)], -1)

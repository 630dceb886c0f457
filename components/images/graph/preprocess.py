"""The only code path from encoded images to the model's input, for Transform, the Trainer, evaluation and serving.

`preprocess` returns uint8 or uint16 pixels of the model's size; any further scaling is inside the network. `to_stored`
returns what Transform stores for the Trainer. If that is JPEG (image.store), the model always sees the pixels after
JPEG compression.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from restem.images.config import ImageConfig
from restem.images.graph.channels import background
from restem.images.graph.decode import decode, decode_marked
from restem.images.graph.stored import decode_pixels, encode_missing, encode_pixels

_WHITE = 65535  # of 16 bits


@tf.autograph.experimental.do_not_convert  # There is no Python control flow here; searching for it takes seconds.
def preprocess(image_bytes: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """Decodes images of any size and converts them to the model's size, channels and depth.

    Args:
      image_bytes: string [N], encoded images (PNG, JPEG, BMP, GIF, or other formats after `encode_for_serving`).
      config: size, fit, channels, depth.

    Returns:
      config.dtype [N, config.height, config.width, config.count], values 0..config.white, channels as config.names.

    Raises:
      tf.errors.InvalidArgumentError: an image cannot be decoded.
    """
    return preprocess_each(image_bytes, config, lambda one: preprocess_one(one, config))


@tf.autograph.experimental.do_not_convert
def preprocess_each(image_bytes: tf.Tensor, config: ImageConfig, of_one: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """`preprocess` with a function for one image; a tf.function is only once in a saved graph that calls it often."""
    shape = [config.height, config.width, config.count]
    return tf.map_fn(of_one, image_bytes, fn_output_signature=tf.TensorSpec(shape, config.dtype))


@tf.autograph.experimental.do_not_convert
def preprocess_one(image_bytes: tf.Tensor, config: ImageConfig, *, strict: tf.Tensor | bool = True) -> tf.Tensor:
    """`preprocess` for one image, a string scalar: for tf.data, which already loops over images.

    With `strict` it refuses images in which pixels without data cannot be told from others, see `decode.Depth`.
    """
    pixels = _prepared(image_bytes, config, strict)
    return decode_pixels(encode_pixels(pixels, config), config) if config.store == "jpeg" else pixels


@tf.autograph.experimental.do_not_convert
def to_stored(image_bytes: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """Encoded images of any size, string [N] -> the stored images, string [N].

    `decode_pixels` of a row equals `preprocess` of the image. It works image by image, so that all cores also encode.
    """
    return tf.map_fn(_stored_by(config.model_dump_json()), image_bytes, fn_output_signature=tf.string)


@tf.autograph.experimental.do_not_convert
def preprocess_marked_one(image_bytes: tf.Tensor, config: ImageConfig) -> tuple[tf.Tensor, tf.Tensor]:
    """`preprocess_one`, and which of its pixels have no data, for a configuration with image.nodata.

    Pixels into which resizing has mixed some without data count as such.

    Returns:
      Pixels, config.dtype [config.height, config.width, config.count]; bool of the same shape.
    """
    pixels, missing = _prepared_marked(image_bytes, config)
    if config.store == "jpeg":
        pixels = decode_pixels(encode_pixels(pixels, config), config)
    return pixels, missing


@tf.autograph.experimental.do_not_convert
def to_stored_marked(image_bytes: tf.Tensor, config: ImageConfig) -> tuple[tf.Tensor, tf.Tensor]:
    """`to_stored`, and the encoded pixels without data (`encode_missing`), string [N] each."""

    def of_one(one: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, missing = _prepared_marked(one, config)
        return encode_pixels(pixels, config), encode_missing(missing)

    return tf.map_fn(of_one, image_bytes, fn_output_signature=(tf.string, tf.string))


@functools.lru_cache(maxsize=1)
def _stored_by(config: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """`to_stored` for one image, traced once: Transform builds the graph around it eight times."""
    image = ImageConfig.model_validate_json(config)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([], tf.string)])
    def of_one(one: tf.Tensor) -> tf.Tensor:
        return encode_pixels(_prepared(one, image), image)

    return lambda one: of_one(one)


def _prepared(image_bytes: tf.Tensor, config: ImageConfig, strict: tf.Tensor | bool = True) -> tf.Tensor:
    return _fitted(decode(image_bytes, config, strict=strict), config)


def _prepared_marked(image_bytes: tf.Tensor, config: ImageConfig) -> tuple[tf.Tensor, tf.Tensor]:
    both = decode_marked(image_bytes, config)
    # In white, so that resizing leaves a trace of the smallest part.
    marked = tf.cast(both[..., config.count :], tf.uint16) * _WHITE
    missing = fit(marked, config, ground=None) != 0
    shape = [config.height, config.width, config.count]
    return _fitted(both[..., : config.count], config), tf.ensure_shape(missing, shape)


def _fitted(pixels: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    ground = None if config.background is None else background(config)
    return tf.ensure_shape(fit(pixels, config, ground=ground), [config.height, config.width, config.count])


def fit(pixels: tf.Tensor, config: ImageConfig, *, ground: tf.Tensor | None) -> tf.Tensor:
    """Resizes one image [h, w, C] to [config.height, config.width, C] according to config.fit.

    The border of 'pad' has the colour `ground`, [C]; None: zeros.
    """
    if config.fit == "stretch":
        return resize(pixels, config.height, config.width)
    height, width = tf.shape(pixels, tf.int64)[0], tf.shape(pixels, tf.int64)[1]
    if config.fit == "crop":
        # The largest centred part with the target's aspect ratio, to the nearest pixel.
        tall = tf.clip_by_value(_rounded(width * config.height, config.width), 1, height)
        wide = tf.clip_by_value(_rounded(height * config.width, config.height), 1, width)
        top, left = (height - tall) // 2, (width - wide) // 2
        return resize(pixels[top : top + tall, left : left + wide], config.height, config.width)
    # Pad: the longer side, relative to the target, fills it; the other side keeps the aspect ratio.
    tall = tf.clip_by_value(_rounded(height * config.width, width), 1, config.height)
    wide = tf.clip_by_value(_rounded(width * config.height, height), 1, config.width)
    small = resize(pixels, tf.cast(tall, tf.int32), tf.cast(wide, tf.int32))
    top, left = (config.height - tall) // 2, (config.width - wide) // 2
    around = [[top, config.height - tall - top], [left, config.width - wide - left], [0, 0]]
    padded = tf.pad(small, around)
    if ground is None:
        return padded
    inside = tf.pad(tf.ones(tf.stack([tall, wide, 1]), tf.bool), around)
    return tf.where(inside, padded, ground)


def resize(pixels: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Resizes one image [h, w, C] with an antialiased triangle filter (Pillow's BILINEAR), rounding to nearest.

    If the size already fits, the pixels are not changed.

    Args:
      pixels: uint8 or uint16; the result has the same type.
      height, width: in pixels.
    """

    def resized() -> tf.Tensor:
        values = tf.round(tf.image.resize(pixels, [height, width], method="bilinear", antialias=True))
        # The filter's weights are positive and sum to 1 except for rounding, which can push white above 65535, not 255.
        return tf.cast(values, tf.uint8) if pixels.dtype == tf.uint8 else tf.saturate_cast(values, pixels.dtype)

    fits = tf.reduce_all(tf.equal(tf.shape(pixels)[:2], [height, width]))
    return tf.cond(fits, lambda: pixels, resized)


def _rounded(numerator: tf.Tensor, denominator: tf.Tensor | int) -> tf.Tensor:
    """The quotient of positive integers, rounded to the nearest integer."""
    return (2 * numerator + denominator) // (2 * denominator)

"""Preprocessing that answers for the readable images of a batch, and says of the others why they are not read.

Only tf.data's `ignore_errors` can go on after a decoder's error, and tf.data prepares its function anew in each call: a
second for the whole preprocessing. So it is given no more than the decoder of one format, which takes a few
milliseconds, and only if the batch has a file of this format. Whatever is left is then preprocessed like any batch.
"""

import tensorflow as tf

from restem.images.config import ImageConfig
from restem.images.graph.decode import NOT_READ, Depth, decoders, is_blended, jpeg_pixels
from restem.images.graph.missing import LOSSY
from restem.images.graph.preprocess import preprocess_each
from restem.images.graph.received import checks, is_shown_right, jpeg_within
from restem.images.graph.signatures import JPEG, STARTS, OfFile, starts_with

EMPTY = "the image is empty (0 bytes)"
DAMAGED = (
    "the image is damaged, too large, has values that are not finite, or does not have the channels that the model "
    "needs"
)
_MOST_CHANNELS = 4  # without image.bands


class _Shape(Depth):
    """Instead of a depth: the decoders then fail as with it, and return only the image's shape, int32 [3]."""

    def _marked(self, values: tf.Tensor, converted: tf.Tensor) -> tf.Tensor:
        del converted
        return tf.shape(values)

    def empty(self) -> tf.Tensor:
        return tf.zeros([3], tf.int32)


@tf.autograph.experimental.do_not_convert
def preprocess_readable(
    image_bytes: tf.Tensor,
    config: ImageConfig,
    of_one: OfFile,
    max_pixels: int | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`preprocess` that does not stop at an image which cannot be read.

    Args:
      image_bytes: string [N], encoded images.
      config: size, fit, channels, depth.
      of_one: `preprocess_one` of this configuration, as a function of one image that `checked` has seen.
      max_pixels: as for `checked`; None: no limit.

    Returns:
      Pixels as `preprocess` returns them, black for an unreadable image; and the reasons, string [N], empty for a
      readable one.
    """
    shape = (config.height, config.width, config.count)
    read = _is_read(_shapes(image_bytes, config, max_pixels), config)
    pixels = preprocess_each(tf.boolean_mask(image_bytes, read), config, of_one)
    # Integers of 32 bits: scatter_nd has no 16 bits on every device.
    whole = tf.concat([tf.shape(image_bytes, tf.int64), tf.constant(shape, tf.int64)], 0)
    placed = tf.scatter_nd(tf.where(read), tf.cast(pixels, tf.int32), whole)
    reasons = tf.where(read, tf.zeros([], tf.string), _reasons(image_bytes, config))
    return tf.ensure_shape(tf.cast(placed, config.dtype), [None, *shape]), reasons


def _is_read(shapes: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """Which decoded images have the channels that the model needs; bool [N]."""
    channels = shapes[:, 2]
    some = tf.reduce_all(shapes > 0, axis=1)
    if config.bands is not None:
        return some & (channels == len(config.bands))
    if config.nodata_rule is not None and config.nodata_rule.mask is not None:
        mask = config.nodata_rule.mask
        return some & (channels > max(mask, 1)) & (channels <= _MOST_CHANNELS + 1)
    return some & (channels <= _MOST_CHANNELS)


def _shapes(image_bytes: tf.Tensor, config: ImageConfig, max_pixels: int | None) -> tf.Tensor:
    """Height, width and channels of each file, int32 [N, 3]; zeros if it cannot be decoded."""
    depth = _Shape(config.bits, config.value_range, config.nodata_rule)
    checks_of = {} if max_pixels is None else dict(checks(max_pixels))

    def jpeg_shape(data: tf.Tensor) -> tf.Tensor:
        return depth.of_lossy(jpeg_pixels(data if max_pixels is None else jpeg_within(data, max_pixels)))

    # What is searched for in the segments of a JPEG cannot fail: it need not be in tf.data's function.
    found = _shapes_of_format(image_bytes, JPEG, jpeg_shape)
    if max_pixels is not None:
        found = _without_inverted(image_bytes, found)
    for start, decoder in decoders(depth, transparent_colour=is_blended(config)):
        if start != JPEG:
            found += _shapes_of_format(image_bytes, start, _after(checks_of.get(start, tf.identity), decoder))
    return found


def _after(check: OfFile, decoder: OfFile) -> OfFile:
    return lambda data: decoder(check(data))


def _without_inverted(image_bytes: tf.Tensor, shapes: tf.Tensor) -> tf.Tensor:
    """The shapes of JPEG files, with zeros for those whose colours TensorFlow would invert."""
    decoded = shapes[:, 0] > 0
    right = tf.map_fn(is_shown_right, tf.boolean_mask(image_bytes, decoded), fn_output_signature=tf.bool)
    kept = tf.scatter_nd(tf.where(decoded), tf.cast(right, tf.int32), tf.shape(image_bytes, tf.int64))
    return shapes * kept[:, None]


def _shapes_of_format(image_bytes: tf.Tensor, start: bytes, shape_of: OfFile) -> tf.Tensor:
    """`_shapes` of the files that begin with these bytes; zeros for the others too."""
    count = tf.shape(image_bytes)[0]
    positions = tf.where(starts_with(image_bytes, start))[:, 0]

    def decoded() -> tf.Tensor:
        shapes = (
            tf.data.Dataset.from_tensor_slices((positions, tf.gather(image_bytes, positions)))
            .map(lambda position, data: (position, shape_of(data)), num_parallel_calls=tf.data.AUTOTUNE)
            .ignore_errors()
            .batch(tf.shape(positions, tf.int64)[0])
        )
        # The optimizations of long pipelines cost a second for each call.
        options = tf.data.Options()
        options.autotune.enabled = False
        options.experimental_optimization.apply_default_optimizations = False
        none = (tf.zeros([0], tf.int64), tf.zeros([0, 3], tf.int32))
        where, found = shapes.with_options(options).reduce(none, lambda _, batch: batch)
        return tf.scatter_nd(tf.cast(where[:, None], tf.int32), found, tf.stack([count, 3]))

    return tf.cond(tf.size(positions) > 0, decoded, lambda: tf.zeros(tf.stack([count, 3]), tf.int32))


def _reasons(image_bytes: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """The likely reason for each image, string [N]; tf.data does not tell the decoder's."""
    known = [starts_with(image_bytes, start) for start in STARTS]
    reasons = tf.where(tf.reduce_any(tf.stack(known), axis=0), DAMAGED, NOT_READ)
    if config.nodata_rule is not None and config.nodata_rule.needs_exact_values:
        reasons = tf.where(known[STARTS.index(JPEG)], LOSSY, reasons)
    return tf.where(tf.strings.length(image_bytes) == 0, EMPTY, reasons)

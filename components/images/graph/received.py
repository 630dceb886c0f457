"""Checks files that a client sends to the served model, before they are decoded: ingestion checks other files.

The sizes in the headers: PNG specification, 11.2.1 (IHDR); GIF89a, 18; BITMAPINFOHEADER for BMP; JPEG through
tf.io.extract_jpeg_shape. GIF89a, 20 to 22: a frame's descriptor, its colours, and the sub-blocks of its data.
"""

import tensorflow as tf

from restem.images import container
from restem.images.graph.gif import first_frame, picture_size
from restem.images.graph.raw_bytes import big_endian, bytes_at, first_bytes, little_endian
from restem.images.graph.signatures import BMP, GIF, JPEG, PNG, OfFile, by_start

_HEADER_BYTES = 26
# A container may have this many values in all its channels together, for each pixel that is allowed (see `probe`).
_VALUES_PER_PIXEL = 4
_CMYK = 4
_ADOBE = list(b"Adobe")
_APP14, _SOS = 0xEE, 0xDA
_FIRST_SEGMENT_AT = 2
_MOST_SEGMENTS = 1024
_HAS_COLOURS, _COLOUR_BITS, _COLOUR_BYTES, _DESCRIPTOR_BYTES = 0x80, 7, 3, 10
_END_OF_GIF = b"\x3b"
# zlib's stored blocks have 5 bytes more for at least 16 KB, and the stream has 6.
_STORED_BLOCK = 2**14

TOO_LARGE = "the image is too large: width and height in pixels, and how many pixels are allowed"
TOO_LONG = "the raw container has more data than its header says"
NO_MARKER = (
    "this CMYK JPEG has no Adobe marker, and TensorFlow would invert it; convert it with "
    "restem.images.encode_for_serving"
)


def checked(image_bytes: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """The file, once it is known that its decoder will need no more memory than `max_pixels` allows.

    Of a GIF, only the part up to the end of its first frame is returned: TensorFlow would decode all frames.

    Args:
      image_bytes: string scalar, the encoded file.
      max_pixels: the limit for width x height.

    Raises:
      tf.errors.InvalidArgumentError: the file is larger; or it is a CMYK JPEG that TensorFlow shows inverted.
    """
    return by_start(tf.reshape(image_bytes, []), checks(max_pixels), tf.identity)  # others are refused by `decode`


def checks(max_pixels: int) -> list[tuple[bytes, OfFile]]:
    """The check of each format, as `checked` uses it, behind the first bytes of its files."""
    return [
        (JPEG, lambda data: _jpeg(data, max_pixels)),
        (PNG, lambda data: _png(data, max_pixels)),
        (GIF, lambda data: _gif(data, max_pixels)),
        (BMP, lambda data: _bmp(data, max_pixels)),
        (container.SIGNATURE, lambda data: _container(data, max_pixels)),
    ]


def _within(image_bytes: tf.Tensor, width: tf.Tensor, height: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """The file, if its size is allowed. Sizes of 2**31 and more arrive as negative numbers."""
    width, height = tf.cast(width, tf.int64), tf.cast(height, tf.int64)
    fits = (width >= 0) & (height >= 0) & (width * height <= max_pixels)
    with tf.control_dependencies([tf.debugging.Assert(fits, [TOO_LARGE, width, height, max_pixels])]):
        return tf.identity(image_bytes)


def _jpeg(image_bytes: tf.Tensor, max_pixels: int) -> tf.Tensor:
    image_bytes = jpeg_within(image_bytes, max_pixels)
    with tf.control_dependencies([tf.debugging.Assert(is_shown_right(image_bytes), [NO_MARKER])]):
        return tf.identity(image_bytes)


def jpeg_within(image_bytes: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """A JPEG file, if its size is allowed; fails otherwise, and if it has no size."""
    shape = tf.io.extract_jpeg_shape(image_bytes)
    return _within(image_bytes, shape[1], shape[0], max_pixels)


def is_shown_right(image_bytes: tf.Tensor) -> tf.Tensor:
    """Whether TensorFlow does not invert a JPEG: bool scalar. It fails only if the file has no size."""
    channels = tf.io.extract_jpeg_shape(image_bytes)[2]
    return tf.cond(channels == _CMYK, lambda: _has_adobe_marker(image_bytes), lambda: tf.constant(True))


def _has_adobe_marker(image_bytes: tf.Tensor) -> tf.Tensor:
    def head(position: tf.Tensor) -> tf.Tensor:
        return bytes_at(image_bytes, position, 4 + len(_ADOBE))

    def is_adobe(position: tf.Tensor) -> tf.Tensor:
        start = head(position)
        return (start[1] == _APP14) & tf.reduce_all(tf.equal(start[4:], _ADOBE))

    def goes_on(position: tf.Tensor) -> tf.Tensor:
        start = head(position)
        return (start[0] == 0xFF) & (start[1] != _SOS) & ~is_adobe(position)

    def step(position: tf.Tensor) -> list[tf.Tensor]:
        return [position + 2 + big_endian(head(position)[2:4])]

    begin = [tf.constant(_FIRST_SEGMENT_AT)]
    (position,) = tf.while_loop(goes_on, step, begin, maximum_iterations=_MOST_SEGMENTS)
    return is_adobe(position)


def _png(image_bytes: tf.Tensor, max_pixels: int) -> tf.Tensor:
    head = first_bytes(image_bytes, _HEADER_BYTES)
    return _within(image_bytes, big_endian(head[16:20]), big_endian(head[20:24]), max_pixels)


def _bmp(image_bytes: tf.Tensor, max_pixels: int) -> tf.Tensor:
    head = first_bytes(image_bytes, _HEADER_BYTES)
    # Rows from top to bottom have a negative height.
    return _within(image_bytes, little_endian(head[18:22]), tf.abs(little_endian(head[22:26])), max_pixels)


def _gif(image_bytes: tf.Tensor, max_pixels: int) -> tf.Tensor:
    height, width = tf.unstack(picture_size(image_bytes))
    image_bytes = _within(image_bytes, width, height, max_pixels)
    length = tf.strings.length(image_bytes)
    start, _ = first_frame(image_bytes)
    flags = bytes_at(image_bytes, start, _DESCRIPTOR_BYTES)[-1]
    colours = tf.bitwise.left_shift(2, tf.bitwise.bitwise_and(flags, _COLOUR_BITS))
    own = tf.where(tf.bitwise.bitwise_and(flags, _HAS_COLOURS) != 0, _COLOUR_BYTES * colours, 0)
    values = tf.cast(tf.io.decode_raw(image_bytes, tf.uint8), tf.int32)

    def is_block(position: tf.Tensor) -> tf.Tensor:
        return tf.where(position < length, values[tf.minimum(position, length - 1)], 0) > 0

    # Behind the descriptor and its colours there is a byte with the size of codes.
    begin = [start + _DESCRIPTOR_BYTES + own + 1]
    (end,) = tf.while_loop(is_block, lambda position: [position + 1 + values[position]], begin)
    whole = end < length  # An incomplete file is refused by its decoder.
    return tf.where(whole, tf.strings.substr(image_bytes, 0, tf.minimum(end + 1, length)) + _END_OF_GIF, image_bytes)


def _container(image_bytes: tf.Tensor, max_pixels: int) -> tf.Tensor:
    head = first_bytes(image_bytes, container.HEADER_BYTES)
    width = little_endian(head[container.WIDTH_AT : container.WIDTH_AT + 4])
    height = little_endian(head[container.HEIGHT_AT : container.HEIGHT_AT + 4])
    image_bytes = _within(image_bytes, width, height, max_pixels)
    channels = tf.cast(little_endian(head[container.CHANNELS_AT : container.CHANNELS_AT + 2]), tf.int64)
    values = tf.cast(width, tf.int64) * tf.cast(height, tf.int64) * channels
    fits = values <= _VALUES_PER_PIXEL * max_pixels
    sizes = tf.constant([0, *container.VALUE_BYTES.values()], tf.int64)
    size = values * sizes[tf.clip_by_value(head[container.TYPE_AT], 0, len(container.VALUE_BYTES))]
    # The most that zlib makes of so many bytes. TensorFlow's decoder itself has no limit.
    most = container.HEADER_BYTES + size + 5 * (size // _STORED_BLOCK + 1) + 6
    short = tf.cast(tf.strings.length(image_bytes), tf.int64) <= most
    with tf.control_dependencies(
        [
            tf.debugging.Assert(fits, [TOO_LARGE, width, height, max_pixels // tf.maximum(channels, 1) * 4]),
            tf.debugging.Assert(short, [TOO_LONG]),
        ]
    ):
        return tf.identity(image_bytes)

"""Encoded bytes -> uint8 pixels with the configured channels, as TensorFlow graph code.

What each kind of file becomes:

- 16-bit PNG: `round(v / 257)`, the PNG specification's own rescaling (65535 -> 255); 1, 2 and 4 bits fill 0..255.
- Grey to RGB: replicated. RGB to grey: Rec. 601 luma on the stored (gamma-encoded, not linear) values,
  0.299 R + 0.587 G + 0.114 B, in the integers of Pillow's `convert("L")`, hence equal to it.
- Alpha and palette transparency: dropped, the stored colour stands (as Pillow's `convert("RGB")`). With `bands` the
  file's channels are taken raw, alpha included.
- CMYK and YCCK JPEG: RGB by `(255 - ink)(255 - black) / 255`, no colour profile is applied.
- GIF: the first frame. BMP: 8 bits with palette or grey, 24 bits, 32 bits (the fourth byte is dropped: it is filler).
- EXIF orientation and embedded gamma or colour profiles are not applied.

A file that cannot be decoded whole raises tf.errors.InvalidArgumentError.
"""

from collections.abc import Callable

import tensorflow as tf

from components.images.config import ImageConfig

# Weights of Rec. 601 in 1/65536, rounded as in Pillow's Convert.c; they sum to exactly 65536, so grey stays grey.
_LUMA = (19595, 38470, 7471)
_LUMA_HALF = 1 << 15
_LUMA_SHIFT = 16

_HEADER_BYTES = 54
# Offsets in bytes of what is read from the headers.
_PNG_BIT_DEPTH_AT = 24
_BMP_DIB_SIZE_AT = 14
_BMP_BITS_AT = 28
_BMP_COMPRESSION_AT = 30
_BMP_COLOURS_USED_AT = 46

NOT_READ = "this is not a PNG, JPEG, BMP or GIF file"
BMP_NOT_READ = "only uncompressed BMP files of 8, 24 or 32 bits are read"


def decode(image_bytes: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    """Decodes one image of any size.

    Args:
      image_bytes: string scalar, the encoded file.
      config: says which channels come out; its size is not used.

    Returns:
      uint8 [height, width, config.count], values 0..255, in the order of config.names.

    Raises:
      tf.errors.InvalidArgumentError: no such format, damaged, or not as many channels as config.bands names.
    """
    pixels = decode_raw(image_bytes)
    pixels = _check_bands(pixels, config) if config.bands is not None else _to_channels(pixels, config.count)
    return tf.ensure_shape(pixels, [None, None, config.count])


def decode_raw(image_bytes: tf.Tensor) -> tf.Tensor:
    """Decodes one image without changing its channels: uint8 [height, width, 1..4], grey, grey+alpha, RGB or RGBA."""
    image_bytes = tf.reshape(image_bytes, [])
    decoders = [
        (b"\x89PNG\r\n\x1a\n", _decode_png),
        (b"\xff\xd8\xff", _decode_jpeg),
        (b"GIF8", _decode_gif),
        (b"BM", _decode_bmp),
    ]
    return _by_start(image_bytes, decoders)


def _by_start(image_bytes: tf.Tensor, decoders: list[tuple[bytes, Callable[[tf.Tensor], tf.Tensor]]]) -> tf.Tensor:
    """Decodes with the first decoder whose signature the file starts with.

    Nested conditions, not tf.switch_case: tf.Transform cannot hash an operation that holds a list of functions.
    """
    if not decoders:
        return _refuse(image_bytes)
    (start, decoder), *others = decoders
    return tf.cond(
        tf.strings.substr(image_bytes, 0, len(start)) == start,
        lambda: decoder(image_bytes),
        lambda: _by_start(image_bytes, others),
    )


def _decode_png(image_bytes: tf.Tensor) -> tf.Tensor:
    def deep() -> tf.Tensor:
        values = tf.cast(tf.io.decode_png(image_bytes, channels=0, dtype=tf.uint16), tf.int32)
        return tf.cast((values + 128) // 257, tf.uint8)

    is_deep = _header(image_bytes)[_PNG_BIT_DEPTH_AT] == 16
    return tf.cond(is_deep, deep, lambda: tf.io.decode_png(image_bytes, channels=0))


def _decode_jpeg(image_bytes: tf.Tensor) -> tf.Tensor:
    # The default transform is the fast one, up to 4 grey levels away from the exact one that others (Pillow) use.
    return tf.io.decode_jpeg(image_bytes, channels=0, dct_method="INTEGER_ACCURATE")


def _decode_gif(image_bytes: tf.Tensor) -> tf.Tensor:
    pixels = tf.io.decode_image(image_bytes, channels=3, expand_animations=False)
    return tf.ensure_shape(pixels, [None, None, 3])


def _decode_bmp(image_bytes: tf.Tensor) -> tf.Tensor:
    header = _header(image_bytes)
    bits = _little_endian(header, _BMP_BITS_AT, 2)
    plain = tf.equal(_little_endian(header, _BMP_COMPRESSION_AT, 4), 0)
    known = tf.reduce_any(tf.equal(bits, [8, 24, 32])) & (_little_endian(header, _BMP_DIB_SIZE_AT, 4) >= 40)
    with tf.control_dependencies([tf.debugging.Assert(plain & known, [BMP_NOT_READ])]):
        header = tf.identity(header)  # What is read of it below waits for the check too.
        pixels = tf.io.decode_bmp(image_bytes, channels=0)

    def through_palette() -> tf.Tensor:
        # TensorFlow gives the palette's indices as if they were grey levels.
        start = _BMP_DIB_SIZE_AT + _little_endian(header, _BMP_DIB_SIZE_AT, 4)
        start = tf.clip_by_value(start, 0, tf.strings.length(image_bytes))
        used = _little_endian(header, _BMP_COLOURS_USED_AT, 4)
        colours = tf.where(used == 0, 256, tf.minimum(used, 256))
        entries = tf.io.decode_raw(tf.strings.substr(image_bytes, start, 4 * colours), tf.uint8)
        palette = tf.reverse(tf.reshape(entries, [colours, 4])[:, :3], axis=[1])
        return tf.gather(palette, tf.cast(pixels[..., 0], tf.int32))

    return tf.cond(bits == 8, through_palette, lambda: pixels[..., :3])


def _refuse(image_bytes: tf.Tensor) -> tf.Tensor:
    del image_bytes  # Its first bytes would help in the message, but TensorFlow's errors must be valid UTF-8.
    with tf.control_dependencies([tf.debugging.Assert(False, [NOT_READ])]):
        return tf.zeros([0, 0, 0], tf.uint8)


def _header(image_bytes: tf.Tensor) -> tf.Tensor:
    """The first bytes as int32 [54], zeros after a shorter file's end.

    Reading beyond the end with tf.strings.substr is an error whose message holds the file's raw bytes, on which Python
    stumbles (UnicodeDecodeError).
    """
    start = tf.strings.substr(image_bytes, 0, _HEADER_BYTES) + bytes(_HEADER_BYTES)
    return tf.cast(tf.io.decode_raw(start, tf.uint8)[:_HEADER_BYTES], tf.int32)


def _little_endian(header: tf.Tensor, position: int, length: int) -> tf.Tensor:
    return tf.reduce_sum(header[position : position + length] * [256**i for i in range(length)])


def _to_channels(pixels: tf.Tensor, count: int) -> tf.Tensor:
    """uint8 [h, w, 1..4] -> uint8 [h, w, count] with count 1 or 3; an alpha channel (the last of 2 or 4) is dropped."""
    is_grey = tf.shape(pixels)[-1] < 3
    if count == 1:
        return tf.cond(is_grey, lambda: pixels[..., :1], lambda: _luma(pixels[..., :3]))
    return tf.cond(is_grey, lambda: tf.repeat(pixels[..., :1], 3, axis=-1), lambda: pixels[..., :3])


def _luma(rgb: tf.Tensor) -> tf.Tensor:
    weighted = tf.reduce_sum(tf.cast(rgb, tf.int32) * _LUMA, axis=-1, keepdims=True)
    return tf.cast(tf.bitwise.right_shift(weighted + _LUMA_HALF, _LUMA_SHIFT), tf.uint8)


def _check_bands(pixels: tf.Tensor, config: ImageConfig) -> tf.Tensor:
    found = tf.shape(pixels)[-1]
    complaint = [f"the configuration names {config.count} bands, the image's number of channels is", found]
    with tf.control_dependencies([tf.debugging.Assert(found == config.count, complaint)]):
        return tf.identity(pixels)

"""Reads and applies a PNG's transparent colour in the TensorFlow graph, because tf.io.decode_png ignores it.

PNG specification (third edition), 11.3.1.1: in grey and RGB files, the chunk tRNS names one colour that is transparent
everywhere; 5.3: the layout of a chunk. TensorFlow returns palettes with transparent entries as RGBA.
"""

import tensorflow as tf

from restem.images.graph.raw_bytes import big_endian, bytes_at, first_bytes

_SIGNATURE_BYTES = 8
_LENGTH_AND_NAME, _CHECKSUM = 8, 4
_IMAGE_DATA, _TRANSPARENCY, _END = list(b"IDAT"), list(b"tRNS"), list(b"IEND")
_BIT_DEPTH_AT = 24


def with_transparent_colour(pixels: tf.Tensor, image_bytes: tf.Tensor) -> tf.Tensor:
    """Adds alpha if a grey or RGB PNG names a transparent colour; other images are not changed.

    Args:
      pixels: uint8 or uint16 [h, w, C] from tf.io.decode_png with `channels=0`, which scales 1 to 7 bits to 0..255.
      image_bytes: string scalar, the file.

    Returns:
      The same dtype, [h, w, C] or [h, w, C + 1]: alpha is 0 at that colour, and the dtype's maximum elsewhere.
    """
    position = _transparency(image_bytes)
    channels = tf.shape(pixels)[-1]

    def added() -> tf.Tensor:
        named = big_endian(tf.reshape(bytes_at(image_bytes, position + _LENGTH_AND_NAME, 6), [3, 2]))[:channels]
        depth = tf.minimum(first_bytes(image_bytes, _BIT_DEPTH_AT + 1)[_BIT_DEPTH_AT], 16)
        most = tf.bitwise.left_shift(1, depth) - 1
        colour = tf.bitwise.bitwise_and(named, most) * tf.where(depth < 8, 255 // most, 1)
        opaque = tf.reduce_any(tf.not_equal(tf.cast(pixels, tf.int32), colour), axis=-1, keepdims=True)
        return tf.concat([pixels, tf.cast(opaque, pixels.dtype) * pixels.dtype.max], -1)

    return tf.cond((position > 0) & ((channels == 1) | (channels == 3)), added, lambda: pixels)


def _transparency(image_bytes: tf.Tensor) -> tf.Tensor:
    """The offset of the chunk tRNS, int32 scalar; 0 if there is none before the image data."""

    def name(position: tf.Tensor) -> tf.Tensor:
        return bytes_at(image_bytes, position, _LENGTH_AND_NAME)[4:]

    def goes_on(position: tf.Tensor) -> tf.Tensor:
        stops = [tf.reduce_all(tf.equal(name(position), each)) for each in (_IMAGE_DATA, _TRANSPARENCY, _END)]
        return ~tf.reduce_any(stops) & (position < tf.strings.length(image_bytes))

    def step(position: tf.Tensor) -> list[tf.Tensor]:
        length = big_endian(bytes_at(image_bytes, position, 4))
        # A chunk that is longer than the file, or than 31 bits allow, ends the search.
        rest = tf.strings.length(image_bytes) - position
        return [position + tf.where((length < 0) | (length > rest), rest, length + _LENGTH_AND_NAME + _CHECKSUM)]

    (position,) = tf.while_loop(goes_on, step, [tf.constant(_SIGNATURE_BYTES)])
    return tf.where(tf.reduce_all(tf.equal(name(position), _TRANSPARENCY)), position, 0)

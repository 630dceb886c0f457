"""Checks in the graph whether TensorFlow decodes a GIF file correctly.

tf.io.decode_gif paints transparent pixels black, whatever their stored colour, and returns the size of the largest
frame instead of the picture. So the graph decodes only opaque files whose first frame fills the picture and refuses
others; `restem.images.arrays` decodes those during ingestion.

GIF89a specification: 18 and 20, the picture's and a frame's descriptor; 23, the graphic control extension.
"""

import tensorflow as tf

from restem.images.graph.raw_bytes import bytes_at, first_bytes, little_endian

_EXTENSION, _GRAPHIC_CONTROL, _FRAME = 0x21, 0xF9, 0x2C
_PICTURE_BYTES = 13
_HAS_PALETTE = 0x80
_PALETTE_BITS = 7
_COLOUR_BYTES = 3
_TRANSPARENT = 1
_SIZES_AT = 5  # in a frame's descriptor, after its marker and position


def is_plain(image_bytes: tf.Tensor) -> tf.Tensor:
    """Whether a GIF's first frame is opaque and fills the picture: bool scalar; False if the GIF is incomplete."""
    position, transparent = first_frame(image_bytes)
    frame = bytes_at(image_bytes, position, _SIZES_AT + 4)
    size = first_bytes(image_bytes, _PICTURE_BYTES)[6:10]
    fills = tf.reduce_all(tf.equal(frame, tf.concat([[_FRAME, 0, 0, 0, 0], size], 0)))
    return fills & ~transparent


def first_frame(image_bytes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The offset of a GIF's first frame, int32 scalar, and whether that frame has a transparent colour, bool scalar.

    It scans the blocks before the first frame: extensions, each a chain of sub-blocks with their lengths.
    """
    picture = first_bytes(image_bytes, _PICTURE_BYTES)
    has_palette = tf.bitwise.bitwise_and(picture[10], _HAS_PALETTE) != 0
    colours = tf.bitwise.left_shift(2, tf.bitwise.bitwise_and(picture[10], _PALETTE_BITS))
    start = _PICTURE_BYTES + tf.where(has_palette, _COLOUR_BYTES * colours, 0)

    def is_before_the_frame(position: tf.Tensor, inside: tf.Tensor, transparent: tf.Tensor) -> tf.Tensor:
        del transparent
        return inside | (bytes_at(image_bytes, position, 1)[0] == _EXTENSION)

    def step(position: tf.Tensor, inside: tf.Tensor, transparent: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        head = bytes_at(image_bytes, position, 4)
        is_control = ~inside & (head[1] == _GRAPHIC_CONTROL)
        transparent |= is_control & (tf.bitwise.bitwise_and(head[3], _TRANSPARENT) != 0)
        # Skips the marker and type of an extension, or the length and content of a sub-block.
        return position + tf.where(inside, 1 + head[0], 2), ~inside | (head[0] > 0), transparent

    # Each step moves forward, and the zeros after the file's end stop the loop.
    begin = (start, tf.constant(False), tf.constant(False))
    position, _, transparent = tf.while_loop(is_before_the_frame, step, begin)
    return position, transparent


def picture_size(image_bytes: tf.Tensor) -> tf.Tensor:
    """Height and width in a GIF's header, int32 [2]."""
    picture = first_bytes(image_bytes, _PICTURE_BYTES)
    return tf.stack([little_endian(picture[8:10]), little_endian(picture[6:8])])

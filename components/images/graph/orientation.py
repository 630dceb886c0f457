"""Reads and applies EXIF orientation in the TensorFlow graph, so that serving rotates images like training.

JEITA CP-3451 (Exif), 4.5.4: the first segments of a JPEG file; TIFF 6.0: the directory inside; tag 274 is Orientation.
"""

import tensorflow as tf

from restem.images.graph.raw_bytes import big_endian, bytes_at, first_bytes, little_endian

_EXIF = b"Exif\0\0"
_FIRST_SEGMENT_AT = 2
_APP0, _APP15, _APP1, _COMMENT = 0xE0, 0xEF, 0xE1, 0xFE
_ORIENTATION_TAG = 274
_MOST_SEGMENTS = 64
_MOST_TAGS = 256
_TAG_BYTES = 12
UPRIGHT = 1
# A typical file without EXIF: a JFIF segment of 16 bytes, followed by the quantisation tables. Position -> byte.
_PLAIN = {3: 0xE0, 4: 0, 5: 16, 20: 0xFF, 21: 0xDB}


def upright(pixels: tf.Tensor, image_bytes: tf.Tensor) -> tf.Tensor:
    """Rotates a decoded JPEG [h, w, C] according to the file's EXIF data.

    For most files, 22 bytes show that they are upright: every operation counts at a millisecond per image.
    """
    start = first_bytes(image_bytes, max(_PLAIN) + 1)
    is_plain = tf.reduce_all(tf.equal(tf.gather(start, list(_PLAIN)), list(_PLAIN.values())))
    return tf.cond(is_plain, lambda: pixels, lambda: apply_orientation(pixels, jpeg_orientation(image_bytes)))


def jpeg_orientation(image_bytes: tf.Tensor) -> tf.Tensor:
    """The orientation of a JPEG file: int32 scalar 1..8, 1 (upright) if the file has none.

    It searches the APPn and comment segments at the start of the file for EXIF.
    """

    def is_header(position: tf.Tensor, marker: tf.Tensor) -> tf.Tensor:
        del position
        return ((marker >= _APP0) & (marker <= _APP15)) | (marker == _COMMENT)

    def step(position: tf.Tensor, marker: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        del marker
        head = bytes_at(image_bytes, position + 2, 2)
        position += 2 + head[0] * 256 + head[1]
        return position, found(position)

    def found(position: tf.Tensor) -> tf.Tensor:
        """The marker of the segment at this position; -1 for EXIF, which ends the search."""
        head = bytes_at(image_bytes, position, 4 + len(_EXIF))
        is_exif = (head[1] == _APP1) & tf.reduce_all(tf.equal(head[4:], list(_EXIF)))
        return tf.where(head[0] != 0xFF, 0, tf.where(is_exif, -1, head[1]))

    start = tf.constant(_FIRST_SEGMENT_AT)
    position, marker = tf.while_loop(is_header, step, (start, found(start)), maximum_iterations=_MOST_SEGMENTS)
    return tf.cond(
        marker == -1,
        lambda: _of_directory(image_bytes, position + 4 + len(_EXIF)),
        lambda: tf.constant(UPRIGHT),
    )


def apply_orientation(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Rotates and mirrors an image [h, w, C] so that it is upright; 5 to 8 swap height and width."""

    def turned() -> tf.Tensor:
        def among(*values: int) -> tf.Tensor:
            return tf.reduce_any(tf.equal(orientation, values))

        standing = tf.cond(orientation >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
        mirrored = tf.cond(among(2, 3, 6, 7), lambda: tf.reverse(standing, [1]), lambda: standing)
        return tf.cond(among(3, 4, 7, 8), lambda: tf.reverse(mirrored, [0]), lambda: mirrored)

    return tf.cond(orientation == UPRIGHT, lambda: pixels, turned)


def _of_directory(image_bytes: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """The orientation in the TIFF structure at this position."""
    head = bytes_at(image_bytes, start, 8)
    is_big_endian = head[0] == ord("M")

    def number(values: tf.Tensor) -> tf.Tensor:
        """int32 [..., n] bytes -> [...]."""
        return tf.cond(is_big_endian, lambda: big_endian(values), lambda: little_endian(values))

    # An offset of 2**31 or more is negative here, and clipped to 0.
    at = start + tf.clip_by_value(number(head[4:8]), 0, tf.strings.length(image_bytes))
    count = tf.minimum(number(bytes_at(image_bytes, at, 2)), _MOST_TAGS)
    entries = tf.reshape(bytes_at(image_bytes, at + 2, _MOST_TAGS * _TAG_BYTES), [_MOST_TAGS, _TAG_BYTES])
    is_orientation = (number(entries[:, :2]) == _ORIENTATION_TAG) & (tf.range(_MOST_TAGS) < count)
    value = tf.reduce_max(tf.where(is_orientation, number(entries[:, 8:10]), 0))
    return tf.where((value >= 1) & (value <= 8), value, UPRIGHT)

"""The first bytes of the formats that the graph reads, and the choice by them."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from restem.images import container

JPEG, PNG, GIF, BMP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM"
STARTS = (JPEG, PNG, GIF, BMP, container.SIGNATURE)

OfFile = Callable[[tf.Tensor], tf.Tensor]


def starts_with(image_bytes: tf.Tensor, start: bytes) -> tf.Tensor:
    """Whether encoded files, string of any shape, begin with these bytes; bool of that shape."""
    return tf.strings.substr(image_bytes, 0, len(start)) == start


def by_start(image_bytes: tf.Tensor, functions: Sequence[tuple[bytes, OfFile]], otherwise: OfFile) -> tf.Tensor:
    """Calls the first function whose bytes a file begins with.

    It nests tf.cond instead of using tf.switch_case, because tf.Transform cannot hash an operation with a list of
    functions.

    Args:
      image_bytes: string scalar, the encoded file.
      functions: of the file, each behind the first bytes of its format.
      otherwise: for files of other formats.
    """
    if not functions:
        return otherwise(image_bytes)
    (start, function), *others = functions
    return tf.cond(
        starts_with(image_bytes, start),
        lambda: function(image_bytes),
        lambda: by_start(image_bytes, others, otherwise),
    )

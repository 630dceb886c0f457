"""GIF files that TensorFlow would misread are decoded during ingestion and refused in the graph."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from restem.images.arrays import decodable, read_array
from restem.images.config import ImageConfig
from restem.images.graph.decode import decode, decode_raw
from restem.images.probe import probe

LIMITS = {"max_pixels": 10_000, "max_bytes": 1 << 20}
REFUSED = "only GIF files without transparency"


@pytest.fixture(scope="module")
def frames(photo) -> list[Image.Image]:
    return [Image.fromarray(np.roll(photo, shift, 0)).quantize(16) for shift in (0, 5, 9)]


def gif(frames: list[Image.Image], **options) -> bytes:
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], **options)
    return buffer.getvalue()


def with_picture_size(data: bytes, width: int, height: int) -> bytes:
    """The same frames in a picture of a different size."""
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


def first_frame(data: bytes, mode: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode))


@pytest.mark.parametrize("options", [{}, {"comment": b"a word " * 100}, {"loop": 0}, {"duration": 40}], ids=str)
def test_one_opaque_frame_is_decoded_in_the_graph_after_any_extensions(frames, options):
    data = gif(frames[:1], **options)
    assert probe(data, **LIMITS).in_graph
    np.testing.assert_array_equal(decode_raw(tf.constant(data)), first_frame(data, "RGB"))


def test_only_the_first_of_several_frames_is_used(frames):
    data = gif(frames, loop=0)
    header = probe(data, **LIMITS)
    assert (header.in_graph, header.channels) == (False, 3)  # TensorFlow would decode them all.
    np.testing.assert_array_equal(read_array(data, header), first_frame(data, "RGB"))
    # A client may still send it unchanged; the result equals the training pixels.
    np.testing.assert_array_equal(decode_raw(tf.constant(data)), first_frame(data, "RGB"))


@pytest.mark.parametrize("count", [1, 3], ids=["still", "animated"])
def test_transparent_pixels_keep_their_colour_or_show_the_background(frames, count):
    data = gif(frames[:count], transparency=3, disposal=2)
    header = probe(data, **LIMITS)
    assert (header.in_graph, header.channels) == (False, 4)
    expected = first_frame(data, "RGBA")
    assert set(np.unique(expected[..., 3])) == {0, 255}
    np.testing.assert_array_equal(read_array(data, header), expected)
    sent = tf.constant(decodable(data, header))
    colour = decode(sent, ImageConfig(size=8)).numpy()
    np.testing.assert_array_equal(colour, expected[..., :3])
    blended = decode(sent, ImageConfig(size=8, background="white")).numpy()
    np.testing.assert_array_equal(blended, np.where(expected[..., 3:] == 0, 255, expected[..., :3]))
    with pytest.raises(tf.errors.InvalidArgumentError, match=REFUSED):
        decode_raw(tf.constant(data))


@pytest.mark.parametrize(("width", "height"), [(100, 90), (83, 62), (30, 20)])
def test_a_frame_that_is_not_the_whole_picture_is_read_like_pillow(frames, width, height):
    data = with_picture_size(gif(frames[:1]), width, height)
    header = probe(data, **LIMITS)
    expected = first_frame(data, "RGB")
    assert (header.height, header.width, header.in_graph) == (*expected.shape[:2], False)
    np.testing.assert_array_equal(read_array(data, header), expected)
    with pytest.raises(tf.errors.InvalidArgumentError, match=REFUSED):
        decode_raw(tf.constant(data))


def test_a_later_frame_that_is_larger_costs_nothing_and_changes_nothing(frames):
    small = frames[0].crop((0, 0, 10, 10))
    one, other = gif([small]), gif(frames[1:2])
    # The other file's frame with its palette, after its header of 13 bytes and 16 colours.
    start = other.index(b"\x2c\0\0\0\0", 13 + 3 * 16)
    data = one[:-1] + other[start:]
    header = probe(data, **LIMITS)
    assert (header.height, header.width, header.in_graph) == (10, 10, False)
    np.testing.assert_array_equal(read_array(data, header), np.asarray(small.convert("RGB")))
    with pytest.raises(tf.errors.InvalidArgumentError, match=REFUSED):
        decode_raw(tf.constant(data))

"""What the served graph refuses before it decodes it."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from restem.images import container
from restem.images.graph.received import checked

LIMIT = 200


@pytest.fixture(scope="module")
def check():
    graph = tf.function(lambda data: checked(data, LIMIT), [tf.TensorSpec([], tf.string)], autograph=False)
    return lambda data: graph(tf.constant(data)).numpy()


def saved(kind: str, width: int, height: int, mode: str = "RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "container"])
def test_larger_images_are_refused_by_their_header(check, kind):
    def make(width: int, height: int) -> bytes:
        if kind == "container":
            return container.pack(np.zeros((height, width, 1), np.float32))
        return saved(kind, width, height)

    check(make(20, 10))
    check(make(10, 20))
    for width, height in ((20, 11), (201, 1), (1, 201)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="too large"):
            check(make(width, height))


def test_sizes_of_31_bits_and_more_are_refused(check):
    png = bytearray(saved("PNG", 2, 2))
    for width, height in ((2**31 - 1, 2**31 - 1), (2**32 - 1, 1), (2**31, 2**31)):
        png[16:24] = struct.pack(">II", width, height)
        with pytest.raises(tf.errors.InvalidArgumentError, match="too large"):
            check(bytes(png))


def test_a_container_that_unpacks_to_more_than_its_header_says(check):
    whole = container.pack(np.random.default_rng(0).integers(0, 256, (10, 20, 4), np.uint8))
    assert check(whole) == whole
    noise = np.random.default_rng(1).bytes(5000)
    with pytest.raises(tf.errors.InvalidArgumentError, match="more data than its header says"):
        check(whole[: container.HEADER_BYTES] + zlib.compress(noise))
    with pytest.raises(tf.errors.InvalidArgumentError, match="too large"):
        check(container.pack(np.zeros((10, 20, 5), np.uint8)))


@pytest.mark.parametrize("comment", [b"", b"x" * 700])
def test_only_the_first_frame_of_a_gif_is_decoded(check, comment):
    frames = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (10, 20), np.uint8)) for i in range(30)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], comment=comment)
    data = check(file.getvalue())
    assert len(data) < len(file.getvalue()) / 10
    first = tf.io.decode_image(tf.constant(data), channels=3, expand_animations=False).numpy()
    np.testing.assert_array_equal(first, np.asarray(Image.open(file).convert("RGB")))
    single = saved("GIF", 20, 10)
    assert check(single) == single
    for end in range(6, len(single), 5):
        check(single[:end])  # the decoder refuses it


def test_a_cmyk_jpeg_without_adobes_marker_is_refused_since_tensorflow_inverts_it(check):
    marked = saved("JPEG", 16, 8, "CMYK")
    start = marked.index(b"\xff\xee")
    plain = marked[:start] + marked[start + 2 + struct.unpack_from(">H", marked, start + 2)[0] :]
    assert check(marked) == marked
    with pytest.raises(tf.errors.InvalidArgumentError, match="no Adobe marker"):
        check(plain)


def test_other_bytes_are_left_to_the_decoder(check):
    for data in (b"", b"x", b"II*\0", bytes(100)):
        assert check(data) == data

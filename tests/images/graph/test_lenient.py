"""An image that `preprocess_readable` takes for readable must never fail later: it would fail the whole batch."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from restem.images import container
from restem.images.config import ImageConfig
from restem.images.graph.lenient import preprocess_readable
from restem.images.graph.preprocess import preprocess_one
from restem.images.graph.received import checked
from tests.benchmarks.traffic import encoded, pixels, saved, without_marker

LIMIT = 4000
CHANGES = 6  # of each file


def make(config: ImageConfig):
    """The strict function of one image, and the lenient one of a batch."""
    one = tf.TensorSpec([], tf.string)
    strict = tf.function(lambda data: preprocess_one(checked(data, LIMIT), config), [one], autograph=False)
    lenient = tf.function(
        lambda batch: preprocess_readable(batch, config, strict, LIMIT),
        [tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
    return strict, lenient


def changed(rng: np.random.Generator, data: bytes) -> bytes:
    """The file cut, or with a few other bytes, most of them in its header."""
    if rng.random() < 0.3:
        return data[: int(rng.integers(1, len(data) + 1))]
    values = np.frombuffer(data, np.uint8).copy()
    places = rng.integers(0, min(len(values), rng.choice([30, 60, 10**6])), 3)
    values[places] = rng.integers(0, 256, 3)
    return data[:4] + values.tobytes()[4:]


@pytest.mark.parametrize(
    "config",
    [
        {"channels": 3, "value_range": (0.0, 1000.0)},
        {"channels": 1, "background": "white", "nodata": 0},
        {"channels": 3, "nodata": {"band": 2}},
        {"bands": ("a", "b", "c"), "select": ("b",)},
    ],
    ids=str,
)
def test_a_batch_of_damaged_files_is_answered_as_each_of_them_alone(config):
    rng = np.random.default_rng(1)
    image = ImageConfig(size=8, **config)
    picture = pixels(rng, 20, 10)
    whole = [
        encoded(form, picture)
        for form in ("png", "png_rgba", "png_palette", "png_grey16", "jpeg", "jpeg_grey", "cmyk", "gif", "bmp", "bmp8")
    ]
    grey = Image.fromarray(picture[..., 0])
    whole += [saved(grey.convert("LA"), "PNG"), saved(grey, "PNG", transparency=7), saved(grey, "BMP")]
    whole += [saved(Image.new("1", (9, 9)), "PNG"), saved(Image.fromarray(picture).convert("RGBA"), "BMP")]
    for kind in (np.uint8, np.uint16, np.float32, np.float64):
        whole += [container.pack(picture[..., :1].astype(kind)), container.pack(picture.astype(kind))]
    whole.append(container.pack(np.concatenate([picture, picture], -1)))
    whole.append(container.pack(np.full((4, 4, 3), np.nan, np.float32)))
    rotated = Image.Exif()
    rotated[274] = 6
    whole += [
        saved(Image.fromarray(picture), "JPEG", exif=rotated),
        without_marker(encoded("cmyk", picture)),
        b"",
        b"x",
    ]
    batch = whole + [changed(rng, data) for data in whole for _ in range(CHANGES) if data]
    strict, lenient = make(image)
    found, reasons = (value.numpy() for value in lenient(tf.constant(batch)))
    for data, answer, reason in zip(batch, found, reasons, strict=True):
        try:
            expected = strict(tf.constant(data)).numpy()
        except (tf.errors.InvalidArgumentError, tf.errors.DataLossError):
            assert reason
            assert not answer.any()
        else:
            assert not reason, data[:100]
            np.testing.assert_array_equal(answer, expected)
    assert 10 < sum(reason == b"" for reason in reasons) < len(batch) - 10

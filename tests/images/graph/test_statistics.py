import numpy as np
import pytest
import tensorflow as tf

from restem.images.graph.statistics import ChannelSums, channel_sums, mean_and_std


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_sums_of_batches_give_the_mean_and_deviation_of_all_pixels(kind):
    pixels = np.random.default_rng(1).integers(0, np.iinfo(kind).max, (10, 6, 5, 3), kind, endpoint=True)
    parts = [channel_sums(tf.constant(part)) for part in (pixels[:3], pixels[3:])]
    total = ChannelSums(*(sum(part[i].numpy().sum(0) for part in parts) for i in range(4)))
    mean, std = mean_and_std(total)
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std((0, 1, 2)), rtol=1e-9)


def test_sums_are_exact_when_float32_and_int32_are_not():
    # 400 x 400 white pixels: the squares sum to 1.04e10, too large for int32 and for exact odd numbers in float32.
    white = tf.fill([1, 400, 400, 1], tf.constant(255, tf.uint8))
    found = channel_sums(white)
    assert int(found.sums[0, 0]) == 160_000 * 255
    assert (int(found.squares_high[0, 0]) << 32) + int(found.squares_low[0, 0]) == 160_000 * 255**2


def test_16_bit_sums_of_a_million_white_images_do_not_overflow():
    one = channel_sums(tf.fill([1, 300, 300, 1], tf.constant(65535, tf.uint16)))
    images = 1_000_000
    total = ChannelSums(*(part.numpy()[0] * images for part in one))
    # The squares of a million images of 90,000 pixels sum to 3.9e20; int64's maximum is 9.2e18.
    assert (int(total.squares_high[0]) << 32) + int(total.squares_low[0]) == images * 90_000 * 65535**2 > 2**63
    mean, std = mean_and_std(total)
    np.testing.assert_allclose([mean[0], std[0]], [65535, 0], atol=0.01)


def test_a_constant_channel_has_no_deviation():
    mean, std = mean_and_std(ChannelSums([7 * 9], [0], [49 * 9], [9]))
    assert (mean.tolist(), std.tolist()) == ([7.0], [0.0])

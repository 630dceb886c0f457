import numpy as np
import tensorflow as tf

from components.images.statistics import channel_sums, mean_and_std


def test_sums_of_batches_give_the_mean_and_deviation_of_all_pixels():
    pixels = np.random.default_rng(1).integers(0, 256, (10, 6, 5, 3), np.uint8)
    parts = [channel_sums(tf.constant(part)) for part in (pixels[:3], pixels[3:])]
    sums, squares = (sum(part[i].numpy().sum(0) for part in parts) for i in (0, 1))
    mean, std = mean_and_std(sums, squares, 10 * 6 * 5)
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std((0, 1, 2)), rtol=1e-9)


def test_sums_are_exact_where_float32_and_int32_are_not():
    # 400 x 400 white pixels: the squares sum to 1.04e10, beyond int32, and an odd total beyond float32.
    white = tf.fill([1, 400, 400, 1], tf.constant(255, tf.uint8))
    sums, squares = channel_sums(white)
    assert (int(sums[0, 0]), int(squares[0, 0])) == (160_000 * 255, 160_000 * 255**2)


def test_a_constant_channel_has_no_deviation():
    mean, std = mean_and_std(np.array([7 * 9]), np.array([49 * 9]), 9)
    assert (mean.tolist(), std.tolist()) == ([7.0], [0.0])

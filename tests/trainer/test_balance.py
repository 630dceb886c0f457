import numpy as np
import pytest

from restem.trainer.balance import balanced_repeats, balanced_weights, epoch_length
from restem.trainer.config import TrainConfig

labels = np.array([0] * 80 + [1] * 16 + [3] * 4)  # no image of class 2


def test_weights_let_every_class_count_the_same():
    weights = balanced_weights(labels, None)
    totals = [weights[labels == label].sum() for label in (0, 1, 3)]
    np.testing.assert_allclose(totals, 100 / 3, rtol=1e-5)
    assert weights.dtype == np.float32


def test_the_examples_own_weights_count_within_their_class():
    own = np.ones(100, np.float32)
    own[0] = 5
    weights = balanced_weights(labels, own)
    assert weights[0] == pytest.approx(5 * weights[1])
    np.testing.assert_allclose([weights[labels == label].sum() for label in (0, 1, 3)], own.sum() / 3, rtol=1e-5)


def test_sampling_shows_every_class_equally_often():
    first, second = balanced_repeats(labels, 0, 0), balanced_repeats(labels, 0, 1)
    for repeats in (first, second):
        assert [repeats[labels == label].sum() for label in (0, 1, 3)] == [33, 33, 33]
        assert repeats[labels == 3].min() >= 8
    # Of the large class, other images are left out in each epoch.
    assert (first != second).any()
    np.testing.assert_array_equal(first, balanced_repeats(labels, 0, 0))
    assert epoch_length(labels, TrainConfig(balance="sampling")) == first.sum() == 99
    assert epoch_length(labels, TrainConfig()) == 100

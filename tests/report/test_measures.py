import math

import numpy as np
import pytest

from restem.report import measures


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe 1998 (Statistics in Medicine 17, 857-872), table I, method 3: Wilson's limits.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilson_interval_equals_the_published_limits(successes, trials, low, high):
    interval = measures.wilson_interval(successes, trials)
    assert interval.value == pytest.approx(successes / trials)
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


def test_wilson_interval_of_nothing_is_everything():
    interval = measures.wilson_interval(0, 0)
    assert math.isnan(interval.value)
    assert (interval.low, interval.high) == (0.0, 1.0)


def test_wilson_interval_refuses_impossible_counts():
    with pytest.raises(ValueError, match="must not be greater"):
        measures.wilson_interval(4, 3)


def test_confusion_has_true_classes_in_rows():
    matrix = measures.confusion(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 1]), 3)
    np.testing.assert_array_equal(matrix, [[1, 0, 1], [0, 1, 0], [0, 1, 0]])


def test_class_scores_by_hand():
    labels, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 2])
    first, second, third = measures.class_scores(labels, predicted, 3)
    assert (first.images, first.precision, first.recall, first.f1) == (3, *[pytest.approx(2 / 3)] * 3)
    assert (second.images, second.precision, second.recall, second.f1) == (2, 0.5, 0.5, 0.5)
    assert (third.images, third.precision, third.recall, third.f1) == (1, 1, 1, 1)


def test_class_scores_of_absent_classes_are_unknown_not_zero():
    # Class 0 is present and never found, class 1 is only predicted, class 2 is neither.
    never_found, only_predicted, absent = measures.class_scores(np.array([0, 0]), np.array([1, 1]), 3)
    assert (never_found.precision, never_found.recall, never_found.f1) == (None, 0.0, 0.0)
    assert (only_predicted.precision, only_predicted.recall, only_predicted.f1) == (0.0, None, 0.0)
    assert (absent.precision, absent.recall, absent.f1) == (None, None, None)


def test_the_most_confident_of_the_chosen_predictions():
    labels, predicted = np.array([0, 1, 1, 0, 1]), np.array([0, 0, 0, 1, 0])
    confidence = np.array([0.99, 0.5, 0.9, 0.7, 0.9])
    assert measures.surest(labels != predicted, confidence, 3).tolist() == [2, 4, 3]
    assert measures.surest(labels != labels, confidence, 3).tolist() == []

import math

import numpy as np
import pytest

from restem.evaluator.reliability import calibration


def test_calibration_by_hand():
    confidence = np.array([0.35, 0.35, 0.75, 0.85, 0.95, 0.95])
    right = np.array([True, False, True, False, True, True])
    found = calibration(confidence, right, bins=2)
    np.testing.assert_array_equal(found.images, [2, 4])
    np.testing.assert_allclose(found.confidence, [0.35, 0.875])
    np.testing.assert_allclose(found.accuracy, [0.5, 0.75])
    # 2/6 * |0.5 - 0.35| + 4/6 * |0.75 - 0.875|
    assert found.expected_error == pytest.approx(0.05 + 0.25 / 3)


def test_calibration_puts_edges_into_the_lower_bin_and_ignores_empty_bins():
    found = calibration(np.array([0.0, 0.5, 1.0]), np.array([False, True, True]), bins=4)
    np.testing.assert_array_equal(found.images, [1, 1, 0, 1])
    assert math.isnan(found.accuracy[2])
    assert found.expected_error == pytest.approx(0.5 / 3)

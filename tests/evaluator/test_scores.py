"""Every figure, against one computed by its definition."""

import numpy as np
import pytest
import scipy.special

from restem.evaluator.scores import scores, top_k
from tests.evaluator import independent


def answers(classes, sureness=1.5, images=400):
    rng = np.random.default_rng(classes)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, images - classes) ** 2 // classes])
    logits = rng.normal(0, 1, (images, classes))
    logits[np.arange(images), labels] += 1
    return labels, scipy.special.softmax(sureness * logits, axis=1).astype(np.float32)


@pytest.mark.parametrize("classes", [2, 3, 4, 12])
def test_every_figure_is_the_one_by_its_definition(classes):
    labels, probabilities = answers(classes)
    expected = independent.figures(labels, probabilities)
    del expected["accuracy"]  # TFMA's
    assert scores(labels, probabilities) == pytest.approx(expected, rel=1e-6)


def test_k_depends_on_the_number_of_classes():
    assert [top_k(classes) for classes in (2, 3, 4, 7, 10, 1000)] == [None, None, 2, 3, 5, 5]


def test_a_class_without_images_is_in_no_mean_and_one_that_is_never_predicted_has_no_precision():
    labels, probabilities = np.array([0, 0, 1, 1]), np.array([[7, 2, 1], [6, 3, 1], [6, 3, 1], [5, 4, 1]], "f4") / 10
    found = scores(labels, probabilities)
    assert (found["balanced_accuracy"], found["macro_precision"]) == (0.5, 0.25)
    assert found["macro_f1"] == pytest.approx(1 / 3)
    assert found["auc"] == pytest.approx(7 / 8)


def test_what_cannot_be_measured_is_not_a_number():
    one = scores(np.zeros(3, int), np.array([[0.9, 0.1]] * 3, "f4"))
    assert np.isnan([one["kappa"], one["auc"], one["average_precision"]]).all()
    assert one["log_loss"] == pytest.approx(-np.log(0.9), rel=1e-6)
    broken = scores(np.array([0, 1]), np.array([[0.9, 0.1], [np.nan, np.nan]], "f4"))
    assert np.isnan(broken["log_loss"])
    assert broken["balanced_accuracy"] == 0.5
    assert scores(np.array([0, 1]), np.eye(2, dtype="f4"))["kappa"] == 1

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from restem.evaluator import metrics
from restem.evaluator.metrics import Sample
from restem.evaluator.terms import METRICS


def sample(images=400, classes=5, accuracies=(0.9, 0.7), seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes - 1, images)  # the last class has no image
    guesses = [
        np.where(rng.random(images) < accuracy, labels, rng.integers(0, classes, images)) for accuracy in accuracies
    ]
    return Sample(classes, labels, *guesses)


def test_values_equal_scikit_learns():
    found = sample()
    present = np.unique(found.labels)
    expected = {
        "accuracy": np.mean(found.labels == found.candidate),
        "balanced_accuracy": balanced_accuracy_score(found.labels, found.candidate),
        "macro_f1": f1_score(found.labels, found.candidate, labels=present, average="macro"),
    }
    for metric in METRICS:
        assert metrics.value(metric, found) == pytest.approx(expected[metric])
        assert np.isnan(metrics.value(metric, found.only(np.zeros(400, bool))))


@pytest.mark.parametrize("metric", METRICS)
def test_limits_surround_the_value_shrink_with_images_and_are_the_same_every_time(metric):
    few, many = sample(100), sample(1600)
    widths = []
    for one in (few, many):
        for found in (metrics.interval(metric, one, 0.95), metrics.difference(metric, one, 0.95)):
            assert found.low < found.value < found.high
            widths.append(found.high - found.low)
    assert widths[2] < widths[0] / 2
    assert widths[3] < widths[1] / 2
    assert metrics.difference(metric, many, 0.95).low > 0
    assert metrics.difference(metric, few, 0.95) == metrics.difference(metric, sample(100), 0.95)
    assert metrics.difference(metric, few, 0.99).low < metrics.difference(metric, few, 0.95).low


@pytest.mark.parametrize("metric", METRICS)
def test_equal_answers_do_not_prove_equality(metric):
    one = sample(50)
    found = metrics.difference(metric, Sample(one.classes, one.labels, one.candidate, one.candidate), 0.95)
    assert found.value == 0
    # None of 50 images is different: up to 5.8% of all images may be.
    assert found.low <= -0.058
    assert found.high >= 0.058


@pytest.mark.parametrize("metric", METRICS)
def test_the_metrics_agree_where_they_measure_the_same(metric):
    """Two equally frequent classes with equal errors: all three metrics are the accuracy."""
    labels = np.repeat([0, 1], 200)
    candidate, baseline = labels.copy(), labels.copy()
    candidate[::20] ^= 1
    baseline[::8] ^= 1
    one = Sample(2, labels, candidate, baseline)
    accuracy, found = (metrics.difference(each, one, 0.95) for each in ("accuracy", metric))
    assert found.value == pytest.approx(accuracy.value, abs=1e-3)
    assert (found.low, found.high) == pytest.approx((accuracy.low, accuracy.high), abs=0.01)


def test_a_constant_answer_is_a_baseline():
    one = sample()
    largest = int(one.by_class.argmax())
    against = one.against(largest)
    assert metrics.difference("accuracy", against, 0.95).value == pytest.approx(
        metrics.value("accuracy", one) - one.by_class.max() / one.images
    )
    assert metrics.difference("balanced_accuracy", against, 0.95).value == pytest.approx(
        metrics.value("balanced_accuracy", one) - 1 / 4
    )

"""The decision on single images: what is met, what is not, and what is said about it."""

import numpy as np
import pytest

from restem.evaluator.config import EvaluateConfig
from restem.evaluator.decide import Judged, decide, holm
from restem.evaluator.metrics import Sample
from restem.evaluator.outcome import SAME, Outcome
from restem.evaluator.requirement import Requirement


def judged(both, wins, losses, neither, classes=2, site=None, same=False):
    """Images by which model is right, in classes that take turns."""
    right = np.repeat([0, 1, 2, 3], (both, wins, losses, neither))
    labels = np.arange(len(right)) % classes
    wrong = (labels + 1) % classes
    sample = Sample(classes, labels, np.where(right < 2, labels, wrong), np.where(right % 2 == 0, labels, wrong))
    names = tuple(f"class{i}" for i in range(classes))
    return Judged(names, sample, {} if site is None else {"site": np.array(site)}, same)


def only(found):
    (outcome,) = found
    return outcome


def one(where, /, **keys):
    return only(decide(EvaluateConfig(require=(Requirement(**keys),)), where))


@pytest.mark.parametrize(
    ("wins", "losses", "not_worse", "better"),
    [(30, 5, True, True), (10, 10, True, False), (2, 30, False, False), (0, 0, True, False)],
)
def test_non_inferiority_and_superiority(wins, losses, not_worse, better):
    where = judged(900, wins, losses, 100 - wins - losses)
    assert one(where, not_worse_than_baseline_by=0.02).passed == not_worse
    assert one(where, better_than_baseline_by=0).passed == better
    found = one(where, better_than_baseline_by=0)
    assert found.value == pytest.approx((wins - losses) / 1000)
    assert found.interval[0] < found.value < found.interval[1]
    assert (found.interval[0] > 0) == better
    assert "one-sided 95% confidence" in found.sentence


@pytest.mark.parametrize(
    ("keys", "passed"),
    [
        ({"not_worse_than_baseline_by": 0.02}, True),
        ({"not_worse_than_baseline_by": 0.02, "metric": "macro_f1"}, True),
        ({"may_lose": 0.02, "each_class": True}, True),
        ({"better_than_baseline_by": 0}, False),
        ({"at_least_above_baseline": 0.01}, False),
    ],
)
def test_a_model_is_not_worse_and_not_better_than_itself_however_few_the_images(keys, passed):
    found = one(judged(5, 0, 0, 3, same=True), **keys)
    assert (found.passed, found.note, found.undecided) == (passed, SAME, ())
    other = one(judged(5, 0, 0, 3), **keys)
    assert SAME not in other.note


def test_what_a_model_must_reach_by_itself_holds_for_the_baseline_too():
    assert not one(judged(5, 0, 0, 3, same=True), at_least=0.9).passed
    assert one(judged(5, 0, 0, 3, same=True), at_least_above_baseline=0).note == ""
    nowhere = judged(5, 0, 0, 3, same=True)
    assert not one(nowhere, not_worse_than_baseline_by=0.02, in_class="unknown").passed


def test_at_least_takes_the_value_or_the_lower_end():
    where = judged(90, 2, 0, 8)
    assert one(where, at_least=0.92).passed
    assert not one(where, at_least=0.92, confidence=0.95).passed
    assert one(where, at_least=0.85, confidence=0.95).passed
    refused = one(where, at_least=0.9, confidence=0.95)
    assert refused.note.startswith("100 images cannot show it reliably; if the measured value is the true one, about ")
    assert "more test images alone would not help" in one(where, at_least=0.95, confidence=0.95).note
    assert one(where, at_least=0.93).note == ""


def test_the_measured_difference_counts_for_the_short_form():
    where = judged(90, 2, 1, 7)
    config = EvaluateConfig(min_accuracy=0.92, min_improvement=0.01)
    assert [found.passed for found in decide(config, where)] == [True, True]
    config = EvaluateConfig(min_accuracy=0.93, min_improvement=0.02)
    assert [found.passed for found in decide(config, where)] == [False, False]


def test_the_default_is_not_worse_by_two_points_and_better_than_the_largest_class():
    default = EvaluateConfig()
    assert [(found.kind, found.limit) for found in decide(default, judged(900, 20, 10, 70))] == [
        ("not_worse_than_baseline_by", 0.02),
        ("better_than_largest_class_by", 0),
    ]
    assert all(found.passed for found in decide(default, judged(900, 20, 10, 70)))
    useless = decide(default, judged(505, 0, 0, 495))
    assert [found.passed for found in useless] == [True, False]
    # Each short form replaces one half of it; a list replaces both.
    assert [one.kind for one in EvaluateConfig(min_accuracy=0.9).requirements] == [
        "not_worse_than_baseline_by",
        "at_least",
    ]
    assert [one.kind for one in EvaluateConfig(min_improvement=0.0).requirements] == [
        "better_than_largest_class_by",
        "at_least_above_baseline",
    ]
    assert EvaluateConfig(require=()).requirements == ()


def test_a_tiny_test_set_is_told_how_many_images_it_needs():
    found = decide(EvaluateConfig(), judged(17, 1, 1, 1))[0]
    assert not found.passed
    assert found.note == (
        "With 20 images, on 2 of which only one model is right, a loss below 25.5 points cannot be seen; "
        "for 2 points about 2,300 would do."
    )
    never = decide(EvaluateConfig(), judged(10, 0, 0, 0))[0]
    assert "on none of which only one model is right" in never.note
    enough = decide(EvaluateConfig(), judged(4500, 90, 170, 240))[0]
    assert not enough.passed
    assert "a loss of 2 points can be seen" in enough.note


def test_too_few_images_in_all_or_of_a_class_are_no_approval():
    where = judged(300, 30, 20, 10, classes=3)
    config = EvaluateConfig(require=(), min_test_images=400, min_test_images_by_class=120)
    total, by_class = decide(config, where)
    assert (total.passed, by_class.passed) == (False, True)
    assert total.sentence.startswith("At least 400 images for testing: there are 360, not met. With 360 images, on 50 ")
    assert "2,100" in total.note or "would do" in total.note
    config = EvaluateConfig(require=(), min_test_images=360, min_test_images_by_class=121)
    total, by_class = decide(config, where)
    assert (total.passed, by_class.passed) == (True, False)
    assert "Too few: class0 (120), class1 (120), class2 (120)." in by_class.note


def test_a_part_of_the_images():
    where = judged(60, 20, 0, 20, site=["Ulm"] * 80 + [""] * 20)
    assert one(where, at_least=1.0, in_slice={"site": "Ulm"}).passed
    empty = one(where, at_least=0.5, in_slice={"site": ""})
    assert (empty.passed, empty.images, empty.over) == (False, 20, "site = (empty)")
    assert one(where, at_least=0.8, in_class="class1").images == 50
    missing = one(where, at_least=0.0, in_slice={"site": "Bonn"})
    assert (missing.passed, missing.value) == (False, None)
    assert "no test image is there" in missing.sentence
    assert not one(where, at_least=0.0, in_class="dent").passed


def floor(losses, images, classes=10, **keys):
    """The baseline is always right; the candidate is wrong on some images of each class."""
    labels = np.repeat(np.arange(classes), images)
    candidate = labels.copy()
    for label, lost in enumerate(losses):
        candidate[np.flatnonzero(labels == label)[:lost]] = (label + 1) % classes
    where = Judged(tuple(f"c{i}" for i in range(classes)), Sample(classes, labels, candidate, labels.copy()))
    return one(where, each_class=True, may_lose=0.1, **keys)


def test_a_class_that_is_shown_to_lose_refuses_the_candidate():
    found = floor([20], images=60)
    assert not found.passed
    assert found.lost == ("c0",)
    assert "Corrected for 10 comparisons (Holm)." in found.note
    assert "Shown to lose more: c0." in found.note
    assert found.value == pytest.approx(-20 / 60)
    assert floor([2] * 10, images=200).passed


def test_the_correction_is_for_all_classes():
    # 14 of 60 lost: one of two classes that shows more than 10% with 95% confidence, one of ten does not.
    assert floor([14], images=60, classes=2).lost == ("c0",)
    assert floor([14], images=60).passed


def test_classes_with_too_few_images_are_named_and_do_not_refuse():
    found = floor([1], images=5)
    assert found.passed
    assert len(found.undecided) == 10
    assert "10 classes have too few test images to exclude such a loss, and are not judged: c0, c1," in found.note
    assert "images each would do" in found.note
    assert floor([0] * 10, images=400).undecided == ()


def test_each_value_of_a_column():
    site = ["Ulm"] * 100 + ["Köln"] * 100
    where = judged(100, 0, 40, 60, site=site)
    found = one(where, each_value_of="site", may_lose=0.05)
    assert (found.passed, found.lost) == (False, ("Köln",))


def test_holm_by_hand():
    # 0.05 / 3 = 0.0167, 0.05 / 2 = 0.025, 0.05 / 1.
    assert holm([0.01, 0.04, 0.02], 0.05) == [True, True, True]
    assert holm([0.01, 0.04, 0.03], 0.05) == [True, False, False]
    assert holm([0.02, 0.001], 0.05) == [True, True]
    assert holm([], 0.05) == []


def test_holm_refuses_equally_good_classes_seldom():
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        lost = rng.binomial(100, 0.1, size=5)
        refused += not floor(lost.tolist(), images=100, classes=5).passed
    assert refused / 150 <= 0.05 + 2 * (0.05 * 0.95 / 150) ** 0.5


def test_an_outcome_survives_json():
    for found in decide(EvaluateConfig(min_test_images=9), judged(50, 5, 5, 5)):
        assert Outcome.from_dict(found.to_dict()) == found

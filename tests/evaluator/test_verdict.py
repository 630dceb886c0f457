import dataclasses

import numpy as np
import pytest

from restem.evaluator.outcome import ALL, Outcome
from restem.evaluator.verdict import explain, with_notes
from restem.example_gen.classes import ClassChange
from restem.run_record import Evaluation

METRICS = {"candidate": {"accuracy": 0.97}, "baseline": {"accuracy": 0.9}}
MET = Outcome("accuracy", "at_least", ALL, 9, 0.97, None, None, 0.9, True, "Accuracy at least 90%", "measured 97.0%")
MISSED = dataclasses.replace(MET, passed=False, required="Accuracy at least 99%", note="About 2,100 would do.")


def test_approved():
    comparison = "The candidate's accuracy is 0.9700, the baseline's is 0.9000 (difference +0.0700)."
    assert explain(METRICS, [MET], blessed=True) == f"Approved: the requirement is met. {comparison}"
    assert explain(METRICS, [MET, MET], blessed=True) == f"Approved: all 2 requirements are met. {comparison}"
    same = {"candidate": METRICS["candidate"], "baseline": METRICS["candidate"]}
    assert explain(same, [MET], blessed=True, same=True).endswith(
        "The candidate is the baseline itself: both have the same files. Its accuracy is 0.9700."
    )
    assert explain(METRICS, [], blessed=True) == f"Approved: nothing is required. {comparison}"


def test_the_reason_names_the_requirements_that_are_not_met():
    reason = explain(METRICS, [MET, MISSED], blessed=False)
    assert reason.startswith(
        "Not approved: 1 of 2 requirements are not met. "
        "Accuracy at least 99%: measured 97.0%, not met. About 2,100 would do. The candidate's"
    )
    assert "TFMA's threshold" in explain(METRICS, [MET], blessed=False)


def answers(*predicted):
    """Predictions for six images, two of each class."""
    classes = ("scratch", "dent", "fine")
    paths = tuple(f"{i}.png" for i in range(6))
    return Evaluation(classes, paths, np.array([0, 0, 1, 1, 2, 2]), np.eye(3, dtype=np.float32)[list(predicted)])


@pytest.mark.parametrize(
    ("predicted", "note"),
    [
        ((0, 1, 2, 0, 1, 2), ""),
        ((2, 2, 2, 2, 2, 2), " The candidate predicts fine for every test image."),
        ((2, 2, 2, 2, 1, 2), " The candidate never predicts scratch, though there are test images of it."),
    ],
)
def test_a_model_that_never_predicts_a_class_is_noted_and_judged_as_before(predicted, note):
    verdict = {"blessed": True, "reason": explain(METRICS, [MET], blessed=True)}
    noted = with_notes(verdict, {"candidate": answers(*predicted), "baseline": answers(0, 1, 2, 0, 1, 2)})
    assert noted == {**verdict, "reason": verdict["reason"] + note}
    changed = with_notes(verdict, {"candidate": answers(0, 1, 2, 0, 1, 2)}, [ClassChange("version 7", ("d",))])
    assert changed == {**verdict, "reason": verdict["reason"] + " New class d, not in version 7."}
    assert "The baseline never predicts" in with_notes(verdict, {"baseline": answers(0, 0, 1, 1, 1, 0)})["reason"]


def test_a_class_without_test_images_is_named_in_the_reason():
    verdict = {"blessed": True, "reason": explain(METRICS, [MET], blessed=True)}
    seen = answers(0, 1, 2, 0, 1, 2).at(np.array([0, 1, 4]))
    assert seen.untested == ("dent",)
    noted = with_notes(verdict, {"candidate": seen, "baseline": seen})["reason"]
    assert "There are no test images of dent: nothing is known about answers for it." in noted
    assert "no test images" not in with_notes(verdict, {"candidate": answers(0, 1, 2, 0, 1, 2)})["reason"]

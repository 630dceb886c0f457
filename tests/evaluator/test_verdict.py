import numpy as np
import pytest

from restem.evaluator.verdict import judge, with_notes
from restem.run_record import Evaluation


def metrics(candidate, baseline):
    return {"candidate": {"accuracy": candidate}, "baseline": {"accuracy": baseline}}


def test_approved():
    verdict = judge(metrics(0.97, 0.9), min_accuracy=0.9, min_improvement=0.05, blessed=True)
    assert verdict["blessed"]
    assert verdict["reason"].startswith("Approved")
    assert "0.9700" in verdict["reason"]
    assert "+0.0700" in verdict["reason"]
    assert all(threshold["passed"] for threshold in verdict["thresholds"])


@pytest.mark.parametrize(
    ("candidate", "baseline", "failed"),
    [(0.85, 0.7, ["absolute"]), (0.95, 0.96, ["relative"]), (0.5, 0.9, ["absolute", "relative"])],
)
def test_the_reason_names_the_failed_thresholds(candidate, baseline, failed):
    verdict = judge(metrics(candidate, baseline), min_accuracy=0.9, min_improvement=0.0, blessed=False)
    assert [item["kind"] for item in verdict["thresholds"] if not item["passed"]] == failed
    assert verdict["reason"].startswith("Not approved: the ")
    assert verdict["reason"].count("below the required") == len(failed)


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
    verdict = judge(metrics(0.97, 0.9), min_accuracy=0.9, min_improvement=0.05, blessed=True)
    noted = with_notes(verdict, {"candidate": answers(*predicted), "baseline": answers(0, 1, 2, 0, 1, 2)})
    assert noted == {**verdict, "reason": verdict["reason"] + note}
    assert "The baseline never predicts" in with_notes(verdict, {"baseline": answers(0, 0, 1, 1, 1, 0)})["reason"]

import pytest

from restem.evaluator.verdict import judge


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

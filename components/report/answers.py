"""Selects the test images that the page shows: the worst mistakes and the models' disagreements."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from restem.report import measures
from restem.report.data import Answer, Answers
from restem.report.pictures import Thumbnail
from restem.run_record import Evaluation

SHOWN_MISTAKES = 24
SHOWN_DISAGREEMENTS = 6  # of each kind: one row on the page


def choose_answers(
    candidate: Evaluation, baseline: Evaluation, pictures: Callable[[set[str]], Mapping[str, Thumbnail]]
) -> dict[str, Answers]:
    """The fields `mistakes`, `only_candidate` and `only_baseline` of ReportData.

    Args:
      candidate, baseline: the predictions on the same images in the same order.
      pictures: called once with the paths of all images that are shown; returns the thumbnails it can create.
    """
    rules = {
        "mistakes": (~candidate.right, candidate.confidence, SHOWN_MISTAKES),
        "only_candidate": (candidate.right & ~baseline.right, candidate.confidence, SHOWN_DISAGREEMENTS),
        "only_baseline": (~candidate.right & baseline.right, baseline.confidence, SHOWN_DISAGREEMENTS),
    }
    chosen = {name: measures.surest(*rule).tolist() for name, rule in rules.items()}
    thumbnails = pictures({candidate.paths[i] for positions in chosen.values() for i in positions})

    def answer(i: int) -> Answer:
        return Answer(
            path=candidate.paths[i],
            label=candidate.classes[candidate.labels[i]],
            predicted=candidate.classes[candidate.predicted[i]],
            confidence=float(candidate.confidence[i]),
            baseline_predicted=baseline.classes[baseline.predicted[i]],
            baseline_confidence=float(baseline.confidence[i]),
            thumbnail=thumbnails.get(candidate.paths[i]),
        )

    return {
        name: Answers(tuple(answer(i) for i in positions), int(rules[name][0].sum()))
        for name, positions in chosen.items()
    }

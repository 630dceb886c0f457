"""TFX's Evaluator on two tiny models: TFMA's thresholds apply to all images together; slices are only reported."""

import pytest

from restem.evaluator.config import EvaluateConfig
from restem.evaluator.requirement import Requirement
from tests.evaluator.runs import evaluate
from tests.tiny_model import CLASSES, export_tiny, write_examples

# The candidate predicts light for means above 128 and is wrong on two images of "Köln". The baseline, with 15, is also
# wrong on one of "Ulm".
LEVELS = [10, 20, 200, 250, 30, 100, 160, 140]
LABELS = [0, 0, 1, 1, 0, 1, 1, 0]
SITES = ["Ulm", "Ulm", "Ulm", "Ulm", "Köln", "Köln", "", "Köln"]
BUILT_IN = {
    "label": [CLASSES[label] for label in LABELS],
    "format": ["png"] * 8,
    "height": ["300"] * 8,
    "width": ["40"] * 8,
}
BELOW, ABOVE = 0.76, 0.74  # thresholds; the candidate's 6 / 8 is below the first and above the second


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, threshold in (("candidate", 128.0), ("baseline", 15.0)):
        export_tiny(folder / name / "Format-Serving", threshold=threshold)
    return folder


@pytest.mark.parametrize(("slices", "least"), [(("site", ("class", "image_size"), "format"), ABOVE), ((), BELOW)])
def test_thresholds_apply_to_all_images_and_slices_are_only_reported(models, tmp_path, slices, least):
    # On "Köln" the candidate is far below the threshold and not better than the baseline.
    in_ulm = Requirement(at_least=1.0, in_slice={"site": "Ulm"})
    config = EvaluateConfig(min_accuracy=least, min_improvement=0.1, slices=slices, require=(in_ulm,))
    examples = write_examples(tmp_path / "examples", LEVELS, LABELS, site=SITES, **BUILT_IN)
    verdict = evaluate(config, tmp_path, examples, models / "candidate", models / "baseline").verdict
    assert verdict["blessed"] == (least == ABOVE)
    assert [one["passed"] for one in verdict["requirements"]] == [True, least == ABOVE, True]
    assert [(one["images"], one["value"]) for one in verdict["requirements"]] == [(4, 1), (8, 6 / 8), (8, 1 / 8)]
    assert verdict["metrics"]["candidate"]["accuracy"] == pytest.approx(6 / 8)
    assert verdict["metrics"]["baseline"]["accuracy"] == pytest.approx(5 / 8)
    by_site, others = verdict["slices"][:3], verdict["slices"][3:]
    figures = [(part["column"], part["value"], part["images"]) for part in by_site]
    assert figures == ([("site", "", 1), ("site", "Köln", 3), ("site", "Ulm", 4)] if slices else [])
    for role, accuracies in (("candidate", (1, 1 / 3, 1)), ("baseline", (1, 1 / 3, 3 / 4))):
        found = [part[role] for part in by_site]
        assert found == pytest.approx(accuracies if slices else [])
    assert [(part["column"], part["value"], part["images"]) for part in others] == (
        [
            ("class × image_size", "dark, 32 to 63 pixels", 4),
            ("class × image_size", "light, 32 to 63 pixels", 4),
            ("format", "png", 8),
        ]
        if slices
        else []
    )

import pytest
from pydantic import ValidationError

from restem.errors import RestemError
from restem.evaluator.component import eval_config
from restem.evaluator.config import EvaluateConfig
from restem.evaluator.requirement import Requirement


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, "given none of them"),
        ({"at_least": 0.9, "may_lose": 0.1}, "given at_least, may_lose"),
        ({"may_lose": 0.1}, "needs each_class or each_value_of"),
        ({"at_least": 0.5, "each_class": True}, "needs each_class or each_value_of"),
        ({"may_lose": 0.1, "each_class": True, "each_value_of": "site"}, "each_class and each_value_of"),
        ({"may_lose": 0.1, "each_class": True, "in_slice": {"site": "Ulm"}}, "exclude each other"),
        ({"at_least": 0.5, "metric": "macro_f1", "in_class": "a"}, "metric: accuracy"),
        ({"better_than_largest_class_by": 0.1, "in_class": "a"}, "no largest class"),
        ({"at_least_above_baseline": 0.1, "confidence": 0.9}, "it has no confidence"),
        ({"at_least": 0.5, "in_slice": {"site": 3}}, "site: '3', in quotes"),
    ],
)
def test_requirements_that_say_nothing_clear_are_refused(keys, told):
    with pytest.raises((RestemError, ValidationError), match=told):
        Requirement(**keys)


@pytest.mark.parametrize(
    ("keys", "level"),
    [
        ({"at_least": 0.5}, None),
        ({"at_least": 0.5, "confidence": 0.9}, 0.9),
        ({"at_least_above_baseline": 0.0}, None),
        ({"better_than_baseline_by": 0.0}, 0.95),
        ({"may_lose": 0.1, "each_class": True, "confidence": 0.99}, 0.99),
    ],
)
def test_the_default_confidence(keys, level):
    assert Requirement(**keys).level == level


def test_tfma_gets_what_it_can_express():
    def threshold(config):
        (found,) = eval_config(config).metrics_specs[0].metrics[0].per_slice_thresholds
        return found.threshold

    everything = EvaluateConfig(
        min_accuracy=0.5,
        min_improvement=-0.25,
        require=(
            Requirement(at_least=0.75),
            Requirement(at_least=0.9, confidence=0.95),
            Requirement(at_least=0.9, metric="macro_f1"),
            Requirement(at_least=0.9, in_class="a"),
        ),
    )
    assert threshold(everything).value_threshold.lower_bound.value == pytest.approx(0.75, abs=1e-6)
    assert threshold(everything).change_threshold.absolute.value == pytest.approx(-0.25, abs=1e-6)
    # Without any threshold TFX would write no blessing.
    assert threshold(EvaluateConfig()).value_threshold.lower_bound.value <= 0
    assert not threshold(EvaluateConfig()).HasField("change_threshold")


def test_the_step_gets_the_requirements_as_json():
    config = EvaluateConfig(require=(Requirement(may_lose=0.1, each_value_of="site"),), min_test_images=9)
    assert EvaluateConfig.model_validate_json(config.model_dump_json(exclude={"baseline"})) == config

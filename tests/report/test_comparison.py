import dataclasses

import numpy as np
import pytest

from restem.report.comparison import ABSENT, Compared, compare, differing
from restem.run_record import ModelInput, ModelRecord
from tests.report.conftest import evaluation, history, make_sample

RECORD = ModelRecord("candidate", "ResNet50", "none", ModelInput(8, 8, 1, 1, ("grey",)), 1, 10, 0, config={})


def run(name, answers, sample=None, **more):
    sample = sample or make_sample()
    return Compared(name, RECORD, history(0.9, 100), evaluation(sample, answers), **{"blessed": True, **more})


def test_the_difference_is_that_on_the_same_images_in_any_order():
    sample = make_sample()
    first, second = run("a", sample.candidate), run("b", sample.baseline)
    shuffled = np.random.default_rng(1).permutation(len(sample.paths))
    again = dataclasses.replace(second, evaluation=second.evaluation.at(shuffled))
    rows = [compare([first, other]).rows[1] for other in (second, again)]
    expected = second.evaluation.right.mean() - first.evaluation.right.mean()
    assert rows[0].difference.value == pytest.approx(expected)
    assert rows[0].difference == rows[1].difference
    assert rows[0].difference.high < 0


def test_other_test_images_are_not_subtracted():
    comparison = compare(
        [run("a", make_sample().candidate), run("b", (other := make_sample(images=90)).candidate, other)]
    )
    assert comparison.rows[1].difference is None
    assert comparison.other_images == ("b",)


def test_settings_that_differ_by_key_path():
    one = {"train": {"seed": 0, "all": {"epochs": 3}}, "push": {"destination": "a"}, "name": "one"}
    two = {"train": {"seed": 1, "all": {"epochs": 3}}, "push": {"destination": "b"}, "tune": {"trials": 2}}
    assert differing([one, two]) == {"train.seed": (0, 1), "tune.trials": (ABSENT, 2)}
    assert differing([one, one]) == {}

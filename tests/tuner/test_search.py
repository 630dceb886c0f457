"""The search, with a formula in place of a training: the better, the nearer the rate is to 0.001."""

import itertools
import math

import pytest

from restem.errors import RestemError
from restem.run_record import Scores
from restem.trainer.scores import Diverged
from restem.tuner.config import TuneConfig
from restem.tuner.search import Search
from restem.tuner.trials import FinishedTrials, read_tuning, write_tuning

RATE, DROPOUT = "train.all.learning_rate", "train.head.dropout"
OWN = {RATE: 0.012345, DROPOUT: 0.0}


class Killed(BaseException):
    """Stands for SIGKILL: nothing may handle it."""


def formula(values):
    right = 1 - abs(math.log10(values[RATE]) + 3) / 3 - values[DROPOUT] / 10
    return Scores(images=50, accuracy=right, balanced_accuracy=right, loss=1 - right, auc=None)


def tune(**settings):
    return TuneConfig.model_validate(
        {
            "trials": 6,
            "over": {RATE: {"min": 1e-5, "max": 0.1, "scale": "log"}, DROPOUT: {"min": 0, "max": 0.5}},
            **settings,
        }
    )


@pytest.fixture
def search(tmp_path):
    """search(measure, **settings): runs a search and returns its record; continues one of the same `name`."""
    number = itertools.count()

    def search(measure=formula, name=None, metric="accuracy", own=OWN, seed=0, **settings):
        made = Search(
            tune(**settings),
            measure,
            metric=metric,
            own=own,
            seed=seed,
            finished=FinishedTrials(None if name is None else str(tmp_path / name)),
            folder=str(tmp_path / f"keras-tuner-{next(number)}"),
        )
        made.search()
        (best,) = made.get_best_hyperparameters()
        assert best.values == dict(made.result().best.values)  # what TFX writes
        return made.result()

    return search


def timeless(tuning):
    return [(trial.number, trial.values, trial.scores, trial.failure) for trial in tuning.trials]


@pytest.mark.parametrize(("method", "trials"), [("random", 6), ("bayesian", 3)])
def test_a_killed_search_ends_with_the_same_trials_and_measures_none_twice(search, method, trials):
    whole = search(search=method, trials=trials)
    measured = []

    def killed_once(values):
        measured.append(values)
        if len(measured) == trials:
            raise Killed
        return formula(values)

    with pytest.raises(Killed):
        search(killed_once, name="one", search=method, trials=trials)
    again = search(killed_once, name="one", search=method, trials=trials)
    assert timeless(again) == timeless(whole)
    assert again.best.number == whole.best.number
    assert len(measured) == trials + 1


def test_the_configurations_own_values_are_the_first_trial_if_they_are_in_the_ranges(search):
    tuning = search()
    assert tuning.own_first
    assert tuning.trials[0].values == OWN  # not rounded
    assert not search(own={**OWN, RATE: 0.5}).own_first
    assert len({tuple(trial.values.values()) for trial in tuning.trials}) == 6


def test_another_seed_proposes_other_values(search):
    assert timeless(search(seed=0)) == timeless(search(seed=0)) != timeless(search(seed=1))


def test_more_trials_use_those_that_are_finished(search):
    measured = []
    search(lambda values: measured.append(values) or formula(values), name="one")
    longer = search(lambda values: measured.append(values) or formula(values), name="one", trials=9)
    assert len(longer.trials) == len(measured) == 9


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_the_best_trial_is_the_one_with_the_best_metric(search, metric):
    tuning = search(metric=metric)
    values = [tuning.value(trial) for trial in tuning.trials]
    assert tuning.value(tuning.best) == (min if metric == "loss" else max)(values)


def test_a_trial_that_diverges_has_failed_and_the_search_goes_on(search, tmp_path):
    def measure(values):
        if values[RATE] > 1e-3:
            raise Diverged("the loss is not a finite number", where="phase all")
        return formula(values)

    tuning = search(measure, name="one")
    assert 0 < tuning.failed < 6
    assert tuning.ranked()[-1].failure == "the loss is not a finite number (phase all)"
    assert tuning.best.scores is not None
    write_tuning(str(tmp_path), tuning)
    assert read_tuning(str(tmp_path)) == tuning

    def all_fail(values):
        raise Diverged("the loss is not a finite number")

    with pytest.raises(RestemError, match=r"all 6 trials failed.*the loss is not a finite number.*learning rates"):
        search(all_fail)


def test_every_other_error_ends_the_search_with_its_own_message(search):
    def broken(values):
        raise RestemError("the channel is constant", remedy="Remove it")

    with pytest.raises(RestemError, match="the channel is constant"):
        search(broken)
    with pytest.raises(RestemError, match=r"tune.metric: .*a class has no validation image"):
        search(metric="auc")


def test_one_line_for_each_trial(search, caplog):
    caplog.set_level("INFO")

    def talkative(values):
        import logging

        logging.getLogger("restem").info("epoch 1 of 3")
        logging.getLogger("restem").warning("%s: the loss did not fall", "head")
        return formula(values)

    search(talkative, trials=3)
    lines = [record.getMessage() for record in caplog.records if record.name == "restem"]
    assert [line for line in lines if line.startswith("trial")] == [
        f"trial {n} of 3: head: the loss did not fall" for n in (1, 2, 3)
    ]
    assert not any("epoch 1 of 3" in line for line in lines)
    first, _, last = (line for line in lines if line.startswith("tune: trial"))
    assert first.startswith(
        f"tune: trial 1 of 3: {RATE} 0.012345, {DROPOUT} 0: accuracy 0.6362, the best so far is 0.6362"
    )
    assert "s left" in first
    assert "s left" not in last


def test_a_small_space_ends_early(search):
    tuning = search(over={DROPOUT: {"choices": [0, 0.1, 0.2]}, RATE: {"choices": [0.1, 0.01]}}, trials=50)
    assert len(tuning.trials) == 6

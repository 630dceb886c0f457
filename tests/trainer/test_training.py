"""The loop of a training: what it keeps, when it ends, and that an interrupted one ends with the same weights."""

import itertools

import keras
import numpy as np
import pytest

from restem.trainer import training as loop
from restem.trainer.checkpoint import Checkpoints
from tests.trainer.conftest import PHASES

VARIED = {
    "batch_size": 16,
    "augment": {"flip_horizontal": True, "noise": 0.05, "brightness": 0.1, "contrast": 0.1, "rotation": 10},
    "balance": "sampling",
    "head": {**PHASES["head"], "dropout": 0.2},
    "stem": {**PHASES["stem"], "schedule": "plateau"},
    "all": {**PHASES["all"], "weight_decay": 0.01, "lower_layers": 0.5},
    "keep": "best",
    "metric": "loss",
}


class Killed(BaseException):
    """Stands for SIGKILL: nothing may handle it."""


@pytest.mark.parametrize("after", [0, 1, 7, 17, 18, 19, 25, 29, 36, 41])
def test_a_training_that_is_killed_ends_with_the_weights_of_one_that_is_not(train, tmp_path, monkeypatch, after):
    whole = train(**VARIED)
    steps = itertools.count()
    original = loop._Watch.on_train_batch_end

    def killed_at(self, batch, logs=None):
        if next(steps) == after:
            raise Killed
        original(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Watch, "on_train_batch_end", killed_at)
        with pytest.raises(Killed):
            train(Checkpoints(str(tmp_path), "key", 0), **VARIED)
    keras.backend.clear_session()
    again = train(Checkpoints(str(tmp_path), "key", 0), **VARIED)
    for ours, theirs in zip(again.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [(e.phase, e.epoch) for e in again.training.history] == [(e.phase, e.epoch) for e in whole.training.history]
    for ours, theirs in zip(again.training.history, whole.training.history, strict=True):
        assert (ours.loss, ours.accuracy, ours.validation) == (theirs.loss, theirs.accuracy, theirs.validation)
    assert again.training.best == whole.training.best

"""The Trainer with several seeds (train.repeats), on a tiny network."""

import pytest

from restem.trainer.training import Training


@pytest.fixture
def run(run_fn):
    """run(name, **train): calls run_fn; returns its record and its test probabilities."""

    def run(name, **train):
        result = run_fn(name, **train)
        run_fn.forget()
        return result.record, result.evaluation.probabilities

    return run


@pytest.fixture
def undisturbed(run):
    return run("undisturbed", repeats=2, seed=4)


def test_a_further_seed_is_trained_as_if_alone(run, undisturbed):
    record, probabilities = undisturbed
    alone, alone_probabilities = run("alone", seed=5)
    assert alone.repeats == ()
    assert [repeat.seed for repeat in record.repeats] == [4, 5]
    assert record.repeats[1].scores == alone.scores
    # The first one is kept.
    assert (record.seed, record.scores) == (4, record.repeats[0].scores)
    assert (alone_probabilities != probabilities).any()


def test_an_interruption_continues_with_the_unfinished_seed(run, undisturbed, monkeypatch):
    epochs = []
    finish = Training.finish_epoch

    def killed(self, phase, epoch):
        if len(epochs) == 3:  # the last epoch of the second seed
            raise KeyboardInterrupt
        epochs.append(epoch.epoch)
        finish(self, phase, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "finish_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            run("killed", repeats=2, seed=4)
    assert epochs == [1, 2, 1]
    again = []
    monkeypatch.setattr(
        Training, "finish_epoch", lambda self, phase, epoch: (again.append(epoch.epoch), finish(self, phase, epoch))
    )
    record, probabilities = run("killed", repeats=2, seed=4)
    assert again == [2]
    assert [repeat.scores for repeat in record.repeats] == [repeat.scores for repeat in undisturbed[0].repeats]
    assert (probabilities == undisturbed[1]).all()

"""`train.ema`: the averaged weights are those that count, and the training does not notice."""

import keras
import numpy as np
import pytest

from restem.trainer.average import averaged, take_average, with_average
from restem.trainer.phases import predict, statistics_momentum
from restem.trainer.scores import score

NONE = {name: {"epochs": 0} for name in ("head", "stem", "all")}


def test_the_average_of_few_steps_is_that_of_the_last_ones():
    """30 steps in which a weight rises by 1 each: 0.999 alone would give 1.4, a momentum that grows gives 27.0."""
    weight = keras.Variable(np.zeros(1, np.float32))
    optimizer = with_average(keras.optimizers.SGD, 0.999)(1.0)
    optimizer.build([weight])
    expected = None
    for step in range(30):
        optimizer.apply([np.full(1, -1, np.float32)])
        kept = min(0.999, (1 + step) / (10 + step)) if step else 0.0
        expected = kept * (expected or 0) + (1 - kept) * (step + 1)
    assert float(weight.numpy()[0]) == 30
    with averaged(optimizer):
        assert float(weight.numpy()[0]) == pytest.approx(expected, rel=1e-5)
        assert expected > 26
    assert float(weight.numpy()[0]) == 30
    optimizer.finalize_variable_values([weight])  # what fit does at the end of each epoch
    assert float(weight.numpy()[0]) == 30
    take_average(optimizer)
    assert float(weight.numpy()[0]) == pytest.approx(expected, rel=1e-5)


def test_without_an_average_nothing_changes():
    weight = keras.Variable(np.ones(1, np.float32))
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build([weight])
    optimizer.apply([np.ones(1, np.float32)])
    with averaged(optimizer):
        assert float(weight.numpy()[0]) == 0


@pytest.mark.parametrize("phase", ["head", "all"])
def test_training_goes_on_from_the_raw_weights_and_the_averages_are_validated_and_kept(train, pictures, phase):
    settings = {**NONE, phase: {"epochs": 3, "learning_rate": 0.02}, "freeze_batch_norm": False}
    raw, done = train(**settings), train(**settings, ema=0.99)
    assert [epoch.loss for epoch in done.training.history] == [epoch.loss for epoch in raw.training.history]
    losses = [epoch.validation.loss for epoch in done.training.history]
    assert losses != [epoch.validation.loss for epoch in raw.training.history]
    final = score(pictures[1][:30], predict(done.network.model, done.val, 16))
    assert final.loss == pytest.approx(losses[-1], rel=1e-5)


def test_the_statistics_fit_the_averaged_weights(train, pictures):
    """Those of a BatchNormalization that is trained are what the averaged weights give on the training images."""
    settings = {**NONE, "all": {"epochs": 2, "learning_rate": 0.02}}
    network = train(**settings, freeze_batch_norm=False, ema=0.99).network
    norm = next(layer for layer in network.layers() if layer.name == "body_bn")
    found, spread = norm.moving_mean.numpy(), np.sqrt(norm.moving_variance.numpy())
    norm.momentum = 0.0
    network.model(pictures[0].astype(np.float32), training=True)
    np.testing.assert_allclose(found, norm.moving_mean.numpy(), atol=0.1 * spread.max())
    np.testing.assert_allclose(spread, np.sqrt(norm.moving_variance.numpy()), rtol=0.2)


def test_statistics_that_are_frozen_stay(train):
    network = train(**NONE | {"all": {"epochs": 1, "learning_rate": 0.02}}, freeze_batch_norm=True, ema=0.99).network
    norm = next(layer for layer in network.layers() if layer.name == "body_bn")
    np.testing.assert_array_equal(norm.moving_mean.numpy(), 0)


def test_a_short_average_leaves_the_memory_to_the_statistics():
    assert statistics_momentum(500, 0.999) == statistics_momentum(500, 0.9) == 0
    assert statistics_momentum(500, 0.5) == statistics_momentum(500, None) == pytest.approx(0.9)

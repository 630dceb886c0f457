import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from restem.trainer.config import OPTIMIZER_OPTIONS, PhaseConfig, TrainConfig
from restem.trainer.optimizer import KINDS, KernelAdam, learning_rate, make_optimizer


def rates(steps, **phase):
    schedule = learning_rate(PhaseConfig(epochs=1, learning_rate=0.01, **phase), 100)
    return np.array([float(schedule(step)) for step in steps])


def test_cosine_warms_up_and_decays():
    found = rates((0, 5, 10, 50, 100))
    assert found[0] == pytest.approx(1e-4)
    assert found[2] == pytest.approx(0.01)
    assert found[0] < found[1] < found[2] > found[3] > found[4] == pytest.approx(0, abs=1e-9)


def test_constant_and_step_schedules():
    np.testing.assert_allclose(rates((0, 5, 10, 99), schedule="constant"), [1e-4, 5.05e-3, 0.01, 0.01], rtol=1e-5)
    found = rates((0, 49, 50, 74, 75, 99), schedule="step", warm_up=0)
    np.testing.assert_allclose(found, [0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4], rtol=1e-5)
    assert learning_rate(PhaseConfig(epochs=1, learning_rate=0.01, schedule="plateau"), 100) == 0.01


def test_one_step_is_enough_for_a_schedule():
    schedule = learning_rate(PhaseConfig(epochs=1, learning_rate=0.01), 1)
    assert float(schedule(0)) == pytest.approx(0.01)


@pytest.mark.parametrize("name", sorted(OPTIMIZER_OPTIONS))
def test_every_optimizer_takes_its_options_decays_and_clips(name):
    taken = set(inspect.signature(KINDS[name].__init__).parameters)
    assert set(OPTIMIZER_OPTIONS[name]) <= (taken | {"beta_1", "beta_2", "epsilon", "amsgrad"})
    own = inspect.signature(KINDS[name].__mro__[1 if KINDS[name] is KernelAdam else 0].__init__)
    options = {option: own.parameters[option].default for option in OPTIMIZER_OPTIONS[name]}
    config = TrainConfig(optimizer=name, optimizer_options=options, clip_norm=1.0)
    phase = PhaseConfig(epochs=1, learning_rate=0.01, weight_decay=0.1, schedule="constant", warm_up=0)
    kernel, bias = keras.Variable(np.ones((2, 2), np.float32)), keras.Variable(np.ones(2, np.float32))
    optimizer = make_optimizer(config, phase, 10, rates={kernel.path: 0.5}, no_decay=[bias])
    optimizer.apply([tf.zeros((2, 2)), tf.zeros(2)], [kernel, bias])
    # Without a gradient only the decay moves a weight.
    np.testing.assert_allclose(kernel, 1 - 0.1 * 0.01, rtol=1e-4)
    np.testing.assert_allclose(bias, 1, rtol=1e-6)


def test_a_factor_of_the_rate_slows_one_weight_down():
    config, phase = (
        TrainConfig(optimizer="sgd"),
        PhaseConfig(epochs=1, learning_rate=0.1, schedule="constant", warm_up=0),
    )
    slow, fast = keras.Variable(np.ones(2, np.float32)), keras.Variable(np.ones(2, np.float32))
    optimizer = make_optimizer(config, phase, 10, rates={slow.path: 0.25})
    optimizer.apply([tf.ones(2), tf.ones(2)], [slow, fast])
    np.testing.assert_allclose(slow, 1 - 0.025, rtol=1e-6)
    np.testing.assert_allclose(fast, 1 - 0.1, rtol=1e-6)


@pytest.mark.parametrize("compiled", [True, False])
def test_the_kernel_computes_what_keras_computes(pictures, compiled):
    pixels, labels = pictures[0].astype(np.float32) / 255, pictures[1]
    trained = []
    for optimizer in (keras.optimizers.Adam(0.003), KernelAdam(0.003)):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Conv2D(4, 3, use_bias=False),  # A bias's gradient would be only rounding noise.
                keras.layers.BatchNormalization(),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(3),
            ]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, run_eagerly=not compiled, jit_compile=False)
        model.fit(pixels, labels, batch_size=16, epochs=3, shuffle=False, verbose=0)
        trained.append(model.get_weights())
        assert int(optimizer.iterations) == 18
    for theirs, ours in zip(*trained, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_its_state_is_that_of_keras_so_a_saved_model_can_resume(tmp_path):
    variable = keras.Variable(np.ones(3, np.float32))
    optimizer = KernelAdam(0.01)
    optimizer.apply([tf.ones(3)], [variable])
    names = [part.path.rpartition("/")[2] for part in optimizer.variables]
    assert names[:2] == ["iteration", "learning_rate"]
    assert [name.rpartition("_")[2] for name in names[2:]] == ["momentum", "velocity"]
    np.testing.assert_allclose(variable, 0.99, rtol=1e-5)

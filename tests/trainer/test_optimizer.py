import keras
import numpy as np
import pytest
import tensorflow as tf

from restem.trainer.optimizer import KernelAdam, adam


def test_learning_rate_warms_up_and_decays():
    schedule = adam(0.01, 100)._learning_rate
    rates = np.array([float(schedule(step)) for step in (0, 5, 10, 50, 100)])
    assert rates[0] == pytest.approx(1e-4)
    assert rates[2] == pytest.approx(0.01)
    assert rates[0] < rates[1] < rates[2] > rates[3] > rates[4] == pytest.approx(0, abs=1e-9)


def test_schedule_of_a_single_step():
    assert float(adam(0.01, 1)._learning_rate(0)) == pytest.approx(0.01)


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

import keras
import numpy as np
import pytest

from restem.trainer.config import PhaseConfig, TrainConfig
from restem.trainer.input import arrays_as_split
from restem.trainer.phases import compile_classifier, short_momentum, stage_rates
from tests.trainer.conftest import tiny_network

NONE = {name: {"epochs": 0} for name in ("head", "stem", "all")}


def weights(network):
    return {layer.name: [w.copy() for w in layer.get_weights()] for layer in network.layers() if layer.weights}


def changed(before, after):
    return {name for name in before if any((a != b).any() for a, b in zip(before[name], after[name], strict=True))}


def accuracy(network, pixels, labels):
    return np.mean(network.model.predict(pixels.astype(np.float32), verbose=0).argmax(axis=1) == labels)


def test_head_learns_on_features_and_leaves_the_backbone_alone(train, network, pictures):
    before = weights(network)
    done = train(**{**NONE, "head": {"epochs": 30, "learning_rate": 0.03}})
    assert changed(before, weights(done.network)) == {"head"}
    # The accuracy in the history is of the standardised head: folding must not have changed it.
    assert accuracy(done.network, *pictures) >= 0.9
    assert [epoch.epoch for epoch in done.training.history] == list(range(1, 31))
    assert {epoch.phase for epoch in done.training.history} == {"head"}
    assert all(epoch.images_per_second > 0 for epoch in done.training.history)


def test_a_feature_that_never_varies_does_not_blow_up_the_head(train, pictures):
    def constant():
        network = tiny_network()
        conv = next(layer for layer in network.layers() if layer.name == "body_conv")
        kernel, bias = conv.get_weights()
        kernel[..., 0], bias[0] = 0, 1  # this filter is 1 everywhere
        conv.set_weights([kernel, bias])
        return network

    done = train(make=constant, **{**NONE, "head": {"epochs": 2, "learning_rate": 0.01}})
    assert np.isfinite(done.network.model.predict(pictures[0].astype(np.float32), verbose=0)).all()


@pytest.mark.parametrize(
    ("phase", "freeze", "expected"),
    [
        ("stem", True, {"conv1_conv", "conv1_bn", "head"}),
        ("all", True, {"conv1_conv", "conv1_bn", "body_conv", "head"}),
        ("all", False, {"conv1_conv", "conv1_bn", "body_conv", "body_bn", "head"}),
    ],
)
def test_a_phase_trains_what_it_says(train, network, phase, freeze, expected):
    before = weights(network)
    done = train(**{**NONE, phase: {"epochs": 1, "learning_rate": 1e-3}}, freeze_batch_norm=freeze)
    assert changed(before, weights(done.network)) == expected


@pytest.mark.parametrize("phase", ["head", "all"])
def test_images_without_weight_teach_nothing(train, pictures, phase):
    """Half of the images have wrong labels, and no weight: the network learns from the others."""
    pixels, labels = pictures
    wrong = np.arange(len(labels)) % 2 == 1
    taught = np.where(wrong, (labels + 1) % 3, labels)
    weight = np.where(wrong, 0, 2).astype(np.float32)
    images = arrays_as_split(pixels, taught, np.full(90, "x"), weight)
    settings = {**NONE, "head": {"epochs": 30, "learning_rate": 0.03}}
    if phase == "all":
        settings["all"] = {"epochs": 3, "learning_rate": 1e-3}
    done = train(images=images, freeze_batch_norm=True, **settings)
    assert accuracy(done.network, pixels, labels) >= 0.9


def test_lower_stages_learn_more_slowly(network):
    rates = stage_rates(network, 0.5)
    by_layer = {path.split("/")[0]: rate for path, rate in rates.items()}
    assert by_layer == {"head": 1, "body_conv": 0.5**5, "body_bn": 0.5**5, "conv1_conv": 0.5**5, "conv1_bn": 0.5**5}
    assert stage_rates(network, 1) == {}


@pytest.mark.parametrize(("steps", "window"), [(1, 10), (50, 10), (500, 10), (2500, 50), (5000, 100), (10**6, 100)])
def test_moving_statistics_remember_a_part_of_the_phase(steps, window):
    assert short_momentum(steps) == pytest.approx(1 - 1 / window)


def test_what_infers_is_what_was_trained(train, pictures):
    """With Keras's own momentum the statistics of so short a training are still those of the start."""
    settings = {**NONE, "all": {"epochs": 12, "learning_rate": 0.01}}
    done = train(freeze_batch_norm=False, **settings)
    assert accuracy(done.network, *pictures) >= done.training.history[-1].accuracy - 0.05 >= 0.85


def test_smoothed_labels_give_keras_own_loss():
    logits, labels = np.array([[2.0, -1.0, 0.5], [0.1, 0.2, 3.0]], np.float32), np.array([0, 2])
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    compile_classifier(model, keras.optimizers.SGD(), label_smoothing=0.1)
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(np.eye(3)[labels], logits)
    found = model.evaluate(logits, labels, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(float(expected), rel=1e-5)
    assert found["accuracy"] == 1


def test_shares_of_classes_give_keras_own_loss_with_and_without_smoothing():
    logits = np.array([[2.0, -1.0, 0.5], [0.1, 0.2, 3.0]], np.float32)
    shares, weights = np.array([[0.7, 0.3, 0], [0, 0, 1]], np.float32), np.array([2, 0.5], np.float32)
    inputs = keras.Input((3,))
    for smoothing in (0.0, 0.1):
        model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
        compile_classifier(model, keras.optimizers.SGD(), smoothing, mixed=True)
        expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
        found = float(model.compute_loss(None, shares, keras.ops.convert_to_tensor(logits), weights))
        assert found == pytest.approx(float(expected(shares, logits, weights)), rel=1e-5)


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"the optimizer sgd has no such option.*beta_1"):
        TrainConfig(optimizer="sgd", optimizer_options={"beta_1": 0.5})
    with pytest.raises(ValueError, match="schedule"):
        PhaseConfig(epochs=1, schedule="linear")

import numpy as np
import pytest
import tensorflow as tf

from restem.trainer.config import PhaseConfig, TrainConfig
from restem.trainer.input import Split
from restem.trainer.phases import train_head, train_network

CONFIG = TrainConfig(batch_size=16)


def weights(network):
    return {layer.name: [w.copy() for w in layer.get_weights()] for layer in network.layers()}


def changed(before, after):
    return {name for name in before if any((a != b).any() for a, b in zip(before[name], after[name], strict=True))}


def test_head_learns_on_features_and_leaves_the_backbone_alone(network, split, pictures):
    before = weights(network)
    history = train_head(network, split, PhaseConfig(epochs=30, learning_rate=0.03), CONFIG)
    assert changed(before, weights(network)) == {"head"}
    predicted = network.model.predict(pictures[0].astype(np.float32), verbose=0).argmax(axis=1)
    # The history has the accuracy of the standardised head; folding must not change it.
    assert np.mean(predicted == pictures[1]) >= 0.9
    assert [entry.epoch for entry in history] == list(range(1, 31))
    assert {entry.phase for entry in history} == {"head"}
    assert all(entry.images_per_second > 0 for entry in history)


def test_a_constant_feature_does_not_break_the_head(network, split, pictures):
    conv = next(layer for layer in network.layers() if layer.name == "body_conv")
    kernel, bias = conv.get_weights()
    kernel[..., 0], bias[0] = 0, 1  # this filter is 1 everywhere
    conv.set_weights([kernel, bias])
    train_head(network, split, PhaseConfig(epochs=2, learning_rate=0.01), CONFIG)
    assert np.isfinite(network.model.predict(pictures[0].astype(np.float32), verbose=0)).all()


@pytest.mark.parametrize(
    ("phase", "freeze", "expected"),
    [
        ("stem", True, {"conv1_conv", "conv1_bn", "head"}),
        ("all", True, {"conv1_conv", "conv1_bn", "body_conv", "head"}),
        ("all", False, {"conv1_conv", "conv1_bn", "body_conv", "body_bn", "head"}),
    ],
)
def test_a_phase_trains_only_its_layers(network, split, phase, freeze, expected):
    before = weights(network)
    train_network(network, split, phase, PhaseConfig(epochs=1, learning_rate=1e-3), CONFIG, freeze_batch_norm=freeze)
    assert changed(before, weights(network)) == expected


def test_same_seed_same_weights(pictures, split, request):
    import keras

    results = []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(split.batches(16, shuffle_seed=7), epochs=2, verbose=0)
        results.append(model.get_weights()[0])
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("phase", ["head", "all"])
def test_images_with_zero_weight_are_ignored(network, pictures, phase):
    """Half of the images have wrong labels and weight 0; the network learns from the others."""
    pixels, labels = pictures
    wrong = np.arange(len(labels)) % 2 == 1
    taught = np.where(wrong, (labels + 1) % 3, labels)
    weight = np.where(wrong, 0, 2).astype(np.float32)
    paths = np.array([f"class/{i}.png" for i in range(len(labels))])
    train = Split(tf.data.Dataset.from_tensor_slices((pixels, taught, paths, weight)), len(labels), weighted=True)
    assert np.array_equal(train.weights(), weight)
    train_head(network, train, PhaseConfig(epochs=30, learning_rate=0.03), CONFIG)
    if phase == "all":
        config = PhaseConfig(epochs=3, learning_rate=1e-3)
        train_network(network, train, "all", config, CONFIG, freeze_batch_norm=True)
    predicted = network.model.predict(pixels.astype(np.float32), verbose=0).argmax(axis=1)
    assert np.mean(predicted == labels) >= 0.9

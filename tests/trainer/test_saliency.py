"""Grad-CAM on networks of which it is known where they look."""

import keras
import numpy as np
import pytest

from restem.images.config import ImageConfig
from restem.run_record import Evaluation
from restem.trainer import saliency
from restem.trainer.model_config import ModelConfig, StemConfig
from restem.trainer.network import Network, build_network
from restem.trainer.saliency import NoMaps, choose, enlarged, grad_cam, last_maps, overlay


def network(*, nested: bool, frozen: bool = False, channels: int = 1, size: int = 8) -> Network:
    """Class 0 is what is bright, class 1 what is dark: the logits are plus and minus the mean of a 1x1 convolution."""
    pixels = keras.Input((size, size, channels))
    convolution = keras.layers.Conv2D(2, 1, use_bias=False, activation="relu", name="last")
    body = keras.Input((size, size, channels))
    inner = keras.Model(
        body, keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(convolution(body)))
    )
    adapter = keras.Sequential([keras.Input((size, size, channels)), keras.layers.Rescaling(1 / 255)])
    features = inner(adapter(pixels)) if nested else inner(pixels)
    head = keras.layers.Dense(2)
    model = keras.Model(pixels, head(features))
    kernel = np.zeros((1, 1, channels, 2), np.float32)
    kernel[..., 0], kernel[..., 1] = 1.0, 0.5
    convolution.set_weights([kernel])
    head.set_weights([np.array([[1.0, -1.0], [0.0, 0.0]]), np.zeros(2)])
    model.trainable = not frozen
    return Network(model, keras.Model(pixels, features), head, (), None)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("channels", [1, 5])
def test_the_map_is_where_the_class_is(nested, frozen, channels):
    net = network(nested=nested, frozen=frozen, channels=channels)
    pixels = np.zeros((10, 8, 8, channels), np.uint8)
    pixels[:, 1:3, 5:8] = 200
    maps = last_maps(net)
    assert maps.size == (8, 8)
    heat = grad_cam(maps, net.head, pixels, np.array([0] * 9 + [1]))
    expected = np.zeros((8, 8), np.float32)
    expected[1:3, 5:8] = 1
    np.testing.assert_allclose(heat[:9], np.repeat(expected[None], 9, axis=0), atol=1e-6)
    assert not heat[9].any()  # nothing in the image speaks for the other class


def test_a_resnet_with_a_modified_stem_and_bands(monkeypatch):
    keras.utils.set_random_seed(0)
    image = ImageConfig(size=64, bands=("red", "green", "blue", "nir"), normalise="dataset")
    net = build_network(
        "candidate",
        image,
        ModelConfig(backbone="ResNet50", weights="none"),
        StemConfig(),
        weights="none",
        classes=3,
        statistics=(np.full(4, 100.0), np.full(4, 50.0)),
        sample=np.zeros((2, 64, 64, 4), np.uint8),
    )
    head = net.head
    earlier = last_maps(net)
    assert (earlier.layer, earlier.size) == ("conv4_block6_out", (4, 4))
    monkeypatch.setattr(saliency, "POSITIONS", 2)
    maps = last_maps(net)
    assert (maps.layer, maps.size) == ("conv5_block3_out", (2, 2))
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 4)).astype(np.float32)
    for found in (maps, earlier):
        np.testing.assert_allclose(found.model(images)[1], net.features(images), rtol=1e-4, atol=1e-4)
    assert grad_cam(earlier, head, images, np.array([2, 0])).shape == (2, 4, 4)
    # Behind these maps is only a mean and a Dense layer, so the gradient is known: its kernel.
    heat = grad_cam(maps, head, images, np.array([2, 0]))
    known = np.maximum(
        0, np.einsum("nijk,kn->nij", np.asarray(maps.model(images)[0]), head.get_weights()[0][:, [2, 0]])
    )
    scale = known.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(heat, known / np.where(scale > 0, scale, 1), rtol=1e-2, atol=1e-3)


def test_without_maps_the_reason_is_said():
    pixels = keras.Input((4, 4, 1))
    features = keras.layers.GlobalAveragePooling2D()(pixels)
    head = keras.layers.Dense(2)
    net = Network(keras.Model(pixels, head(features)), keras.Model(pixels, features), head, (), None)
    with pytest.raises(NoMaps, match="no convolution"):
        last_maps(net)
    with pytest.raises(NoMaps, match="a single position"):
        last_maps(network(nested=True, size=1))


def test_the_chosen_images():
    labels = np.array([0, 0, 1, 1, 2, 2])
    probabilities = np.array(
        [[0.9, 0.1, 0], [0.8, 0.1, 0.1], [0.7, 0.3, 0], [0.9, 0.05, 0.05], [0, 0.4, 0.6], [0.1, 0.2, 0.7]], np.float32
    )
    evaluation = Evaluation(("a", "b", "c"), tuple("uvwxyz"), labels, probabilities)
    assert choose(evaluation) == ([3, 2], [0, 5])  # class b has no right answer


def test_many_classes_are_bounded():
    labels = np.arange(300) % 100
    evaluation = Evaluation(
        tuple(map(str, range(100))), tuple(map(str, range(300))), labels, np.eye(100, dtype=np.float32)[labels]
    )
    mistakes, right = choose(evaluation)
    assert mistakes == []
    assert right == list(range(12))


def test_pictures_of_any_size():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    large = enlarged(grey)
    assert large.shape == (72, 96)
    heat = np.zeros((2, 2), np.float32)
    assert (overlay(large, heat) == large[..., None]).all()
    heat[0, 0] = 1
    coloured = overlay(np.zeros((50, 100, 3), np.uint8), heat)
    assert coloured.shape == (50, 100, 3)
    assert coloured[0, 0].tolist() == [166, 78, 0]
    assert coloured[-1, -1].tolist() == [0, 0, 0]

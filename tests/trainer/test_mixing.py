"""MixUp and CutMix: pixels, labels and weights are mixed with the same shares."""

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from restem.trainer.augment_config import AugmentConfig
from restem.trainer.augmented import Augmentation
from restem.trainer.config import TrainConfig

WAYS = [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 1.0, "cutmix": 1.0}]


def squares(channels, white):
    """8 white squares of class 1 and 8 black ones of class 0."""
    labels = np.repeat([1, 0], 8)
    return np.broadcast_to(labels[:, None, None, None] * white, (16, 32, 32, channels)).astype(np.float32), labels


@pytest.mark.parametrize(("channels", "white"), [(1, 255.0), (4, 65535.0)])
@pytest.mark.parametrize("ways", WAYS)
def test_labels_have_the_share_of_the_pixels(ways, channels, white):
    images, labels = squares(channels, white)
    augment = Augmentation(AugmentConfig(**ways), white, 2, seed=0)
    mixed = 0
    for _ in range(3):
        changed = augment(images, labels)
        share, target = np.asarray(changed.images).mean(axis=(1, 2, 3)) / white, np.asarray(changed.target)
        np.testing.assert_allclose(share, target[:, 1], atol=1e-6)
        np.testing.assert_allclose(target.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_array_equal(changed.labels, target.argmax(axis=1))
        mixed += np.sum((share > 0) & (share < 1))
        if ways == {"cutmix": 1.0}:
            assert set(np.unique(changed.images)) <= {0.0, white}
    assert mixed > 5


def test_with_both_a_batch_takes_one_of_them():
    images, labels = squares(1, 255.0)
    augment = Augmentation(AugmentConfig(mixup=1.0, cutmix=1.0), 255.0, 2, seed=0)
    pasted = [bool(np.isin(np.asarray(augment(images, labels).images), (0, 255)).all()) for _ in range(12)]
    assert len(set(pasted)) == 2


@pytest.mark.parametrize("ways", WAYS)
def test_each_example_counts_with_its_own_weight(ways):
    """The loss of a mixed image is that of its parts: each part's share times its weight times its cross-entropy."""
    images, labels = squares(1, 255.0)
    images, weights = images + np.arange(16, dtype=np.float32)[:, None, None, None], np.linspace(0, 3, 16)
    own = Augmentation(AugmentConfig(**ways), 1000.0, 16, seed=5)  # every image is a class of its own
    shares = np.asarray(own(images, np.arange(16)).target)
    changed = Augmentation(AugmentConfig(**ways), 1000.0, 2, seed=5)(images, labels, weights.astype(np.float32))
    logs = np.log([0.9, 0.1])
    expected = -(shares * weights * logs[labels]).sum(axis=1)
    found = -(np.asarray(changed.weights) * (np.asarray(changed.target) * logs).sum(axis=1))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.isfinite(np.asarray(changed.target)).all()


def test_the_accuracy_is_that_of_the_class_that_one_sees_most_of():
    """The rare class has a hundred times the weight, and still not the label of an image that shows little of it."""
    images, labels = squares(1, 255.0)
    weights = np.where(labels == 1, 100, 1).astype(np.float32)
    changed = Augmentation(AugmentConfig(cutmix=1.0), 255.0, 2, seed=0)(images, labels, weights)
    share = np.asarray(changed.images).mean(axis=(1, 2, 3)) / 255
    assert np.any((share > 0.1) & (share < 0.5))
    np.testing.assert_array_equal(changed.labels, share > 0.5)


def test_a_batch_of_one_image_stays_as_it_is():
    images, labels = squares(3, 255.0)
    changed = Augmentation(AugmentConfig(mixup=0.4, cutmix=1.0), 255.0, 2, seed=0)(images[:1], labels[:1])
    np.testing.assert_allclose(changed.images, images[:1])
    np.testing.assert_allclose(changed.target, [[0, 1]])


def test_the_network_learns_from_mixed_images(train, pictures):
    """With weights for the classes, smoothed labels, and the other changes."""
    done = train(
        augment={"mixup": 0.4, "cutmix": 1.0, "noise": 0.02},
        balance="weights",
        label_smoothing=0.1,
        head={"epochs": 0},
        stem={"epochs": 0},
        all={"epochs": 12, "learning_rate": 0.01},
    )
    losses = [epoch.loss for epoch in done.training.history]
    assert losses[-1] < losses[0]
    pixels, labels = pictures
    predicted = done.network.model.predict(pixels.astype(np.float32), verbose=0).argmax(axis=1)
    assert np.mean(predicted == labels) >= 0.85
    assert {layer.name for layer in done.network.layers()} >= {"conv1_conv", "head"}  # nothing else is exported
    assert not any(isinstance(layer, keras.layers.MixUp) for layer in done.network.layers())


def test_mixing_needs_two_images_in_a_batch():
    with pytest.raises(ValidationError, match=r"train.batch_size of 2 or more"):
        TrainConfig(batch_size=1, augment=AugmentConfig(mixup=0.2))
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        AugmentConfig(cutmix=1.5)

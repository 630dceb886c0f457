import keras
import numpy as np
import pytest

from restem.trainer.augment import QuarterTurns, augmentation
from restem.trainer.augment_config import AugmentConfig

EACH = {
    "flip_horizontal": True,
    "flip_vertical": True,
    "quarter_turns": True,
    "rotation": 20,
    "translation": 0.2,
    "zoom": 0.2,
    "brightness": 0.2,
    "contrast": 0.5,
    "noise": 0.1,
    "erasing": 1.0,
}


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("name", EACH)
def test_each_changes_images_in_training_alone(name, channels):
    images = np.random.default_rng(0).uniform(0, 65535, (8, 12, 12, channels)).astype(np.float32)
    (layer,) = augmentation(AugmentConfig(**{name: EACH[name]}), 65535.0, seed=0)
    np.testing.assert_array_equal(layer(images, training=False), images)
    changed = keras.ops.convert_to_numpy(layer(images, training=True))
    assert changed.shape == images.shape
    assert np.abs(changed - images).max() > 1
    assert np.isfinite(changed).all()
    if name not in ("noise", "zoom", "rotation", "translation"):  # these may overshoot, or interpolate
        assert changed.min() >= 0
        assert changed.max() <= 65535


def test_none_is_the_default():
    assert augmentation(AugmentConfig(), 255.0, seed=0) == []


def test_quarter_turns_are_the_four_turns_of_an_image():
    image = np.arange(3 * 3 * 2, dtype=np.float32).reshape(1, 3, 3, 2)
    turned = keras.ops.convert_to_numpy(QuarterTurns(seed=0)(np.repeat(image, 64, axis=0), training=True))
    expected = {np.rot90(image[0], turns).tobytes() for turns in range(4)}
    assert {one.tobytes() for one in turned} == expected


def test_bands_change_independently():
    images = np.full((1, 4, 4, 3), 100, np.float32)
    (layer,) = augmentation(AugmentConfig(brightness=0.3), 255.0, seed=1)
    changed = keras.ops.convert_to_numpy(layer(images, training=True))[0, 0, 0]
    assert len(set(changed.tolist())) == 3

"""The stored statistics of a network against its images: made here by the network's own stem, in Keras."""

import dataclasses

import keras
import numpy as np
import pytest

from restem.stem import PREPROCESSING, Preprocessing, StemSpec
from restem.stem.plausibility import check_plausibility
from restem.stem.prior import natural_images

from .networks import network, run

COUNT = 48  # the brightness of 1/f images varies much
COLOURS = ("red", "green", "blue")


def photos(seed, tint=(0, 0, 0), channels=3):
    """1/f images around ImageNet's mean, 0..255, red, green, blue."""
    images = 116 + 55 * natural_images(COUNT, 32, channels, np.random.default_rng(seed))
    return np.clip(images + np.resize(tint, channels), 0, 255)


def strokes():
    """Grey images like digits: mostly black, with some white."""
    rng = np.random.default_rng(5)
    lines = np.zeros((COUNT, 32, 32, 3))
    for image in lines:
        for x in rng.integers(4, 28, 3):
            image[4:28, x : x + 2] = 250
    return lines


def trained(preprocessing, images, v2=False):
    """A network whose first BatchNormalization has the statistics of these images."""
    backbone = network(v2, channels=len(preprocessing.bands))
    conv = backbone.get_layer("conv1_conv")
    low_pass = np.random.default_rng(1).normal(0, 0.02, (1, 1, *conv.kernel.shape[2:]))
    kernel, bias = conv.get_weights()
    conv.set_weights([kernel / 7 + low_pass, bias])  # like trained ones: some filters see brightness
    norm = backbone.get_layer("conv2_block1_preact_bn" if v2 else "conv1_bn")
    order = [COLOURS.index(band) for band in preprocessing.bands] if len(preprocessing.bands) == 3 else slice(None)
    seen = run(keras.Model(backbone.input, norm.input), preprocessing.apply(images[..., order]).astype("float32"))
    gamma, beta, *_ = norm.get_weights()
    norm.set_weights([gamma, beta, seen.mean((0, 1, 2)), seen.var((0, 1, 2))])
    return backbone


@pytest.mark.parametrize(("v2", "truth"), [(False, "caffe"), (True, "torch")])
def test_the_right_preprocessing_is_plausible_and_wrong_ones_are_named(v2, truth):
    backbone = trained(PREPROCESSING[truth], photos(0), v2)
    for images in (photos(1), 0.3 * photos(2), strokes(), 255 - strokes()):
        right = check_plausibility(backbone, StemSpec(), images, truth)
        assert not right.doubtful, right
        assert "plausible" in right.to_text()
        found = check_plausibility(backbone, StemSpec(), images, "none" if truth == "torch" else "unit")
        assert found.doubtful, found
        assert found.better[0].name.startswith(truth), found
        assert found.better[0].distance < found.given.distance / 2
        assert found.given.distance > 1
        assert f"{truth} (" in found.to_text()


def test_a_missing_mean_is_found():
    found = check_plausibility(trained(PREPROCESSING["caffe"], photos(0)), StemSpec(), photos(1), "none")
    assert found.doubtful, found
    assert found.better[0].name == "caffe", found


def test_the_order_of_colours_is_told_only_by_images_like_the_sources():
    tint = (45, 0, -45)
    backbone = trained(PREPROCESSING["caffe"], photos(0, tint))
    swapped = Preprocessing("mine", COLOURS, (1.0,) * 3, (-123.68, -116.779, -103.939))
    found = check_plausibility(backbone, StemSpec(), photos(1, tint), swapped)
    assert found.doubtful
    assert found.better[0].bands == ("blue", "green", "red")
    assert not check_plausibility(backbone, StemSpec(), photos(1, tint), "caffe").doubtful
    grey = np.repeat(photos(1)[..., :1], 3, axis=-1)
    without = check_plausibility(backbone, StemSpec(), grey, "unit")
    assert not without.colour
    assert "cannot be told" in without.to_text()
    assert not check_plausibility(backbone, StemSpec(), grey, swapped).doubtful


def test_a_changed_stem_is_checked_on_what_its_source_would_see():
    backbone = trained(PREPROCESSING["caffe"], photos(0).repeat(2, 1).repeat(2, 2))
    grey = photos(1)[..., :1] * 257
    spec = StemSpec(channels=1, small_images=True, value_range=(0, 65535), kernel=None)
    assert not check_plausibility(backbone, spec, grey, "caffe").doubtful
    assert check_plausibility(backbone, dataclasses.replace(spec, value_range=(0, 65535)), grey, "torch").doubtful


def test_a_source_with_many_bands():
    bands = tuple(f"b{i}" for i in range(6))
    fine = Preprocessing("given", bands, (1 / 255,) * 6, (0.0,) * 6)
    backbone = trained(fine, photos(0, channels=6))
    spec = StemSpec(bands=bands)
    assert not check_plausibility(backbone, spec, photos(1, channels=6), fine).doubtful
    wrong = Preprocessing("given", bands, (1.0,) * 6, (0.0,) * 6)
    found = check_plausibility(backbone, spec, photos(1, channels=6), wrong)
    assert found.better[0].name == "values 0..1"
    some = check_plausibility(backbone, StemSpec(bands=bands[:4]), photos(1, channels=4), fine)
    assert not some.doubtful
    assert "b4" in some.unknown


def test_random_weights_have_nothing_to_compare():
    backbone = network(False)
    norm = backbone.get_layer("conv1_bn")
    norm.set_weights([np.ones(64), np.zeros(64), np.zeros(64), np.ones(64)])
    found = check_plausibility(backbone, StemSpec(), photos(0))
    assert "random weights" in found.to_text()
    assert found.to_dict()["doubtful"] is False

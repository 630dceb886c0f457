import keras
import numpy as np
import pytest

from restem.errors import RestemError
from restem.images.config import ImageConfig
from restem.trainer import network as module
from restem.trainer.model_config import ModelConfig, StemConfig
from tests.stem import networks

STATISTICS = (np.array([100.0]), np.array([20.0]))


def apply(layer, pixels):
    return keras.ops.convert_to_numpy(layer(pixels))


def test_grey_is_replicated():
    grey = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 1)).astype(np.float32)
    np.testing.assert_array_equal(apply(module._to_rgb(("grey",)), grey), np.repeat(grey, 3, axis=-1))


def test_bands_named_red_green_blue_are_selected_in_any_order():
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 4)).astype(np.float32)
    rgb = apply(module._to_rgb(("nir", "blue", "red", "green")), pixels)
    np.testing.assert_array_equal(rgb, pixels[..., [2, 3, 1]])


def test_bands_without_colours_become_their_mean():
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 2, 2, 2)).astype(np.float32)
    mean = pixels.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(apply(module._to_rgb(("vv", "vh")), pixels), np.repeat(mean, 3, axis=-1), rtol=1e-6)


def test_statistics_match_the_source():
    pixels = np.random.default_rng(0).normal(100, 20, (64, 8, 8, 3)).astype(np.float32)
    mean, std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
    matched = apply(module._match_statistics(("red", "green", "blue"), mean, std), pixels)
    np.testing.assert_allclose(matched.mean((0, 1, 2)), [123.675, 116.28, 103.53], rtol=1e-3)
    np.testing.assert_allclose(matched.std((0, 1, 2)), [58.395, 57.12, 57.375], rtol=1e-3)


def test_a_constant_channel_is_rejected():
    with pytest.raises(RestemError, match=r"vv.*image\.select"):
        module._match_statistics(("vh", "vv"), np.array([10.0, 7.0]), np.array([3.0, 0.0]))


@pytest.mark.parametrize("normalise", ["source", "dataset"])
def test_candidate_and_baseline_of_grey_images(normalise):
    image = ImageConfig(size=16, channels=1, normalise=normalise)
    sizes = {}
    for role in ("candidate", "baseline"):
        network = module.build_network(
            role,
            image,
            ModelConfig(weights="none"),
            StemConfig(small_images=True),
            weights="none",
            classes=3,
            statistics=STATISTICS,
            sample=np.zeros((1, 16, 16, 1), np.uint8),
        )
        assert network.model.output_shape == (None, 3)
        assert network.features.output_shape == (None, 2048)
        assert network.report.claim == "exact"
        sizes[role] = next(layer for layer in network.layers() if layer.name == "conv1_conv").kernel.shape
    assert sizes["candidate"][:2] == (4, 4)
    assert sizes["baseline"] == (7, 7, 3, 64)


@pytest.mark.parametrize(("role", "normalise"), [("candidate", "dataset"), ("baseline", "source")])
def test_16_bit_white_equals_8_bit_white(role, normalise):
    grey = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1)).astype(np.float32)
    features = []
    for bits, scale in ((8, 1), (16, 257)):
        keras.utils.set_random_seed(0)
        network = module.build_network(
            role,
            ImageConfig(size=16, channels=1, bits=bits, normalise=normalise),
            ModelConfig(weights="none"),
            StemConfig(),
            weights="none",
            classes=3,
            statistics=(STATISTICS[0] * scale, STATISTICS[1] * scale),
            sample=(grey * scale).astype(np.uint16),
        )
        features.append(network.features.predict(grey * scale, verbose=0))
    # float32 through 50 layers; different value ranges would differ by a factor.
    np.testing.assert_allclose(features[0], features[1], rtol=1e-3, atol=1e-4 * np.abs(features[0]).max())


def test_selected_bands_are_the_networks_channels():
    image = ImageConfig(size=16, bands=("nir", "red", "green", "blue", "swir"), select=("swir", "red"))
    network = module.build_network(
        "candidate",
        image,
        ModelConfig(weights="none"),
        StemConfig(),
        weights="none",
        classes=3,
        statistics=STATISTICS,
        sample=np.zeros((1, 16, 16, 2), np.uint8),
    )
    assert network.model.input_shape == (None, 16, 16, 2)
    assert network.report.to_dict()["input"]["bands"] == ["swir", "red"]


@pytest.mark.parametrize(
    ("fields", "claim"),
    [
        ({"extra_bands": "mean"}, "approximate"),
        ({"kernel": 5, "shrink": "pseudo_inverse"}, "approximate"),
        ({"filters": 32, "narrow": "mean"}, "approximate"),
        ({"deep": True}, "approximate"),
        ({"stride": 1}, "approximate"),
        ({"cifar": True}, "approximate"),
        ({"band_statistics": {"nir": (100.0, 20.0)}}, "exact"),
        ({"normalise": "statistics"}, "exact"),
    ],
)
def test_every_stem_of_the_configuration_is_built_and_fitted_to_the_training_images(fields, claim, monkeypatch):
    monkeypatch.setattr(module, "load_backbone", lambda name, weights: networks.network(False))
    sample = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 4), np.uint8)
    network = module.build_network(
        "candidate",
        ImageConfig(size=32, bands=("red", "green", "blue", "nir")),
        ModelConfig(weights="none"),
        StemConfig(**fields),
        weights="none",
        classes=3,
        statistics=(np.full(4, 100.0), np.full(4, 20.0)),
        sample=sample,
    )
    assert network.model.output_shape == (None, 3)
    report = network.report.to_dict()
    assert report["claim"] == claim
    for rule in report["approximations"]:
        assert "1/f" not in rule["measure"]
    if claim == "exact":
        # The given or measured mean of nir maps to the source's mean, 0 in caffe's preprocessing.
        scale, offset = report["input"]["scale"][3], report["input"]["offset"][3]
        assert scale * 100.0 + offset == pytest.approx(0, abs=1e-6)
        assert scale == pytest.approx(np.mean([58.395, 57.12, 57.375]) / 20, rel=1e-3)


def test_a_constant_band_is_rejected():
    with pytest.raises(RestemError, match=r"nir.*stem\.normalise"):
        module._measured(("red", "nir"), np.array([10.0, 7.0]), np.array([3.0, 0.0]))


def test_both_networks_use_the_sources_preprocessing(monkeypatch):
    monkeypatch.setattr(module, "load_backbone", lambda name, weights: networks.network(False))
    for role in ("candidate", "baseline"):
        network = module.build_network(
            role,
            ImageConfig(size=32),
            ModelConfig(weights="own.h5", source="torch"),
            StemConfig(),
            weights="own.h5",
            classes=3,
            statistics=None,
            sample=np.zeros((1, 32, 32, 3), np.uint8),
        )
        assert network.report.to_dict()["source"]["preprocessing"] == "torch"

"""`model.source`: from the configuration to the candidate, the baseline and the record."""

import json

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from restem.images.config import ImageConfig
from restem.report import source as told
from restem.trainer import network as network_module
from restem.trainer.continuation import describe_network
from restem.trainer.model_config import ModelConfig, StemConfig
from restem.trainer.source import source_record
from restem.trainer.source_config import preprocessing_of
from tests.stem import networks
from tests.tiny_model import record

BANDS = [f"b{i}" for i in range(1, 10)] + ["blue", "green", "red"]
GIVEN = {"bands": BANDS, "scale": 0.01, "offset": [0.1 * i for i in range(12)], "mean": 100, "std": 40}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("keras", "there is no such source"),
        ({"bands": ["vv"]}, "scale: field required"),
        ({"bands": ["vv"], "scale": 0}, "would not see"),
        ({"bands": ["vv"], "scale": 1, "ofset": 1}, "ofset: extra inputs"),
        ({"bands": ["vv", "VV"], "scale": 1}, "more than once"),
        ({"bands": ["vv", "vh"], "scale": [1, 1, 1]}, "expected one number, or 2|Expected one number, or 2"),
        ({"bands": ["vv"], "scale": 1, "std": 0}, "0 or negative"),
        ({"bands": ["vv"], "scale": float("nan")}, "finite"),
    ],
)
def test_a_wrong_source_is_refused(source, message):
    with pytest.raises(ValidationError, match=message):
        ModelConfig.model_validate({"weights": "own.h5", "source": source})


def test_a_source_in_numbers_survives_the_record_and_is_not_one_of_imagenet():
    model = ModelConfig.model_validate({"weights": "own.h5", "source": GIVEN})
    assert ModelConfig.model_validate_json(model.model_dump_json(), strict=True) == model
    assert ModelConfig.model_validate(json.loads(json.dumps(model.model_dump(mode="json")))) == model
    found = preprocessing_of(model.source)
    assert found.bands == tuple(BANDS)
    assert found.scale == (0.01,) * 12
    assert found.std == (40.0,) * 12
    with pytest.raises(ValidationError, match=r"ImageNet weights are trained with the preprocessing 'caffe'"):
        ModelConfig.model_validate({"weights": "imagenet", "source": GIVEN})


@pytest.fixture
def build(monkeypatch):
    """build(role, names, channels, source): the network of a tiny source with so many channels, and the source."""

    def make(role, names, channels, source, weights="own.h5", **stem):
        backbone = networks.network(False, channels=channels, seed=3)
        monkeypatch.setattr(network_module, "load_backbone", lambda name, weights, **_: backbone)
        image = ImageConfig(size=20, bands=names)
        sample = np.random.default_rng(0).integers(0, 256, (6, 20, 20, len(names))).astype(np.uint8)
        model = ModelConfig(weights=weights, source=source)
        network = network_module.build_network(
            role, image, model, StemConfig(**stem), weights=weights, classes=3, statistics=None, sample=sample
        )
        return network, backbone, sample.astype(np.float32)

    return make


def test_a_checkpoint_with_12_bands_is_read_by_name(build):
    names = ("green", "b1", "red", "vh")
    network, backbone, pixels = build("candidate", names, 12, GIVEN)
    seen = np.zeros((6, 20, 20, 12), np.float32)
    for name in names[:3]:
        i = BANDS.index(name)
        seen[..., i] = 0.01 * pixels[..., names.index(name)] + 0.1 * i
    expected = networks.run(backbone, seen)
    np.testing.assert_allclose(networks.run(network.features, pixels), expected, rtol=1e-4, atol=1e-5)
    found = source_record(network.report.to_dict(), network.plausibility)
    became = {entry["band"]: entry["became"] for entry in found.became}
    assert became == {**dict.fromkeys(BANDS, "dropped"), "green": "kept", "b1": "kept", "red": "kept", "vh": "new"}
    assert found.decided == "as given"
    assert "b9" in network.plausibility.unknown
    model = record(ImageConfig(size=20, bands=names))
    sentence = told.bands(type(model)(**{**model.__dict__, "source": found}))
    assert "b2: dropped, no channel of the images carries it" in sentence
    assert "vh: new, its kernel starts as zeros" in sentence
    stock, _, _ = build("baseline", names, 12, GIVEN)
    assert stock.report.input["bands"] == ["red", "green", "blue"]
    assert networks.run(stock.model, pixels).shape == (6, 3)


@pytest.mark.parametrize(
    ("names", "reads"), [(("vh", "nir", "vv"), ["vv", "vh"]), (("nir",), ["grey"]), (("nir", "swir"), ["grey"])]
)
def test_the_stock_network_of_a_source_without_colours(build, names, reads):
    source = {"bands": ["vv", "vh"], "scale": 0.02}
    network, backbone, pixels = build("baseline", names, 2, source, extra_bands="mean")
    assert network.report.input["bands"] == reads
    mean = pixels.mean(axis=-1, keepdims=True).repeat(2, axis=-1)
    chosen = pixels[..., [2, 0]] if "vv" in names else mean
    np.testing.assert_allclose(
        networks.run(network.features, pixels), networks.run(backbone, chosen * 0.02), rtol=1e-4, atol=1e-5
    )
    model = record(ImageConfig(size=20, bands=names))
    stock = type(model)(**{**model.__dict__, "source": source_record(network.report.to_dict(), None)})
    sentence = told.sees(model, stock)
    assert ("sees vv and vh" if "vv" in names else "sees the mean of all bands") in sentence


def test_who_decided_the_preprocessing_is_told(build):
    names = ("red", "green", "blue")
    network, _, _ = build("candidate", names, 3, "auto")
    assert network.report.source["decided"].startswith("assumed: Keras's convention")
    assert network.plausibility.doubtful  # random statistics
    network, _, _ = build("candidate", names, 3, "auto", weights="imagenet")
    assert network.report.source["decided"].startswith("known: Keras")
    assert "known: Keras" in network.report.to_text()
    assert network.plausibility is None
    model = record(ImageConfig(size=20, bands=names))
    found = source_record(network.report.to_dict(), None)
    assert "caffe (known" in told.preprocessing(type(model)(**{**model.__dict__, "source": found}))
    assert describe_network(network.model, ImageConfig(size=20, bands=names))["version"] == 1
    keras.backend.clear_session()

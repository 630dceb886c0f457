"""`backbone.keras`: others load it, and a training starts with it."""

import zipfile

import keras
import numpy as np
import pytest

from restem.images.config import ImageConfig
from restem.stem import StemSpec, describe, load_backbone, modify_stem
from restem.stem.checkpoint.examine import examine
from restem.stem.declared import declared_source
from restem.trainer import network as network_module
from restem.trainer.backbone import BACKBONE, write_backbone
from restem.trainer.model_config import ModelConfig, StemConfig
from tests.stem import networks

CASES = {
    "grey, small images": ({"size": 16, "channels": 1, "normalise": "dataset"}, {"small_images": True}),
    "bands, 16 bits": (
        {"size": 20, "bands": ("nir", "red", "green", "blue"), "bits": 16, "normalise": "dataset"},
        {"filters": 96, "kernel": 9, "batch_norm": True},
    ),
    "colour": ({"size": 18}, {}),
    "deep": ({"size": 18}, {"deep": True}),
}


@pytest.fixture(params=CASES)
def written(request, monkeypatch, tmp_path):
    """A network with other weights than its source, its images, and the file."""
    image, stem = CASES[request.param]
    image = ImageConfig.model_validate(image)
    monkeypatch.setattr(network_module, "load_backbone", lambda *_, **__: networks.network(False, seed=3))
    shape = (6, image.height, image.width, image.count)
    pixels = np.random.default_rng(0).integers(0, image.white + 1, shape).astype(image.dtype)
    network = network_module.build_network(
        "candidate",
        image,
        ModelConfig(weights="none"),
        StemConfig.model_validate(stem),
        weights="none",
        classes=3,
        statistics=(np.full(image.count, 0.4 * image.white), np.full(image.count, 0.2 * image.white)),
        sample=pixels,
    )
    # As after a training.
    for weight in network.model.trainable_weights:
        weight.assign(weight * 1.1)
    return request.param, network, pixels.astype(np.float32), image, write_backbone(tmp_path, network, image.white)


def test_its_features_are_those_of_the_trained_network(written, tmp_path):
    case, network, pixels, image, path = written
    expected = networks.run(network.features, pixels)
    ours = load_backbone("ResNet50", path)
    assert networks.difference(expected, networks.run(ours, pixels)) < 1e-6
    assert networks.difference(expected, networks.run(keras.saving.load_model(path), pixels)) < 1e-6
    about = describe(path)
    assert about["trained"]
    assert about["report"]["input"]["value_range"] == [0, image.white]
    with zipfile.ZipFile(path) as archive:
        assert "date" not in archive.read("metadata.json").decode().replace('"date_saved": null', "")
    again = tmp_path / "again"
    again.mkdir()
    assert write_backbone(again, network, image.white).read_bytes() == path.read_bytes()
    if case != "deep":
        assert path.name == BACKBONE
        assert "inside the network" in declared_source(examine(path, "ResNet50"), "auto")
        bands = image.names if image.bands else None
        spec = StemSpec(channels=image.count, bands=bands, value_range=(0.0, float(image.white)))
        result = modify_stem(ours, spec)
        assert result.report.claim == "exact"
        assert networks.difference(expected, networks.run(result.model, pixels)) < 1e-6

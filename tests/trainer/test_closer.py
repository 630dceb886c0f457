"""The files of a closer look, and the nearest training images."""

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics.pairwise import cosine_distances

from restem.closer_record import FEATURES, PICTURES, read_neighbours, read_saliency
from restem.images.config import ImageConfig
from restem.record_files import DamagedRecord
from restem.trainer import neighbours
from restem.trainer.closer import look_closer
from restem.trainer.evaluation import evaluate
from restem.trainer.input import arrays_as_split
from tests.trainer.conftest import CLASSES


@pytest.fixture
def test_split(pictures):
    """The first training image with one pixel changed, a copy of the second, and noise."""
    pixels, labels = pictures
    near = pixels[:2].copy()
    near[0, 0, 0] += 51
    noise = np.random.default_rng(5).integers(0, 256, (10, 8, 8, 1)).astype(np.uint8)
    noise[0] = np.eye(8, dtype=np.uint8)[..., None] * 255
    return arrays_as_split(
        np.concatenate([near, noise]), np.concatenate([labels[:2], np.arange(10) % 3]), np.array(list("abcdefghijkl"))
    )


def test_the_files_of_a_run(network, split, test_split, tmp_path):
    evaluation = evaluate(network.model, test_split, CLASSES, 16)
    look_closer(tmp_path, network, split, test_split, evaluation, ImageConfig(size=8, channels=1), 16)

    found = read_neighbours(tmp_path)
    assert found.paths == tuple("abcdefghijkl")
    assert (found.compared, found.train_images, found.test_images, found.skipped) == (90, 90, 12, "")
    ours, theirs = (network.features.predict(s.pixels(16), verbose=0) for s in (split, test_split))
    std = np.maximum(ours.std(axis=0), 0.3 * ours.std(axis=0).mean())
    distances = cosine_distances((theirs - ours.mean(axis=0)) / std, (ours - ours.mean(axis=0)) / std)
    np.testing.assert_allclose(found.distance, distances.min(axis=1), atol=1e-5)
    assert found.distance[1] == pytest.approx(0, abs=1e-5)
    assert found.nearest[1] == "class/1.png"
    assert found.difference[1] == 0
    if found.nearest[0] == "class/0.png":
        assert found.difference[0] == pytest.approx(51 / 255 / 64)
    for name in found.pictures.values():
        assert Image.open(tmp_path / PICTURES / name).size == (96, 96)
    assert "class/1.png" in found.pictures

    saliency = read_saliency(tmp_path)
    assert (saliency.layer, saliency.height, saliency.width) == ("body_bn", 4, 4)
    wrong = ~evaluation.right
    assert len(saliency.mistakes) == min(8, wrong.sum())
    for one in (*saliency.mistakes, *saliency.right):
        place = evaluation.paths.index(one.path)
        assert one.label == CLASSES[test_split.labels[place]]
        assert one.predicted == CLASSES[evaluation.predicted[place]]
        assert Image.open(tmp_path / PICTURES / one.seen).size == (96, 96)
        assert Image.open(tmp_path / PICTURES / one.heat).mode == "RGB"


def test_only_so_many_images_are_compared(network, split, test_split, monkeypatch):
    monkeypatch.setattr(neighbours, "MOST_IMAGES", 5)
    found, pixels = neighbours.find_neighbours(network.features, split, test_split, 16, 255.0)
    assert (len(found.paths), found.compared, found.train_images, found.test_images) == (5, 5, 90, 12)
    assert set(found.nearest) <= {f"class/{i}.png" for i in range(5)}
    assert set(pixels) <= set(found.nearest)


def test_features_that_never_vary_are_not_compared(network, split, test_split):
    for layer in network.layers():
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    found, pixels = neighbours.find_neighbours(network.features, split, test_split, 16, 255.0)
    assert "the same for all training images" in found.skipped
    assert pixels == {}


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / FEATURES).write_bytes(b"PK")
    with pytest.raises(DamagedRecord, match=FEATURES):
        read_neighbours(tmp_path)


def test_an_unexpected_error_is_a_warning(network, split, test_split, tmp_path, monkeypatch, caplog):
    def broken(*_):
        raise ValueError("no such array")

    monkeypatch.setattr("restem.trainer.closer.find_neighbours", broken)
    evaluation = evaluate(network.model, test_split, CLASSES, 16)
    look_closer(tmp_path, network, split, test_split, evaluation, ImageConfig(size=8, channels=1), 16)
    assert "Unexpected error" in caplog.text
    assert "no such array" in caplog.text
    assert not (tmp_path / FEATURES).exists()

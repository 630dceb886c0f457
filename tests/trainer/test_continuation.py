"""Going on from a pushed model: a real export of small ResNets, and a new network with its weights."""

import itertools
from dataclasses import replace
from functools import cache, partial
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from restem.errors import RestemError
from restem.images.config import ImageConfig
from restem.images.container import to_decodable
from restem.record_files import read_json
from restem.run_record import EXTRA, NETWORK
from restem.trainer import continuation
from restem.trainer import network as network_module
from restem.trainer.backbone import write_backbone
from restem.trainer.continuation import continue_network
from restem.trainer.export import export
from restem.trainer.made_of import made_of
from restem.trainer.model_config import ModelConfig, StemConfig
from restem.trainer.phases import compile_classifier
from tests.stem import networks
from tests.tiny_model import record
from tests.trainer.conftest import tiny_network

CLASSES = ["b", "d", "e"]
CASES = {
    "grey, small images": (
        False,
        "caffe",
        {"size": 16, "channels": 1, "normalise": "dataset"},
        {"small_images": True, "batch_norm": True},
    ),
    "bands, 16 bits": (
        False,
        "caffe",
        {"size": 20, "bands": ("nir", "red", "green", "blue"), "bits": 16},
        {"normalise": "statistics", "filters": 96},
    ),
    "V2, deep": (True, "tf", {"size": [18, 24]}, {"deep": True, "pool": False}),
    "another preprocessing": (False, "torch", {"size": 16}, {"kernel": 5, "filters": 32}),
}

TEMPERATURE = {"V2, deep": 3.0}


@pytest.fixture(scope="module", autouse=True)
def small_backbones():
    """Each network that is built has a small backbone with other weights."""
    seeds = itertools.count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            network_module,
            "load_backbone",
            lambda name, weights: networks.network(name.endswith("V2"), seed=next(seeds)),
        )
        yield


@pytest.fixture(scope="module")
def pushed(small_backbones, tmp_path_factory):
    """pushed(case): a pushed model; its folder, sections, some images, and its answers to them."""

    @cache
    def make(case):
        v2, source, image, stem = CASES[case]
        backbone = "ResNet50V2" if v2 else "ResNet50"
        image, stem = ImageConfig.model_validate(image), StemConfig.model_validate(stem)
        rng = np.random.default_rng(1)
        shape = (image.height, image.width, image.count)
        images = rng.integers(0, image.white + 1, (8, *shape)).astype(image.dtype)
        network = network_module.build_network(
            "candidate",
            image,
            ModelConfig(backbone=backbone, weights="none", source=source),
            stem,
            weights="none",
            classes=3,
            statistics=(np.full(image.count, 90.0), np.full(image.count, 33.0)),
            sample=images,
        )
        for weight in network.model.weights:  # as if trained
            weight.assign(weight * rng.uniform(0.8, 1.2, weight.shape))
        compile_classifier(network.model, keras.optimizers.Adam())
        about = replace(
            record(image), backbone=backbone, config={"model": {"source": source}}, temperature=TEMPERATURE.get(case)
        )
        folder = str(tmp_path_factory.mktemp("pushed") / "5")
        export(network.model, image, CLASSES, folder, about, network.report.to_dict())
        serve = tf.saved_model.load(folder).signatures["serving_default"]
        encoded = tf.stack([to_decodable(pixels) for pixels in images])
        return SimpleNamespace(
            folder=folder,
            image=image,
            stem=stem,
            images=images,
            logits=network.model.predict(images.astype(np.float32), verbose=0),
            probabilities=serve(image_bytes=encoded)["probabilities"].numpy(),
        )

    return make


def goes_on(pushed, classes=CLASSES, **sections):
    stem = sections.get("stem", pushed.stem)
    return continue_network(pushed.folder, pushed.image, stem, classes=classes, sample=pushed.images[:4])


def answers(network, pushed):
    return network.model.predict(pushed.images.astype(np.float32), verbose=0)


@pytest.mark.parametrize("case", CASES)
def test_without_training_it_answers_as_the_pushed_model(pushed, case):
    model = pushed(case)
    network = goes_on(model)
    # A temperature is not applied a second time.
    np.testing.assert_allclose(answers(network, model), model.logits, atol=1e-5)
    scaled = model.logits / TEMPERATURE.get(case, 1.0)
    np.testing.assert_allclose(tf.nn.softmax(scaled), model.probabilities, atol=1e-6)
    assert network.continued
    assert network.head is network.model.layers[-1]
    assert network.report.to_dict()["claim"] in ("exact", "approximate")


def test_each_weight_is_saved_once_and_no_optimizer(pushed):
    folder = pushed("another preprocessing").folder
    names = [name for name, shape in tf.train.list_variables(f"{folder}/variables/variables") if shape]
    assert "network_weights/head.Skernel/.ATTRIBUTES/VARIABLE_VALUE" in names
    assert all(name.startswith("network_weights/") for name in names)


def test_classes_come_and_go_and_the_others_keep_their_logits(pushed):
    model = pushed("another preprocessing")
    network = goes_on(model, ["a", "e", "b", "c"])
    logits = answers(network, model)
    np.testing.assert_allclose(logits[:, [2, 1]], model.logits[:, [0, 2]], atol=1e-5)
    # The new ones have the same logit on all images: that of an average old class.
    assert np.ptp(logits[:, [0, 3]]) == 0
    mean = np.log(np.exp(model.logits[:4, [0, 2]]).mean(axis=1)).mean()
    assert logits[0, 0] == pytest.approx(mean, abs=1e-4)
    features = network.features.predict(model.images.astype(np.float32), verbose=0)
    np.testing.assert_allclose(logits, features @ network.head.get_weights()[0] + network.head.bias, atol=1e-4)


def test_what_does_not_belong_together_is_refused(pushed, monkeypatch):
    model = pushed("another preprocessing")
    with pytest.raises(RestemError, match=r"model\.weights .*conv1_conv/kernel: .*\(7, 7, 3, 32\).*\(5, 5, 3, 32\)"):
        goes_on(model, stem=StemConfig(filters=32))
    # The same weights, but another function.
    with pytest.raises(RestemError, match=r"gives other logits \(difference"):
        goes_on(model, stem=StemConfig(kernel=5, filters=32, stride=1))
    described = read_json(f"{model.folder}/{EXTRA}", NETWORK)
    for changed, message in (
        ({"version": 2}, "has format 2, expected 1"),
        ({"constants": {}}, "its constants are those of"),
    ):
        monkeypatch.setattr(continuation, "read_json", lambda *_, changed=changed: {**described, **changed})
        with pytest.raises(RestemError, match=message):
            goes_on(model)


def with_strides_of_pytorch(seed):
    """A network with the same weights as Keras's, whose stage has its stride in another convolution."""
    network = networks.network(False, blocks=(1, 1), seed=seed)
    config = network.get_config()
    for layer in config["layers"]:
        strides = {"conv3_block1_1_conv": (1, 1), "conv3_block1_2_conv": (2, 2)}
        if layer["name"] in strides:
            layer["config"]["strides"] = strides[layer["name"]]
    other = type(network).from_config(config)
    other.set_weights(network.get_weights())
    return other


def test_a_source_of_another_form_goes_on_with_the_layers_of_its_backbone_keras(monkeypatch, tmp_path):
    image = ImageConfig.model_validate({"size": 16, "channels": 1, "normalise": "dataset"})
    stem = StemConfig(kernel=9)
    images = np.random.default_rng(1).integers(0, 256, (4, 16, 16, 1)).astype(np.uint8)
    model = ModelConfig(weights="none", source="torch")
    statistics = (np.full(1, 90.0), np.full(1, 33.0))
    monkeypatch.setattr(network_module, "load_backbone", lambda name, weights: with_strides_of_pytorch(1))
    network = network_module.build_network(
        "candidate", image, model, stem, weights="none", classes=3, statistics=statistics, sample=images
    )
    folder = tmp_path / "5"
    about = replace(record(image), backbone="ResNet50", config={"model": {"source": "torch"}})
    export(network.model, image, CLASSES, str(folder), about, network.report.to_dict())
    # Built anew, the network has Keras's strides.
    monkeypatch.setattr(
        network_module, "load_backbone", lambda name, weights: networks.network(False, blocks=(1, 1), seed=2)
    )
    with pytest.raises(RestemError, match="gives other logits"):
        continue_network(str(folder), image, stem, classes=CLASSES, sample=images)
    write_backbone(folder / EXTRA, network, 255)
    again = continue_network(str(folder), image, stem, classes=CLASSES, sample=images)
    pixels = images.astype(np.float32)
    np.testing.assert_allclose(again.model.predict(pixels), network.model.predict(pixels), atol=1e-5)
    assert set(again.stem_layers) == set(network.stem_layers)


def test_the_head_phase_starts_with_the_old_head(train):
    """With hardly any learning rate, the head stays what it was."""
    still = {"head": {"epochs": 1, "learning_rate": 1e-9}, "stem": {"epochs": 0}, "all": {"epochs": 0}}
    keras.utils.set_random_seed(0)
    before = tiny_network().head.get_weights()
    for continued in (True, False):
        make = partial(make_tiny, continued)
        after = train(make=make, **still).network.head.get_weights()
        same = all(np.allclose(old, new, atol=1e-5) for old, new in zip(before, after, strict=True))
        assert same == continued


def make_tiny(continued):
    return replace(tiny_network(), continued=continued)


def test_the_digests_of_a_training(tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"Split-{split}").mkdir()
        (tmp_path / f"Split-{split}" / "data.gz").write_text(split)
    files = [f"{tmp_path}/Split-{split}/*" for split in ("train", "val", "test")]
    custom = {"train": {"seed": 1}, "code": "a", "config": {"name": "x"}}
    first = made_of(custom, files)
    assert made_of({**custom, "config": {}, "start": {"path": "/5"}}, files) == first
    assert made_of({**custom, "code": "b"}, files).settings != first.settings
    (tmp_path / "Split-test" / "data.gz").write_text("tesT")
    assert made_of(custom, files) == replace(first, images=made_of(custom, files).images) != first

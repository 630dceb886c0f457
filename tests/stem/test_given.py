"""Whole models from files: what is in front of the ResNet and its settings count, or the file is refused."""

import json
import zipfile

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from restem.pipeline.commands.checkpoint import checkpoint
from restem.stem import Preprocessing, StemError, StemSpec, load_backbone, modify_stem
from restem.stem.contents import check_contents

from .networks import as_stock, difference, network, randomise, run

COLOURS = ("red", "green", "blue")


@pytest.fixture
def stock(monkeypatch):
    """Small stock networks for load_backbone."""
    as_stock(monkeypatch, {"ResNet50": (2, 2), "ResNet50V2": (2, 2)})


def resnet(v2=False, channels=3, **settings):
    """A network with other weights than the stock one, and with other settings of its layers, by name."""
    model = network(v2, (2, 2), channels=channels, seed=5)
    config = model.get_config()
    for entry in config["layers"]:
        entry["config"].update(settings.get(entry["name"], {}))
    return randomise(type(model).from_config(config), 6)


def raw(channels=3):
    return np.random.default_rng(0).uniform(0, 255, (2, 37, 44, channels)).astype("float32")


def behind(front, inner, nested=True):
    """Layers in front of a ResNet, a classifier behind it, and the model that gives the features."""
    inputs = keras.Input((None, None, inner.input_shape[-1]))
    x = inputs
    for layer in front:
        x = layer(x)
    features = inner(x)
    return keras.Model(inputs, keras.layers.Dense(4)(features)), keras.Model(inputs, features)


def normalization():
    return keras.layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[60.0**2, 50.0**2, 40.0**2])


FRONTS = {
    "rescaling": lambda: [keras.layers.Rescaling(1 / 255)],
    "rescaling with offset": lambda: [keras.layers.Rescaling(1 / 127.5, offset=-1)],
    "rescaling by channel": lambda: [keras.layers.Rescaling([0.01, 0.02, 0.03], offset=[-1, 0.5, 0.2])],
    "two rescalings": lambda: [keras.layers.Rescaling(1 / 255), keras.layers.Rescaling([2, 3, 4], offset=[-1, 0, 1])],
    "normalization": lambda: [normalization()],
    "rescaling and normalization": lambda: [keras.layers.Rescaling(0.5), normalization()],
    "preprocess_input, caffe": lambda: [keras.applications.resnet.preprocess_input],
    "preprocess_input, tf": lambda: [keras.applications.resnet_v2.preprocess_input],
    "augmentation": lambda: [
        keras.Sequential([keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)]),
        keras.layers.Rescaling(1 / 255),
    ],
}


FILES = [(front, ".keras", False) for front in FRONTS]
FILES += [("rescaling", ".h5", True), ("rescaling with offset", ".h5", False), ("two rescalings", ".keras", True)]


@pytest.mark.parametrize(("front", "ending", "v2"), FILES)
def test_layers_in_front_are_the_sources_preprocessing(stock, front, ending, v2, tmp_path):
    whole, features = behind(FRONTS[front](), resnet(v2))
    whole.save(tmp_path / f"whole{ending}")
    backbone = load_backbone("ResNet50V2" if v2 else "ResNet50", tmp_path / f"whole{ending}")
    result = modify_stem(backbone, StemSpec())
    assert difference(run(features, raw()), run(result.model, raw())) < 1e-4
    assert result.report.claim == "exact"
    assert result.report.source["decided"].startswith("from the file: ")
    assert "from the file: " in result.report.to_text()


def test_a_sequential_model_with_a_classifier(stock, tmp_path):
    inner = resnet()
    whole = keras.Sequential(
        [keras.Input((None, None, 3)), keras.layers.Rescaling(1 / 255), inner, keras.layers.Dense(3)]
    )
    whole.save(tmp_path / "whole.keras")
    result = modify_stem(load_backbone("ResNet50", tmp_path / "whole.keras"), StemSpec())
    assert difference(run(inner, raw() / 255), run(result.model, raw())) < 1e-4


def test_a_source_that_contradicts_the_file_is_refused(stock, tmp_path):
    behind([keras.layers.Rescaling(1 / 255)], resnet())[0].save(tmp_path / "whole.keras")
    backbone = load_backbone("ResNet50", tmp_path / "whole.keras")
    with pytest.raises(StemError, match=r"Rescaling.*source 'tf' multiplies"):
        modify_stem(backbone, StemSpec(), source="tf")
    same = Preprocessing("unit", COLOURS[::-1], (1 / 255,) * 3, (0.0,) * 3)
    assert modify_stem(backbone, StemSpec(), source=same).report.source["bands"] == list(COLOURS[::-1])


def test_many_channels_need_names(stock, tmp_path):
    whole, features = behind([keras.layers.Rescaling(1 / 255)], resnet(channels=5))
    whole.save(tmp_path / "whole.keras")
    backbone = load_backbone("ResNet50", tmp_path / "whole.keras")
    with pytest.raises(StemError, match="5 channels, and nothing in it names them"):
        modify_stem(backbone, StemSpec(channels=5))
    bands = ("red", "green", "blue", "nir", "swir")
    source = Preprocessing("unit", bands, (1 / 255,) * 5, (0.0,) * 5)
    result = modify_stem(backbone, StemSpec(bands=bands), source=source)
    assert difference(run(features, raw(5)), run(result.model, raw(5))) < 1e-4


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (lambda: keras.layers.Resizing(32, 32), "Resizing"),
        (lambda: keras.layers.CenterCrop(20, 20), "CenterCrop"),
        (lambda: keras.layers.Conv2D(3, 1), "Conv2D"),
        (lambda: keras.layers.BatchNormalization(), "BatchNormalization"),
        (lambda: keras.layers.Normalization(mean=1.0, variance=2.0, invert=True), "Normalization"),
    ],
)
def test_a_layer_that_is_not_known_is_refused(stock, layer, name, tmp_path):
    behind([layer()], resnet())[0].save(tmp_path / "whole.keras")
    with pytest.raises(StemError, match=rf"\({name}\) is in front of the ResNet"):
        load_backbone("ResNet50", tmp_path / "whole.keras")


SETTINGS = {
    "stride in the 3x3": {"conv3_block1_1_conv": {"strides": (1, 1)}, "conv3_block1_2_conv": {"strides": (2, 2)}},
    "epsilon": {"conv1_bn": {"epsilon": 1e-3}, "conv2_block1_1_bn": {"epsilon": 0.1}},
    "dilation": {"conv2_block2_2_conv": {"dilation_rate": (2, 2)}},
    "activation": {"conv2_block1_out": {"activation": "tanh"}},
    "first stride": {"conv1_conv": {"strides": (1, 1)}},
}


@pytest.mark.parametrize(("settings", "nested"), [*((name, False) for name in SETTINGS), ("stride in the 3x3", True)])
def test_other_settings_of_the_layers_are_kept(stock, settings, nested, tmp_path):
    given = resnet(**SETTINGS[settings])
    (behind([], given)[0] if nested else given).save(tmp_path / "given.keras")
    backbone = load_backbone("ResNet50", tmp_path / "given.keras")
    bgr = raw() - np.array([103.939, 116.779, 123.68], "float32")
    assert difference(run(given, bgr), run(backbone, bgr)) < 1e-5
    result = modify_stem(backbone, StemSpec(channels=1))
    assert result.report.claim == "exact"
    assert result.report.source["decided"].startswith("assumed")


def test_settings_that_contradict_each_other_are_refused(stock, tmp_path):
    given = resnet().get_config()
    for entry in given["layers"]:
        if entry["name"] == "conv1_conv":
            entry["config"].update(dilation_rate=(2, 2))  # with strides of 2
    file = {"class_name": "Functional", "module": "keras", "config": given, "registered_name": None}
    resnet().save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good, zipfile.ZipFile(tmp_path / "bad.keras", "w") as bad:
        bad.writestr("config.json", json.dumps(file, default=str))
        bad.writestr("model.weights.h5", good.read("model.weights.h5"))
    with pytest.raises(StemError, match="do not fit together"):
        load_backbone("ResNet50", tmp_path / "bad.keras")


def test_another_graph_with_the_same_layers_is_refused(stock, tmp_path):
    given = resnet()
    config = given.get_config()
    text = json.dumps(next(entry for entry in config["layers"] if entry["name"] == "conv2_block2_add"))
    place = next(i for i, entry in enumerate(config["layers"]) if entry["name"] == "conv2_block2_add")
    config["layers"][place] = json.loads(text.replace("conv2_block1_out", "conv2_block1_add"))
    type(given).from_config(config).save(tmp_path / "given.keras")
    with pytest.raises(StemError, match=r"conv2_block2_add.*another network"):
        load_backbone("ResNet50", tmp_path / "given.keras")


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_weights_that_are_not_finite_are_named(stock, ending, tmp_path):
    given = resnet()
    kernel = given.get_layer("conv2_block1_1_conv")
    kernel.set_weights([np.full_like(weight, np.nan) for weight in kernel.get_weights()])
    path = tmp_path / f"given{ending}"
    given.save(path) if ending == ".keras" else given.save_weights(path)
    for look in (load_backbone, lambda name, path: check_contents(path, name)):  # before a run, too
        with pytest.raises(StemError, match=r"conv2_block1_1_conv.*NaN"):
            look("ResNet50", path)
    with pytest.raises(StemError, match=r"conv2_block1_1_conv.*NaN"):
        CliRunner().invoke(checkpoint, [str(path)], catch_exceptions=False, standalone_mode=False)


@pytest.mark.parametrize(("weight", "words"), [(0, "kernel.*NaN or infinite"), (3, "variance.*negative")])
def test_impossible_weights_of_a_modified_network_are_named(stock, weight, words, tmp_path):
    modified = modify_stem(resnet(), StemSpec(channels=1)).model
    name = "conv2_block1_1_conv" if weight == 0 else "conv2_block1_1_bn"
    layer = modified.get_layer(name)
    values = layer.get_weights()
    values[weight] = np.full_like(values[weight], np.inf if weight == 0 else -1)
    layer.set_weights(values)
    modified.save(tmp_path / "modified.keras")
    for look in (load_backbone, lambda name, path: check_contents(path, name)):
        with pytest.raises(StemError, match=words):
            look("ResNet50", tmp_path / "modified.keras")

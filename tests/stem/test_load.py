import zipfile

import keras
import numpy as np
import pytest

from restem.stem import StemError, StemSpec, describe, load_backbone, modify_stem
from restem.stem import load as load_module

from .networks import as_stock, network


@pytest.fixture
def small(monkeypatch):
    """Small networks for load_backbone, under the names of the large ones."""
    as_stock(monkeypatch, {"ResNet50": (2,), "ResNet50V2": (2, 2)})


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def changed(model):
    model.set_weights([w + np.float32(0.25) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("ending", [".weights.h5", ".h5", ".keras"])
@pytest.mark.parametrize("top", [False, True])
def test_files_with_and_without_the_classifier(small, ending, top, tmp_path):
    path = tmp_path / f"checkpoint{ending}"
    saved = changed(load_backbone("ResNet50", "none", include_top=top))
    saved.save_weights(path) if ending == ".weights.h5" else saved.save(path)
    body = load_backbone("ResNet50", path)
    assert all(
        np.array_equal(a, b)
        for layer in body.layers
        if layer.weights
        for a, b in zip(layer.get_weights(), saved.get_layer(layer.name).get_weights(), strict=True)
    )
    assert body.output_shape == (None, 16)
    if top:
        assert same(load_backbone("ResNet50", path, include_top=True), saved)
    else:
        with pytest.raises(StemError, match="contains no classifier"):
            load_backbone("ResNet50", path, include_top=True)
    with pytest.raises(StemError, match="does not contain ResNet50V2"):
        load_backbone("ResNet50V2", path)


def test_a_checkpoint_with_five_channels(small, tmp_path):
    path = tmp_path / "five.weights.h5"
    network(False, (2,), channels=5, seed=4).save_weights(path)
    assert load_backbone("ResNet50", path).input_shape == (None, None, None, 5)


def test_a_network_inside_another(small, tmp_path):
    inner = changed(load_backbone("ResNet50", "none"))
    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, keras.layers.Dense(4)(inner(inputs))).save(tmp_path / "whole.keras")
    assert same(load_backbone("ResNet50", tmp_path / "whole.keras"), inner)


def test_a_modified_network_is_loaded_unchanged(small, tmp_path):
    result = modify_stem(load_backbone("ResNet50", "none"), StemSpec(channels=1))
    result.model.save(tmp_path / "grey.keras")
    again = load_backbone("ResNet50", tmp_path / "grey.keras")
    assert modify_stem(again, StemSpec(kernel=9)).report.input["bands"] == ["grey"]


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_modified_network_inside_another(small, ending, tmp_path):
    inner = modify_stem(load_backbone("ResNet50", "none"), StemSpec(channels=1, deep=True)).model

    def save(name, *front):
        inputs = keras.Input((32, 32, 1))
        x = inputs
        for layer in front:
            x = layer(x)
        keras.Model(inputs, keras.layers.Dense(4)(inner(x))).save(tmp_path / f"{name}{ending}")

    save("plain", keras.layers.Dropout(0.5))
    again = load_backbone("ResNet50", tmp_path / f"plain{ending}")
    assert same(again, inner)
    assert describe(again) == describe(inner)
    save("front", keras.layers.Rescaling(1 / 255))
    with pytest.raises(StemError, match=r"Rescaling.*whose preprocessing is inside"):
        load_backbone("ResNet50", tmp_path / f"front{ending}")


def test_a_modified_network_has_built_in_layers_alone(small, tmp_path):
    """A file that claims to be this library's gets no other class built."""
    modify_stem(load_backbone("ResNet50", "none"), StemSpec(channels=1)).model.save(tmp_path / "grey.keras")
    with zipfile.ZipFile(tmp_path / "grey.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    evil = members["config.json"].replace(b'"class_name": "Rescaling"', b'"class_name": "Lambda"')
    members["config.json"] = evil.replace(b'"class_name": "Add"', b'"class_name": "Popen", "module": "subprocess"')
    with zipfile.ZipFile(tmp_path / "evil.keras", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(StemError, match="it has a Lambda"):
        load_backbone("ResNet50", tmp_path / "evil.keras")


def test_wrong_files(small, tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    (tmp_path / "text.keras").write_text("not a zip file")
    (tmp_path / "weights.pt").write_text("torch")
    dense = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    dense.save_weights(tmp_path / "dense.weights.h5")
    dense.save(tmp_path / "dense.keras")
    for name, words in (
        ("missing.h5", "not found"),
        ("text.h5", "neither HDF5 nor a Keras archive"),
        ("text.keras", "neither HDF5 nor a Keras archive"),
        ("weights.pt", "neither HDF5 nor a Keras archive"),
        ("dense.weights.h5", "contains no stock ResNet"),
        ("dense.keras", "contains no keras.applications ResNet"),
    ):
        with pytest.raises(StemError, match=words):
            load_backbone("ResNet50", tmp_path / name)
    with pytest.raises(StemError, match="is an address"):
        load_backbone("ResNet50", "https://example.org/resnet50.h5")


def test_imagenet_weights_that_cannot_be_downloaded(small, monkeypatch):
    real = keras.applications.ResNet50

    def offline(weights=None, **kwargs):
        if weights == "imagenet":
            raise OSError("Name or service not known")
        return real(weights=weights, **kwargs)

    monkeypatch.setattr(keras.applications, "ResNet50", offline)
    with pytest.raises(StemError, match="restem pretrain") as caught:
        load_backbone("ResNet50")
    assert "weights 'none'" in str(caught.value)


def test_imagenet_weights_are_copied(small, monkeypatch):
    real = keras.applications.ResNet50
    given = []

    def online(weights=None, **kwargs):
        if weights == "imagenet":
            given.append(changed(real(input_shape=(None, None, 3), pooling="avg")))
            return given[-1]
        return real(weights=weights, **kwargs)

    monkeypatch.setattr(keras.applications, "ResNet50", online)
    assert same(load_backbone("ResNet50"), given[0])


def test_unknown_names():
    with pytest.raises(StemError, match="Unknown backbone"):
        load_backbone("ResNet19", "none")
    with pytest.raises(StemError, match="pooling"):
        load_backbone("ResNet50", "none", pooling="min")
    keras_names = ("ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2")
    assert (*keras_names, "ResNet18", "ResNet26", "ResNet34") == load_module.BACKBONES

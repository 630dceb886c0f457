"""Whether a file and the source's preprocessing belong together, before a network is built."""

import keras
import pytest

from restem.stem import Preprocessing, StemError, StemSpec, modify_stem, save_network
from restem.stem.checkpoint import layout
from restem.stem.checkpoint.examine import examine
from restem.stem.declared import declared_source

from .checkpoint_models import resnet, write_named
from .networks import network


def given(channels):
    return Preprocessing("given", tuple(f"b{i}" for i in range(channels)), (1.0,) * channels, (0.0,) * channels)


def test_channels_must_be_those_of_the_source(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "WIDTH", 1)
    found = examine(write_named(tmp_path / "many.h5", resnet(channels=12)), "ResNet50")
    for source in ("torch", given(4)):
        with pytest.raises(StemError, match=r"reads 12 channel.*Give all of its bands"):
            declared_source(found, source)
    assert "b11" in declared_source(found, given(12))
    colour = examine(write_named(tmp_path / "colour.h5", resnet()), "ResNet50")
    assert "is assumed (caffe" in declared_source(colour, "auto")
    assert declared_source(colour, "unit") == "unit (red, green, blue), as given in model.source"


def test_files_of_this_library(tmp_path):
    for name, spec in (("grey", StemSpec(channels=1)), ("deep", StemSpec(deep=True))):
        save_network(modify_stem(network(False), spec).model, tmp_path / f"{name}.keras")
    grey = examine(tmp_path / "grey.keras", "ResNet50")
    assert "inside the network" in declared_source(grey, "auto")
    with pytest.raises(StemError, match="use source auto"):
        declared_source(grey, "caffe")
    with pytest.raises(StemError, match="deep stem"):
        declared_source(examine(tmp_path / "deep.keras", "ResNet50"), "auto")
    keras.backend.clear_session()

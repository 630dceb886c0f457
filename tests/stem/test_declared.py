"""What a file says of its input, before a network is built."""

import keras
import pytest

from restem.stem import Preprocessing, StemError, StemSpec, modify_stem, save_network
from restem.stem.declared import declared_source

from .networks import network


def given(channels):
    return Preprocessing("given", tuple(f"b{i}" for i in range(channels)), (1.0,) * channels, (0.0,) * channels)


@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
def test_channels_must_be_named(tmp_path, ending):
    file = tmp_path / f"many{ending}"
    model = network(False, channels=12)
    model.save_weights(file) if ending == ".weights.h5" else model.save(file)
    for source in ("auto", "torch", given(4)):
        with pytest.raises(StemError, match=r"reads 12 channel.*Set source to their names.*bands"):
            declared_source(file, "ResNet50", source)
    assert "b11" in declared_source(file, "ResNet50", given(12))


def test_colours_have_a_convention_or_layers_of_the_file(tmp_path):
    model = network(False)
    model.save_weights(tmp_path / "a.weights.h5")
    assert declared_source(tmp_path / "a.weights.h5", "ResNet50", "auto").startswith("caffe (assumed: Keras's")
    assert declared_source(tmp_path / "a.weights.h5", "ResNet50", "unit") == "unit (as given)"
    inputs = keras.Input((None, None, 3))
    keras.Model(inputs, model(keras.layers.Rescaling(1 / 255)(inputs))).save(tmp_path / "b.keras")
    assert declared_source(tmp_path / "b.keras", "ResNet50", "auto") == "from the file: its layers Rescaling"


def test_files_of_this_library(tmp_path):
    for name, spec in (("grey", StemSpec(channels=1)), ("deep", StemSpec(deep=True))):
        save_network(modify_stem(network(False), spec).model, tmp_path / f"{name}.keras")
    assert "report in the file: grey" in declared_source(tmp_path / "grey.keras", "ResNet50", "auto")
    with pytest.raises(StemError, match="use source auto"):
        declared_source(tmp_path / "grey.keras", "ResNet50", "caffe")
    with pytest.raises(StemError, match="deep stem"):
        declared_source(tmp_path / "deep.keras", "ResNet50", "auto")

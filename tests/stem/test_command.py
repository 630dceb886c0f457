"""`restem stem`."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import restem.stem
from restem.errors import RestemError
from restem.pipeline.commands.stem import stem
from restem.stem import StemError, describe

from .networks import network


@pytest.fixture
def loaded(monkeypatch):
    """Replaces load_backbone by a small network; records its arguments."""
    calls = []

    def load(name, weights, include_top=False):
        calls.append((name, weights, include_top))
        return network("V2" in name)

    monkeypatch.setattr(restem.stem, "load_backbone", load, raising=False)
    return calls


def call(*args):
    return CliRunner().invoke(stem, args, catch_exceptions=False, standalone_mode=False)


def test_json_on_the_last_line_and_the_files(loaded, tmp_path, capfd):
    out, picture = tmp_path / "net.keras", tmp_path / "stem.png"
    result = call("--backbone", "resnet50v2", "--weights", "none", "--bands", "nir,red,green,blue",
                  "--kernel", "9", "--filters", "80", "--batch-norm", "--out", str(out), "--picture", str(picture),
                  "--json")  # fmt: skip
    last = json.loads(result.stdout.strip().splitlines()[-1])
    assert last["claim"] == "exact"
    assert last["error"] < 1e-4
    assert last["input"]["bands"] == ["nir", "red", "green", "blue"]
    assert last["weights"]
    assert last["dropped"] == []
    assert last["written"] == [str(out)]
    assert keras.saving.load_model(out).input_shape == (None, None, None, 4)
    assert describe(out)["spec"]["filters"] == 80
    assert picture.stat().st_size > 1000
    assert loaded == [("ResNet50V2", "none", False)]


def test_text_without_json(loaded):
    result = call("--weights", "none", "--channels", "1", "--small-images")
    assert result.stdout.startswith("Claim: exact.")
    assert "upsampled by 2" in result.stdout


def test_every_option_reaches_the_specification(loaded, tmp_path):
    np.save(tmp_path / "images.npy", np.random.default_rng(0).uniform(0, 1, (3, 32, 32, 2)))
    result = call("--weights", "none", "--bands", "grey,depth", "--value-range", "0", "1", "--band-statistics",
                  "depth=0.5,0.2", "--normalise", "statistics", "--cifar", "--filters", "32", "--narrow", "mean",
                  "--shrink", "crop", "--images", str(tmp_path / "images.npy"), "--preprocessing", "outside",
                  "--source", "torch", "--extra-bands", "mean", "--seed", "3", "--json")  # fmt: skip
    last = json.loads(result.stdout.strip().splitlines()[-1])
    assert last["spec"]["kernel"] == 3
    assert last["spec"]["pool"] is False
    assert last["spec"]["normalise"] == "statistics"
    assert last["spec"]["narrow"] == "mean"
    assert last["spec"]["shrink"] == "crop"
    assert last["spec"]["band_statistics"] == [["depth", 0.5, 0.2]]
    assert last["input"]["preprocessing"] == "outside"
    assert last["source"]["preprocessing"] == "torch"
    assert any("3 calibration images" in a["measure"] for a in last["approximations"])


def test_every_field_of_the_specification_has_an_option():
    fields = {field.name for field in dataclasses.fields(restem.stem.StemSpec)}
    names = {parameter.name for parameter in stem.params} - {"no_pool"} | {"pool"}
    assert fields <= names


def test_a_deep_stem_with_its_filters(loaded):
    result = call("--weights", "none", "--deep", "--deep-filters", "8", "12", "--json")
    last = json.loads(result.stdout.strip().splitlines()[-1])
    assert last["claim"] == "approximate"
    assert last["spec"]["deep_filters"] == [8, 12]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--kernel", "0"], "kernel must be"),
        (["--channels", "3", "--bands", "a,b"], "contradicts"),
        (["--out", "net.onnx"], "must end in"),
        (["--weights", "no/such/file.h5"], "no such file"),
        (["--images", "no.npy", "--weights", "none"], "no such file"),
        (["--band-statistics", "nir=3"], "BAND=MEAN,STD"),
        (["--cifar", "--kernel", "5"], "leave out kernel"),
        (["--backbone", "ResNet20"], "ResNet20"),
    ],
)
def test_errors_are_raised_before_anything_is_loaded(loaded, args, words):
    import click

    with pytest.raises((StemError, RestemError, click.ClickException), match=words):
        call(*args)
    assert loaded == []

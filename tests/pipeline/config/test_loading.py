import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from restem.errors import RestemError
from restem.pipeline.config import Config, config_from_json, json_schema, load_config, with_values
from restem.pipeline.config.errors import ConfigError
from restem.stem import StemSpec
from restem.trainer.model_config import StemConfig, stem_spec
from tests.pipeline.conftest import MINIMAL

REPOSITORY = Path(__file__).parents[3]
DIGITS = REPOSITORY / "pipeline" / "configs" / "digits.yaml"


def problems(path, overrides=()):
    """The problems that load_config finds: key -> problem."""
    with pytest.raises(ConfigError) as caught:
        load_config(path, list(overrides))
    return {".".join(map(str, problem.key)): problem for problem in caught.value.problems}


def test_defaults_and_the_name_from_the_file(write):
    config = load_config(write(name="My Own (2).yaml"))
    assert config.name == "my-own-2"
    assert config.image.count == 3
    assert config.train.batch_size == 32


def test_a_hundred_megabytes_and_a_file_without_end_are_not_read(write):
    path = write()
    with path.open("r+b") as file:
        file.truncate(100_000_000)
    for large in (path, "/dev/zero"):
        with pytest.raises(RestemError, match=r"too large for a configuration\. Expected at most 1 MiB"):
            load_config(large)


def test_overrides_are_typed_and_later_ones_win(write):
    config = load_config(
        write(),
        ["train.seed=3", "train.seed=4", "image.bands=[nir, red]", "train.all={epochs: 0, learning_rate: 1e-5}"],
    )
    assert config.train.seed == 4
    assert config.image.bands == ("nir", "red")
    assert config.train.all.learning_rate == 1e-5


def test_overrides_fill_sections_that_are_missing_or_empty(write):
    config = load_config(write("data:\nimage: {size: 8}\nevaluate:\n"), ["data.path=x", "stem.kernel=5"])
    assert config.stem.kernel == 5
    assert config.data.path.endswith("/x")


def test_paths_are_relative_to_the_file_or_to_the_current_folder(write, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    text = MINIMAL + (
        "model: {weights: w.h5}\npush: {destination: out, sign: {key: s.pem}, verify_key: v.pem}\n"
        "pretrain: {path: 'embedded:digits'}\n"
        "evaluate: {baseline: out/3}\n"
    )
    config = load_config(write(text))
    assert config.data.path == str(tmp_path / "images")
    assert config.model.weights == str(tmp_path / "w.h5")
    assert config.push.destination == str(tmp_path / "out")
    assert (config.push.sign_key, config.push.verify_key) == (str(tmp_path / "s.pem"), str(tmp_path / "v.pem"))
    assert load_config(write(text), ["push.sign.key=t.pem"]).push.sign_key == str(elsewhere / "t.pem")
    assert config.evaluate.baseline == str(tmp_path / "out" / "3")
    assert load_config(write(text), ["evaluate.baseline=latest_approved"]).evaluate.baseline == "latest_approved"
    assert config.pretrain.path == "embedded:digits"
    config = load_config(write(text), ["data.path=images", "model.weights=none", "push={destination: ~/there}"])
    assert config.data.path == str(elsewhere / "images")
    assert config.model.weights == "none"
    assert config.push.destination == str(Path.home() / "there")


@pytest.mark.parametrize(
    ("text", "key", "expected", "given"),
    [
        ("image: {size: -3}", "image.size", "from 1 to", "-3"),
        ("train: {optimizer: sgd, optimizer_options: {beta_1: 0.5}}", "train.optimizer_options", "momentum", "beta_1"),
        ("train: {checkpoint: {folder: here}}", "train.checkpoint.folder", "an absolute path", "here"),
        ("image: {size: [8, 9]}\ntrain: {augment: {quarter_turns: true}}", "train", "equal height and width", "8 x 9"),
        ("image: {size: 8, channels: 2}", "image.channels", "one of 1, 3", "2"),
        ("image: {size: 8, bands: 3}", "image.bands", "a list", "3"),
        ("train: {batch_size: '32'}", "train.batch_size", "a whole number, at least 1", "'32'"),
        ("train: {seed: true}", "train.seed", "a whole number", "true"),
        ("train: {deterministic: 1}", "train.deterministic", "true or false", "1"),
        ("train: {all: {epochs: 1, learning_rate: 2}}", "train.all.learning_rate", "more than 0, at most 1", "2"),
        ("data: {path: 3}", "data.path", "text", "3"),
        ("push: {sign: {key: gs://b/k.pem}}", "push.sign.key", "a PEM file", "gs://b/k.pem"),
        ("push: {verify_key: gs://b/k.pem}", "push.verify_key", "a PEM file", "gs://b/k.pem"),
        ("data: {path: x, max_quarantined: 5}", "data.max_quarantined", "at least 0, at most 1", "5"),
        ("model: {backbone: ResNet20}", "model.backbone", "'ResNet50'", "'ResNet20'"),
        ("beam: {args: --x}", "beam.args", "a list", "'--x'"),
        ("train: 3", "train", "a section", "3"),
        ("name: Not Good", "name", "lowercase letters", "'Not Good'"),
        ("evaluate: {slices: [site]}", "evaluate", "data.metadata", "given site"),
        ("evaluate: {require: [{may_lose: 1, each_value_of: site}]}", "evaluate", "data.metadata", "given site"),
        ("stem: {stride: 3}", "stem.stride", "one of 1, 2", "3"),
        ("stem: {stride: true}", "stem.stride", "a number", "true"),
        ("image: {size: 8, channels: true}", "image.channels", "a number", "true"),
        ("stem: {extra_bands: copy}", "stem.extra_bands", "'mean'", "'copy'"),
        ("stem: {deep_filters: 3}", "stem.deep_filters", "a list of 2", "3"),
        ("stem: {band_statistics: 3}", "stem.band_statistics", "a section", "3"),
        ("model: {source: keras}", "model.source", "'caffe'", "'keras'"),
        ("model: {source: torch}", "model.source", "auto or caffe", "torch"),
        ("model: {source: caffe, backbone: ResNet50V2, weights: pretrain}", "model.source", "auto or tf", "caffe"),
    ],
)
def test_a_wrong_value_is_reported_with_key_expected_and_given(write, text, key, expected, given):
    merged = {**yaml.safe_load(MINIMAL), **yaml.safe_load(text)}
    path = write(yaml.safe_dump(merged))
    found = problems(path)
    assert list(found) == [key]
    message = str(ConfigError("f", list(found.values()), {}, set()))
    assert expected in message
    assert given in message


@pytest.mark.parametrize(
    ("text", "key", "suggestion"),
    [
        ("imgae: {size: 3}", "imgae", "Did you mean image?"),
        ("data: {path: x, max_quarantind: 0.1}", "data.max_quarantind", "Did you mean data.max_quarantined?"),
        ("train: {small_images: true}", "train.small_images", "Did you mean stem.small_images?"),
        ("train: {all: {epoch: 3, learning_rate: 0.1}}", "train.all.epoch", "Did you mean train.all.epochs?"),
        ("stem: {source: torch}", "stem.source", "Did you mean model.source?"),
        ("stem: {channels: 4}", "stem.channels", "Did you mean image.channels?"),
        (
            "evaluate: {qqq: 1}",
            "evaluate.qqq",
            "Known keys: min_accuracy, min_improvement, baseline, slices, calibrate, require, min_test_images, "
            "min_test_images_by_class",
        ),
    ],
)
def test_an_unknown_key_is_reported_with_the_nearest_one(write, text, key, suggestion):
    merged = {**yaml.safe_load(MINIMAL), **yaml.safe_load(text)}
    found = problems(write(yaml.safe_dump(merged)))
    assert found[key].remedy == suggestion


def test_all_problems_of_a_file_are_reported_at_once_with_their_lines(write):
    path = write(
        "name: X\n"
        "data:\n"
        "  max_quarantind: 1\n"
        "image:\n"
        "  size: 0\n"
        "  channels: 1\n"
        "  bands: [a, b]\n"
        "train:\n"
        "  seed: 1\n"
        "  seed: 2\n"
        "modell: {}\n"
    )
    found = problems(path, ["evaluate.min_accuracy=2", "train.epochs", "stem.kernel=[1"])
    keys = {
        "name",
        "data.path",
        "data.max_quarantind",
        "image.size",
        "image",
        "train.seed",
        "modell",
        "evaluate.min_accuracy",
        "",
        "stem.kernel",
    }
    assert set(found) == keys
    assert "contradict" in found["image"].what
    with pytest.raises(ConfigError) as caught:
        load_config(path, ["evaluate.min_accuracy=2"])
    message = str(caught.value)
    assert "image.size (line 5)" in message
    assert "line 9 and line 10" in message
    assert "evaluate.min_accuracy (given by --set)" in message
    assert "data.path (line 2): missing key" in message


def test_a_single_problem_is_one_paragraph_with_the_file_name(write):
    path = write(MINIMAL + "stem: {kernel: 0}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)
    assert f"stem.kernel ({path}, line 3)" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "just words"])
def test_files_without_a_configuration(write, text):
    with pytest.raises(RestemError):
        load_config(write(text))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(RestemError, match="no such configuration file"):
        load_config(tmp_path / "missing.yaml")
    with pytest.raises(RestemError, match="cannot be read"):
        load_config(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RestemError, match="not text"):
        load_config(tmp_path / "binary.yaml")


def test_statistics_cannot_be_matched_twice(write):
    for stem in ("stem.normalise=statistics", "stem.band_statistics={red: [1, 2]}"):
        found = problems(write(), ["image.normalise=dataset", stem])
        assert list(found) == ["stem"]
        assert "image.normalise" in found["stem"].what
    assert load_config(write(), ["model.source=caffe", "model.backbone=ResNet101"]).model.source == "caffe"
    assert load_config(write(), ["model.source=torch", "model.weights=own.h5"]).model.source == "torch"


def test_json_round_trip(write):
    path = write(MINIMAL + "beam: {args: [--streaming, --job_name=c]}\n")
    config = load_config(path, ["image.size=[16, 24]", "image.bands=[a, b]"])
    assert config_from_json(config.model_dump_json()) == config


def test_with_values(write):
    config = with_values(load_config(write()), data={"path": "/p"}, train={"seed": 9})
    assert (config.data.path, config.train.seed, config.image.size) == ("/p", 9, 32)


def test_committed_schema_matches_the_classes():
    committed = (REPOSITORY / "schemas" / "config.schema.json").read_text(encoding="utf-8")
    assert committed == json_schema(), "make schemas updates it"


def test_schema_accepts_the_demo_and_rejects_the_same_mistakes_as_the_classes():
    validator = jsonschema.Draft202012Validator(json.loads(json_schema()))
    document = yaml.safe_load(DIGITS.read_text(encoding="utf-8"))
    validator.validate(document)
    for wrong in ({"imgae": {}}, {"stem": {"kernel": 0}}, {"model": {"backbone": "VGG"}}, {"name": "No Good"}):
        assert not validator.is_valid({**document, **wrong}), wrong


def test_every_key_is_described():
    def undescribed(model, above=""):
        for name, field in model.model_fields.items():
            if not field.description:
                yield above + name
            if hasattr(field.annotation, "model_fields"):
                yield from undescribed(field.annotation, f"{above}{name}.")

    assert list(undescribed(Config)) == []


def test_demo_loads():
    config = load_config(DIGITS)
    assert (config.data.path, config.pretrain.path) == ("embedded:documents", "embedded:digits")


def test_every_field_of_the_stem_is_a_key_under_its_own_name():
    fields = {field.name: field.default for field in dataclasses.fields(StemSpec)}
    from_image = {"channels", "bands", "value_range"}
    keys = {name: field.default for name, field in StemConfig.model_fields.items()}
    assert set(keys) - {"cifar"} == set(fields) - from_image
    assert {name: default for name, default in keys.items() if name != "cifar"} == {
        name: default for name, default in fields.items() if name not in from_image
    }


def test_every_choice_of_the_stem_reaches_the_library(write):
    text = MINIMAL.replace("size: 32", "size: 32, bits: 16, bands: [nir, red]") + (
        "stem: {extra_bands: mean, kernel: 5, shrink: crop, filters: 32, noise: 0.5, narrow: drop, batch_norm: true, "
        "stride: 1, pool: false, normalise: statistics, band_statistics: {nir: [10, 2.5]}}\n"
    )
    config = load_config(write(text))
    assert stem_spec(config.stem, config.image) == StemSpec(
        bands=("nir", "red"), value_range=(0, 65535), extra_bands="mean", kernel=5, shrink="crop", filters=32,
        noise=0.5, narrow="drop", batch_norm=True, stride=1, pool=False, normalise="statistics",
        band_statistics={"nir": (10, 2.5)},
    )  # fmt: skip
    config = load_config(write(), ["stem.deep=true", "stem.deep_filters=[16, 24]", "image.channels=1"])
    assert stem_spec(config.stem, config.image) == StemSpec(channels=1, deep=True, deep_filters=(16, 24))
    config = load_config(write(), ["stem.cifar=true"])
    assert stem_spec(config.stem, config.image) == StemSpec.cifar(channels=3)


def test_the_stem_reaches_the_trainer_unchanged(write):
    config = load_config(write(), ["stem={cifar: true, band_statistics: {red: [1, 2]}, normalise: statistics}"])
    again = StemConfig.model_validate(json.loads(json.dumps(config.stem.model_dump(mode="json"))))
    assert stem_spec(again, config.image) == stem_spec(config.stem, config.image)


@pytest.mark.parametrize(
    ("statistics", "measured"),
    [
        ("normalise: source", False),
        ("normalise: statistics", True),
        ("normalise: statistics, band_statistics: {red: [1, 2]}", False),
    ],
)
def test_statistics_are_measured_if_requested_and_not_given(write, statistics, measured):
    assert load_config(write(MINIMAL + f"stem: {{{statistics}}}\n")).stem.measured is measured


def test_the_demo_comes_with_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config("embedded:digits").name == "digits"


def test_a_phase_may_set_only_its_epochs(write):
    config = load_config(write(), ["train.head.epochs=2", "train.stem.epochs=1", "train.all.epochs=0"])
    assert [phase.learning_rate for phase in (config.train.head, config.train.stem, config.train.all)] == [
        1e-3,
        1e-4,
        1e-4,
    ]

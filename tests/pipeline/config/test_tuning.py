"""What the section `tune` accepts; a value is rejected as it would be at the tuned key itself."""

import pytest
import yaml

from restem.pipeline.config import config_from_json, load_config
from restem.pipeline.config.errors import ConfigError
from tests.pipeline.conftest import MINIMAL

TUNE = """
tune:
  trials: 3
  over:
    train.all.learning_rate: {min: 1.0e-5, max: 1.0e-3, scale: log}
    train.head.dropout: {min: 0, max: 0.5}
    train.batch_size: {choices: [16, 32]}
    train.clip_norm: {choices: [null, 1.0]}
    train.optimizer_options.beta_1: {min: 0.8, max: 0.95}
    stem.small_images: {choices: [false, true]}
    stem.kernel: {choices: [null, 5]}
"""


def test_without_the_section_nothing_is_tuned(write):
    assert load_config(write()).tune is None
    assert load_config(write(MINIMAL + "tune:\n")).tune is None


def test_a_valid_section_survives_the_way_to_the_worker(write):
    config = load_config(write(MINIMAL + TUNE))
    assert config.tune.over["train.clip_norm"].choices == (None, 1.0)
    assert config.tune.over["train.batch_size"].choices == (16, 32)
    assert config_from_json(config.model_dump_json()) == config
    assert list(config.tune.combinations("stem")) == [
        {"small_images": small, "kernel": kernel} for small in (False, True) for kernel in (None, 5)
    ]


RATE = "train.all.learning_rate"


@pytest.mark.parametrize(
    ("key", "axis", "place", "message"),
    [
        ("train.all.lr", {"min": 0, "max": 1}, "", "unknown key"),
        ("train.all.learning_rat", {"min": 0.1, "max": 0.2}, "", f"Did you mean {RATE}?"),
        ("learning_rate", {"min": 0.1, "max": 0.2}, "", "unknown key"),
        ("train.batch_size.x", {"min": 1, "max": 2}, "", "unknown key"),
        ("train.seed", {"choices": [1, 2]}, "", "a seed that is chosen by its result is luck"),
        ("train.metric", {"choices": ["auc", "loss"]}, "", "set tune.metric"),
        ("train.deterministic", {"choices": [True, False]}, "", "cannot be tuned"),
        ("train.checkpoint.every", {"min": 1, "max": 2}, "", "cannot be tuned"),
        ("image.size", {"choices": [16, 32]}, "", "only keys of train and stem"),
        ("model.backbone", {"choices": ["ResNet50", "ResNet101"]}, "", "only keys of train and stem"),
        (RATE, {"min": 0, "max": 0.1}, ".min", "more than 0, at most 1"),
        (RATE, {"min": 0.1, "max": 2}, ".max", "more than 0, at most 1"),
        ("train.batch_size", {"min": 0.5, "max": 8}, ".min", "a whole number"),
        ("train.batch_size", {"choices": [16, "32"]}, ".choices[1]", "a whole number"),
        ("train.optimizer", {"choices": ["adam", "adagrat"]}, ".choices[1]", "'adagrad'"),
        ("train.augment.quarter_turns", {"choices": [False, True]}, ".choices[1]", "equal height and width"),
        ("train.all.schedule", {"min": 0, "max": 1}, ".min", "'cosine'"),
        ("train.balance", {"choices": ["none"]}, "", "at least two values"),
        ("train.batch_size", {"choices": [16, 16]}, "", "all different"),
        ("train.batch_size", {"choices": [16, 32], "min": 3}, "", "either choices, or min and max"),
        ("train.batch_size", {"min": 3}, "", "min and max, or choices"),
        (RATE, {"min": 0.1, "max": 0.1}, "", "the range is empty"),
        ("train.head.dropout", {"min": 0, "max": 0.5, "scale": "log"}, "", "a min above 0"),
        (RATE, {"min": 0.1, "max": 0.2, "scale": "exp"}, ".scale", "'log'"),
        ("train.stem.learning_rate", {"min": 0.1, "max": 0.2}, "", "its phase is skipped"),
        ("train.all.epochs", {"min": 1, "max": 9}, "", "tune.epochs would change"),
    ],
)
def test_an_impossible_axis_is_reported_with_its_line(write, key, axis, place, message):
    text = yaml.safe_dump(
        {
            "data": {"path": "images"},
            "image": {"size": [32, 48]},
            "tune": {"epochs": 2, "over": {key: axis}},
        }
    )
    with pytest.raises(ConfigError) as caught:
        load_config(write(text))
    assert str(caught.value).startswith(f"tune.over.{key}{place} (")
    line = next(number for number, found in enumerate(text.splitlines(), 1) if found.strip() == f"{key}:")
    assert f"line {line}" in str(caught.value) or place
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("tune: {over: {}}", "there is nothing to tune"),
        ("tune: {trials: 1, over: {train.batch_size: {choices: [1, 2]}}}", "tune.trials"),
        ("tune: {search: grid, over: {train.batch_size: {choices: [1, 2]}}}", "'bayesian'"),
        ("tune: {trials: 3}", "Add tune.over"),
        (
            "tune: {over: {train.batch_size: {choices: [1, 2]}}}\ntrain: {head: {epochs: 0}, all: {epochs: 0}}",
            "nothing is trained",
        ),
        (
            "tune: {over: {train.optimizer: {choices: [adam, sgd]}, train.optimizer_options.beta_1: {min: 0, max: 1}}}",
            "each has options of its own",
        ),
    ],
)
def test_an_impossible_search_is_rejected(write, more, message):
    with pytest.raises(ConfigError) as caught:
        load_config(write(MINIMAL + more))
    assert message in str(caught.value)


def test_all_wrong_axes_are_reported_at_once(write):
    more = "tune:\n  over:\n    train.seed: {choices: [1, 2]}\n    train.batch_size: {min: 0, max: 8}\n"
    with pytest.raises(ConfigError) as caught:
        load_config(write(MINIMAL + more))
    assert "2 problems" in str(caught.value)
    assert "train.seed (line 5)" in str(caught.value)
    assert "train.batch_size.min (line 6)" in str(caught.value)


def test_a_training_that_goes_on_from_a_pushed_model_is_not_tuned(write):
    text = yaml.safe_dump(yaml.safe_load(MINIMAL) | {"model": {"weights": "latest_approved"}})
    with pytest.raises(ConfigError, match="its stem and its head are given"):
        load_config(write(text + TUNE))

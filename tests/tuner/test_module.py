"""The step itself, with a tiny network: what it writes, and that a killed one ends with the same."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.channel_utils import as_channel
from tfx.utils import json_utils

from restem.errors import RestemError
from restem.images.config import ImageConfig
from restem.trainer import module as trainer_module
from restem.trainer import phases
from restem.trainer import training as loop
from restem.trainer.config import TrainConfig
from restem.trainer.model_config import ModelConfig, StemConfig
from restem.trainer.tuned import TUNED, with_tuned_values
from restem.trainer.variables import CHECKPOINT_FOLDER, CHECKPOINT_SECONDS
from restem.tuner.component import tuner
from restem.tuner.config import TuneConfig
from restem.tuner.executor import Executor
from restem.tuner.trials import read_tuning
from tests.trainer.conftest import CLASSES, tiny_network

RATE, DROPOUT = "train.head.learning_rate", "train.head.dropout"
TUNE = {
    "trials": 3,
    "metric": "loss",
    "over": {
        RATE: {"min": 1e-3, "max": 1e-1, "scale": "log"},
        DROPOUT: {"choices": [0, 0.5]},
    },
}
TRAIN = {
    "batch_size": 16,
    "head": {"epochs": 2, "learning_rate": 0.01},
    "all": {"epochs": 0},
    "keep": "best",
}


class Killed(BaseException):
    """Stands for SIGKILL: nothing may handle it."""


def write_split(folder, count, seed):
    """Dark, light and striped images, as ImageExampleGen writes them."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "data-00000-of-00001.gz"), "GZIP") as writer:
        for i in range(count):
            pixels = rng.integers(0, 60, (8, 8, 1))
            pixels[:: {0: 8, 1: 1, 2: 2}[i % 3]] += 190
            features = {
                "image_bytes": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[tf.io.encode_png(pixels.astype(np.uint8)).numpy()])
                ),
                "path": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"%d.png" % i])),
                "label_index": tf.train.Feature(int64_list=tf.train.Int64List(value=[i % 3])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def artifact(kind, folder):
    made = kind()
    made.uri = str(folder)
    folder.mkdir(exist_ok=True)
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The step's inputs: images, a schema with their classes."""
    root = tmp_path_factory.mktemp("data")
    write_split(root / "examples" / "Split-train", 48, 0)
    write_split(root / "examples" / "Split-val", 24, 1)
    examples = artifact(standard_artifacts.Examples, root / "examples")
    examples.split_names = artifact_utils.encode_split_names(["train", "val"])
    schema = artifact(standard_artifacts.Schema, root / "schema")
    values = "".join(f"value: '{name}' " for name in CLASSES)
    (root / "schema" / "schema.pbtxt").write_text(f"feature {{name: 'label' string_domain {{{values}}}}}")
    graph = artifact(standard_artifacts.TransformGraph, root / "graph")
    return SimpleNamespace(root=root, inputs={"examples": [examples], "schema": [schema], "transform_graph": [graph]})


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """run(checkpoints, **tune): runs the step; returns its outputs' content."""

    def run(checkpoints, **more):
        sections = {
            "image": ImageConfig(size=8, channels=1, store="none").model_dump(mode="json"),
            "model": ModelConfig(weights="none").model_dump(mode="json"),
            "stem": StemConfig().model_dump(mode="json"),
            "train": TrainConfig.model_validate(TRAIN).model_dump(mode="json"),
        }
        channels = {name: as_channel(artifacts) for name, artifacts in data.inputs.items()}
        tune = TuneConfig.model_validate({**TUNE, **more}).model_dump(mode="json")
        step = tuner(**channels, sections=sections, tune=tune)
        out = tmp_path_factory.mktemp("out")
        outputs = {
            "best_hyperparameters": [artifact(standard_artifacts.HyperParameters, out / "best")],
            "tuner_results": [artifact(standard_artifacts.TunerResults, out / "results")],
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(CHECKPOINT_FOLDER, str(checkpoints))
            patch.setenv(CHECKPOINT_SECONDS, "0")
            patch.setattr(trainer_module, "build_network", lambda *_, **__: tiny_network())
            Executor().Do(data.inputs, outputs, step.exec_properties)
        (best,) = (out / "best").iterdir()
        return SimpleNamespace(
            best=json.loads(best.read_text()),
            tuning=read_tuning(str(out / "results")),
            custom=json_utils.loads(step.exec_properties["custom_config"]),
        )

    return run


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    """A search that was not interrupted."""
    return run(tmp_path_factory.mktemp("checkpoints"))


def timeless(tuning):
    return [(trial.number, trial.values, trial.scores, trial.failure) for trial in tuning.trials]


def test_a_step_that_is_killed_in_and_between_trials_ends_with_the_same_trials_and_choice(
    run, whole, tmp_path, monkeypatch
):
    assert [trial.number for trial in whole.tuning.trials] == [1, 2, 3]
    assert whole.tuning.trials[0].values == {RATE: 0.01, DROPOUT: 0.0}
    assert len({trial.scores.loss for trial in whole.tuning.trials}) == 3
    assert whole.best[TUNED] == whole.tuning.best.values
    original, steps = loop._Watch.on_train_batch_end, itertools.count()

    def killed_at(self, batch, logs=None):
        # A trial has six steps: in the first one, and at the start of the second.
        if next(steps) in (4, 7):
            raise Killed
        original(self, batch, logs)

    monkeypatch.setattr(loop._Watch, "on_train_batch_end", killed_at)
    for _ in range(2):
        with pytest.raises(Killed):
            run(tmp_path)
    again = run(tmp_path)
    assert timeless(again.tuning) == timeless(whole.tuning)
    assert again.best[TUNED] == whole.best[TUNED]
    assert next(steps) == 18 + 2  # no step is done twice, except the two that were killed
    (folder,) = tmp_path.iterdir()
    assert [path.suffix for path in folder.iterdir()] == [".json"] * 3  # the trials' checkpoints are removed


def test_other_ranges_reuse_a_trial_and_other_settings_do_not(run, tmp_path, monkeypatch):
    trained = []

    def recorded(setup, *_):
        trained.append((setup.train.head.learning_rate, setup.train.head.epochs))
        return tiny_network(), None

    monkeypatch.setattr(trainer_module, "build_and_train", recorded)
    monkeypatch.setattr(phases, "predict", lambda model, split, batch_size: np.full((split.count, 3), 1 / 3))
    run(tmp_path, over={RATE: {"choices": [1e-3, 1e-4]}}, trials=2)
    assert trained == [(1e-3, 2), (1e-4, 2)]
    run(tmp_path, over={RATE: {"choices": [1e-3, 1e-5]}}, trials=2)
    assert trained[2:] == [(1e-5, 2)]
    run(tmp_path, over={RATE: {"choices": [1e-3, 1e-5]}}, trials=2, epochs=1)
    assert trained[3:] == [(1e-3, 1), (1e-5, 1)]


def test_the_trainer_measures_the_figure_of_the_chosen_trial(whole, data, tmp_path, monkeypatch):
    seen = []
    evaluation = SimpleNamespace(labels=np.arange(3), probabilities=np.eye(3), accuracy=1.0)
    monkeypatch.setattr(trainer_module, "build_network", lambda *_, **__: tiny_network())
    monkeypatch.setattr(trainer_module, "evaluate", lambda *_: evaluation)
    monkeypatch.setattr(trainer_module, "write_model", lambda _, record: seen.append(record))
    for name in ("export", "look_closer", "write_evaluation", "write_stem"):
        monkeypatch.setattr(trainer_module, name, lambda *_: None)
    trainer_module.run_fn(
        SimpleNamespace(
            custom_config={**whole.custom, "config": {name: whole.custom[name] for name in ("stem", "train")}},
            hyperparameters=whole.best,
            schema_path=str(data.root / "schema" / "schema.pbtxt"),
            train_files=[f"{data.root}/examples/Split-train/*"],
            eval_files=[f"{data.root}/examples/Split-val/*"],
            base_model=None,
            model_run_dir=str(tmp_path),
            serving_model_dir=str(tmp_path / "serving"),
        )
    )
    assert seen[0].scores["val"] == whole.tuning.best.scores
    assert seen[0].config["train"]["head"]["learning_rate"] == whole.tuning.best.values[RATE]


@pytest.mark.parametrize(("role", "small_images"), [("candidate", True), ("baseline", False)])
def test_the_baseline_takes_the_values_of_train_but_not_those_of_the_stem(role, small_images):
    sections = {"train": TrainConfig().model_dump(mode="json"), "stem": StemConfig().model_dump(mode="json")}
    custom = {**sections, "role": role, "config": sections}
    values = {RATE: 0.5, "stem.small_images": True, "train.optimizer_options.beta_1": 0.8}
    changed = with_tuned_values(custom, {"values": {}, TUNED: values})
    for found in (changed, changed["config"]):
        assert found["train"]["head"]["learning_rate"] == 0.5
        assert found["train"]["optimizer_options"] == {"beta_1": 0.8}
        assert found["stem"]["small_images"] is small_images
    assert sections["train"]["head"]["learning_rate"] == 1e-3
    assert with_tuned_values(custom, None) == custom


def test_without_validation_images_nothing_is_tuned(run, data, tmp_path):
    images = data.root / "examples" / "Split-val" / "data-00000-of-00001.gz"
    images.rename(tmp_path / "elsewhere")
    try:
        with pytest.raises(RestemError, match="tune: there are no validation images"):
            run(tmp_path)
    finally:
        (tmp_path / "elsewhere").rename(images)

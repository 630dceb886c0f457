"""The Trainer with several seeds (train.repeats), on a tiny network."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

from restem.run_record import EXTRA, read_evaluation, read_model, write_model
from restem.trainer import module
from restem.trainer.config import TrainConfig
from restem.trainer.model_config import ModelConfig, StemConfig
from restem.trainer.training import Training
from restem.trainer.variables import CHECKPOINT_FOLDER, CHECKPOINT_SECONDS
from tests.trainer.conftest import CLASSES, tiny_network

SETTINGS = {"head": {"epochs": 0}, "all": {"epochs": 2, "learning_rate": 0.01}, "batch_size": 32}


def write_record(model, image, classes, folder, record, stem):
    Path(folder, EXTRA).mkdir(parents=True, exist_ok=True)
    write_model(Path(folder, EXTRA), record)


@pytest.fixture
def run(tmp_path, monkeypatch, split, val, image):
    """run(name, **train): calls run_fn; returns its record and its test probabilities."""
    monkeypatch.setenv(CHECKPOINT_FOLDER, str(tmp_path / "checkpoints"))
    monkeypatch.setenv(CHECKPOINT_SECONDS, "0")
    parts = {"train": split, "val": SimpleNamespace(count=0), "test": val}
    monkeypatch.setattr(module, "read_split", lambda files, *_, **__: parts[files[0].rpartition("-")[2].split("/")[0]])
    monkeypatch.setattr(module, "read_classes", lambda path: CLASSES)
    monkeypatch.setattr(module, "has_weights", lambda path: False)
    monkeypatch.setattr(module, "write_stem", lambda *_: None)
    monkeypatch.setattr(module, "export", write_record)
    monkeypatch.setattr(module, "build_network", lambda *_, **__: tiny_network())

    def run(name, **train):
        folder = tmp_path / name
        (folder / "run").mkdir(parents=True, exist_ok=True)
        sections = {
            "image": image.model_dump(mode="json"),
            "model": ModelConfig(weights="none").model_dump(mode="json"),
            "stem": StemConfig().model_dump(mode="json"),
            "train": TrainConfig.model_validate({**SETTINGS, **train}).model_dump(mode="json"),
        }
        module.run_fn(
            SimpleNamespace(
                custom_config={"role": "candidate", **sections, "config": {}},
                train_files=[f"{tmp_path}/Split-train/*"],
                eval_files=[f"{tmp_path}/Split-test/*"],
                schema_path="",
                base_model=None,
                hyperparameters=None,
                model_run_dir=str(folder / "run"),
                serving_model_dir=str(folder / "model"),
            )
        )
        record = read_model(folder / "run")
        assert read_model(folder / "model" / EXTRA) == record
        tf.io.gfile.rmtree(f"{tmp_path}/checkpoints")
        return record, read_evaluation(folder / "run").probabilities

    return run


@pytest.fixture
def undisturbed(run):
    return run("undisturbed", repeats=2, seed=4)


def test_a_further_seed_is_trained_as_if_alone(run, undisturbed):
    record, probabilities = undisturbed
    alone, alone_probabilities = run("alone", seed=5)
    assert alone.repeats == ()
    assert [repeat.seed for repeat in record.repeats] == [4, 5]
    assert record.repeats[1].scores == alone.scores
    # The first one is kept.
    assert (record.seed, record.scores) == (4, record.repeats[0].scores)
    assert (alone_probabilities != probabilities).any()


def test_an_interruption_continues_with_the_unfinished_seed(run, undisturbed, monkeypatch):
    epochs = []
    finish = Training.finish_epoch

    def killed(self, phase, epoch):
        if len(epochs) == 3:  # the last epoch of the second seed
            raise KeyboardInterrupt
        epochs.append(epoch.epoch)
        finish(self, phase, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "finish_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            run("killed", repeats=2, seed=4)
    assert epochs == [1, 2, 1]
    again = []
    monkeypatch.setattr(
        Training, "finish_epoch", lambda self, phase, epoch: (again.append(epoch.epoch), finish(self, phase, epoch))
    )
    record, probabilities = run("killed", repeats=2, seed=4)
    assert again == [2]
    assert [repeat.scores for repeat in record.repeats] == [repeat.scores for repeat in undisturbed[0].repeats]
    assert (probabilities == undisturbed[1]).all()

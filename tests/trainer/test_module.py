from types import SimpleNamespace

import pytest

from restem.trainer.module import find_checkpoints
from restem.trainer.pretrain import checkpoint_path
from restem.trainer.variables import CHECKPOINT_FOLDER


@pytest.fixture
def fn_args(tmp_path, monkeypatch):
    monkeypatch.setenv(CHECKPOINT_FOLDER, str(tmp_path / "checkpoints"))
    for split in ("train", "val", "test"):
        (tmp_path / f"Split-{split}").mkdir()
        (tmp_path / f"Split-{split}" / "data.gz").write_text(split)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "backbone.weights.h5").write_text("old")
    return SimpleNamespace(
        custom_config={"role": "candidate", "train": {"seed": 0}, "config": {"name": "x"}},
        train_files=[f"{tmp_path}/Split-train/*"],
        eval_files=[f"{tmp_path}/Split-test/*"],
        base_model=str(tmp_path / "source"),
    )


def key(fn_args, seed=0, precision="float32"):
    return find_checkpoints(fn_args, seed, precision)._folder


@pytest.mark.parametrize("changed", ["Split-train/data.gz", "Split-val/data.gz", "Split-test/data.gz"])
def test_a_checkpoint_of_other_images_is_not_found(fn_args, tmp_path, changed):
    before = key(fn_args)
    assert key(fn_args) == before
    (tmp_path / changed).write_text("other images")
    assert key(fn_args) != before


def test_a_checkpoint_of_other_source_weights_or_settings_is_not_found(fn_args, tmp_path):
    before = key(fn_args)
    fn_args.custom_config["config"]["name"] = "y"  # the record for the model: it does not affect the weights
    assert key(fn_args) == before
    assert key(fn_args, seed=1) != before
    fn_args.custom_config["train"]["repeats"] = 3  # one more seed does not affect the others
    assert key(fn_args) == before
    fn_args.custom_config["train"]["batch_size"] = 1
    settings = key(fn_args)
    assert settings != before
    with open(checkpoint_path(fn_args.base_model), "w") as file:
        file.write("new")  # of the same size
    assert key(fn_args) not in (before, settings)

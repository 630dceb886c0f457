import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from restem.errors import RestemError
from restem.pipeline.config import load_config
from restem.pipeline.config.errors import ConfigError
from restem.pipeline.local.folder import RootTaken, RunFolder, prepare, resolved

REPOSITORY = Path(__file__).parents[3]


def test_default_root_is_below_the_current_folder(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(write(name="mine.yaml"))
    assert RunFolder.of(config).root == tmp_path / "runs" / "mine"
    assert RunFolder.of(config, "there").root == tmp_path / "there"


@pytest.mark.parametrize("name", ["two\nlines", "\x1b]0;title\x07", "a\u202egnp"])
def test_output_goes_to_a_path_of_one_visible_line(write, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    config = load_config(write())
    with pytest.raises(RestemError, match=r"--root: this path has control characters.*\\(n|x1b|u202e)") as caught:
        RunFolder.of(config, name)
    assert str(caught.value).isprintable()
    with pytest.raises(ConfigError, match=r"push\.destination.*: this path has control characters"):
        load_config(write(), [f"push.destination={json.dumps(name)}"])


@pytest.mark.parametrize("name", ["-rf", "--root", "a/../../b", "a/~x"])
def test_output_goes_to_the_folder_that_was_named(write, tmp_path, monkeypatch, name):
    """Also with a leading dash: it becomes an absolute path, and so no option of a program."""
    (tmp_path / "here" / "a").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    expected = os.path.realpath(name)
    assert str(RunFolder.of(load_config(write()), f"./{name}").root) == expected
    assert load_config(write(), [f"push.destination=./{name}"]).push.destination == expected
    assert RunFolder.of(load_config(write()), "~nobody-here/x").root == tmp_path / "here" / "~nobody-here" / "x"


def test_a_second_run_in_the_same_root_is_refused(tmp_path):
    folder = RunFolder(tmp_path / "root")
    with folder.locked():
        with pytest.raises(RootTaken) as caught, RunFolder(tmp_path / "root").locked():
            pass
        assert f"process {os.getpid()}, started 2" in str(caught.value)
        assert str(tmp_path / "root") in str(caught.value)
    with folder.locked():
        pass


def test_the_kernel_releases_the_lock_of_a_killed_process(tmp_path):
    code = (
        "import os, signal; from pathlib import Path; from restem.pipeline.local.folder import RunFolder\n"
        f"with RunFolder(Path({str(tmp_path)!r})).locked(): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == -9
    with RunFolder(tmp_path).locked():
        pass


def test_a_root_that_cannot_be_created(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RestemError, match="cannot be written"), RunFolder(tmp_path / "file" / "root").locked():
        pass


def test_logs_of_the_same_second_do_not_share_a_file(tmp_path):
    assert len({RunFolder(tmp_path).new_log() for _ in range(5)}) == 5


def test_embedded_images_are_written_below_the_root(write, tmp_path):
    config = load_config(write(), ["data.path=embedded:documents", "pretrain.path=embedded:digits"])
    folder = RunFolder(tmp_path / "root")
    assert not (tmp_path / "root").exists()
    expected = resolved(config, folder)
    assert not (tmp_path / "root").exists()
    assert prepare(config, folder) == expected
    assert expected.data.path == str(folder.data / "documents")
    assert expected.pretrain.path == str(folder.data / "digits")
    assert len(list(folder.data.rglob("documents/*/*/*.tif"))) == 1797
    assert len(list(folder.data.rglob("digits/*/*/*.png"))) == 1797


def test_other_images_stay_where_they_are(write, tmp_path):
    config = load_config(write())
    assert prepare(config, RunFolder(tmp_path / "root")) == config
    assert not (tmp_path / "root").exists()


def test_a_steps_checkpoints_go_when_it_has_ended_and_those_of_others_stay(tmp_path):
    folder = RunFolder(tmp_path)
    names = ["pretrain-1a", "baseline.0-2b", "candidate.0-3c", "candidate.1-4d", "tune.0-5e"]
    for name in names:
        (folder.checkpoints / name).mkdir(parents=True)
        (folder.checkpoints / name / "checkpoint-00000001.npz").write_bytes(b"")
    folder.trained("Trainer")
    folder.trained("Evaluator")
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == ["baseline.0-2b", "pretrain-1a", "tune.0-5e"]
    for step in ("Pretrain", "Tuner", "Baseline"):
        folder.trained(step)
    assert list(folder.checkpoints.iterdir()) == []

"""`restem models`, `restem models prune` and `restem rollback` on a folder of versions; they load nothing heavy."""

import json
import shutil
import subprocess
import sys
import time

import pytest

from restem.model_files import RELEASE
from restem.pusher.release import Release
from tests.pipeline.conftest import LIGHT


def restem(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-c", LIGHT, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, check=False
    )


@pytest.fixture
def serving(put, tmp_path):
    """Two versions of different models, in the folder of a run of own.yaml."""
    for number, reason in ((1_700_000_100, "Approved: first."), (1_700_000_200, "Approved: second.")):
        folder = put(number, "runs/own/serving/own")
        figures = {"candidate": {"accuracy": 0.9}, "baseline": {"accuracy": 0.75}}
        (folder / RELEASE).write_bytes(
            Release("own", reason, figures, "the stock network", run="night\x1b[2J-1").to_bytes()
        )
    (folder / "saved_model.pb").write_bytes((folder / "saved_model.pb").read_bytes() + b"\0")
    return tmp_path / "runs" / "own" / "serving" / "own"


def test_list_roll_back_and_prune(serving, write, tmp_path):
    write()
    config = ("--config", "own.yaml")
    shown = restem("models", *config, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    newest, oldest = [line for line in shown.stdout.splitlines() if line.startswith("17")]
    assert newest.split()[:3] == ["1700000200", "served", "2023-11-14T22:16:40Z"]
    assert "0.9000 against 0.7500" in newest
    assert r"night\x1b[2J-1" in newest
    assert "\x1b" not in shown.stdout
    assert "served" not in oldest

    done = restem("rollback", *config, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["origin"], told["replaced"], told["withdrawn"]) == (1_700_000_100, 1_700_000_200, [1_700_000_200])
    assert abs(told["version"] - time.time()) < 600

    listed = json.loads(restem("models", "--destination", serving, "--json").stdout)
    assert [version["served"] for version in listed["versions"]] == [True, False, False]
    assert listed["versions"][0]["origin"]["version"] == 1_700_000_100
    assert listed["versions"][0]["reason"] == "Approved: first."
    assert "was rolled back" in restem("models", *config, cwd=tmp_path).stdout

    pinned = restem("models", "pin", 1_700_000_100, *config, "--reason", "the trial", cwd=tmp_path)
    assert pinned.returncode == 0, pinned.stderr
    assert "pinned: the trial" in restem("models", *config, cwd=tmp_path).stdout
    kept = restem("models", "prune", "--destination", serving, "--keep", 2)
    assert "1700000100 stays: it is pinned: the trial" in kept.stdout
    assert "is no longer pinned" in restem("models", "unpin", 1_700_000_100, *config, cwd=tmp_path).stdout
    assert "no such version" in restem("models", "pin", 7, *config, cwd=tmp_path).stderr

    planned = restem("models", "prune", *config, "--keep", 2, cwd=tmp_path)
    assert "1 version would go" in planned.stdout
    assert "--yes removes them" in planned.stdout
    assert (serving / "1700000100").exists()
    removed = json.loads(restem("models", "prune", "--destination", serving, "--keep", 2, "--yes", "--json").stdout)
    assert (removed["removed"], removed["remove"]) == ([1_700_000_100], [1_700_000_100])
    assert not (serving / "1700000100").exists()


def test_mistakes_are_explained(serving, tmp_path):
    (tmp_path / "file").touch()
    for arguments, message in (
        (["models"], "Give either --config or --destination"),
        (["models", "--destination", serving, "prune", "--keep", 2], "Give the options after the command"),
        (["models", "prune", "--destination", serving, "--keep", 1], "at least 2: the served one"),
        (["models", "--destination", "s3://bucket/models"], "TensorFlow cannot reach this storage"),
        (["rollback", 5, "--destination", serving], "there is no such version"),
        (["rollback", "--destination", tmp_path], "no version is served"),
        (["models", "--destination", tmp_path / "nowhere"], "there is no such folder"),
        (["models", "--destination", tmp_path / "file"], "this is a file"),
        (["rollback", "--destination", serving, "--set", "name=x"], "--root and --set belong to --config"),
    ):
        done = restem(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    for version in serving.iterdir():
        shutil.rmtree(version)
    assert "There are no versions." in restem("models", "--destination", serving).stdout

"""The command line as a process: its output and its exit code."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from restem.pipeline import imagenet
from restem.pipeline.commands import COMMANDS
from tests.pipeline.conftest import LIGHT, MINIMAL

REPOSITORY = Path(__file__).parents[2]
# `restem run` with work that hangs in C instead of the pipeline.
RUN_FAKE = """
import sys
import restem.pipeline.commands.progress as following
run_worker, pids = following.run_worker, sys.argv.pop()
following.run_worker = lambda target, request, **more: run_worker(
    "tests.pipeline.local.light_tasks:hang", {"pids": pids}, **more)
from restem.pipeline.cli import main
main()
"""

HELP = """
import sys
import restem.pipeline.cli as cli
for name in sys.argv[1:]:
    sys.argv = ["restem", name, "--help"]
    try:
        cli.main()
    except SystemExit as ended:
        assert not ended.code, name
    heavy = {'tensorflow', 'tfx', 'keras', 'apache_beam'} & set(sys.modules)
    assert not heavy, (name, heavy)
"""


def restem(*arguments, cwd=None, light=False):
    return subprocess.run(
        [sys.executable, *(["-c", LIGHT] if light else ["-m", "restem"]), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        cwd=cwd,
    )


def test_help_lists_every_command_without_heavy_imports():
    done = restem("--help", light=True)
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert f"  {name} " in done.stdout


def test_every_command_has_help_without_heavy_imports():
    """Each as a call of its own in one process."""
    done = subprocess.run([sys.executable, "-c", HELP, *COMMANDS], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert f"Usage: restem {name} " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "Did you mean 'run'?"),
        (["run"], "Missing option '--config'"),
        (["run", "--config", "missing.yaml"], "no such configuration file"),
        (["run", "--config", "own.yaml"], "no such folder"),
        (["run", "--config", "own.yaml", "--set", "image.size=-1"], "image.size (given by --set)"),
        (["run", "--config", "own.yaml", "--set", "image.bands=[a]", "--set", "image.channels=3"], "contradict"),
        (["inspect", "--config", "own.yaml"], "no such folder"),
        (["inspect", "--config", "own.yaml", "--augmented", "x.png"], "no augmentation is on"),
        (["init", "nowhere"], "no such folder"),
        (["predict", "nowhere", "x.png"], "no pushed model"),
        (["predict", "gs://bucket/serving", "x.png"], "a folder of this machine"),
        (["predict", "x" * 300, "x.png"], "File name too long"),
        (["report", "x" * 300], "the system refuses this file or folder"),
        (["report", "gs://bucket/root"], "a folder of this machine"),
        (["compare", "own.yaml"], "given a file"),
        (["verify", "s3://bucket/serving"], "Expected a folder, or gs://"),
        (["pretrain", "--config", "own.yaml", "--out", "x.bin"], ".weights.h5"),
    ],
)
def test_a_mistake_is_reported_in_one_paragraph_before_heavy_imports(write, tmp_path, arguments, message):
    write(MINIMAL)
    done = restem(*arguments, cwd=tmp_path, light=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.yaml"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_one_line_that_shows_how_to_continue(write, images, tmp_path, signum):
    path = write()
    pids = tmp_path / "pids"
    command = ["run", "--config", str(path), "--set", "model.weights=none", "--root", str(tmp_path / "a root")]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN_FAKE, *command, str(pids)], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
    )
    shown = ""
    while "Hang" not in shown:  # The step has started, and the console shows it.
        line = process.stderr.readline()
        assert line, shown
        shown += line
    second = restem(*command)
    assert second.returncode == 1
    assert "another run is using this folder" in second.stderr
    assert f"process {process.pid}" in second.stderr

    process.send_signal(signum)
    error = process.communicate()[1]
    assert process.returncode == 128 + signum
    last = error.strip().splitlines()[-1]
    assert last.startswith(f"restem: interrupted ({signum.name}) during Hang; no step was finished. Continue with: ")
    assert "--root" in last
    assert "'" in last  # because of the space in the folder's name
    assert "Traceback" not in error


def test_doctor_as_json():
    done = restem("doctor", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["can_run"] else 1)
    assert {"Python", "C library", "tfx", "keras", "GPU", "kubectl", "java"} <= {f["name"] for f in found["findings"]}


def test_init_inspect_on_a_folder_with_bad_files(images, tmp_path, monkeypatch):
    # As if Keras had the weights; otherwise init measures how fast this machine trains.
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    imagenet.weights_file("ResNet50").touch()
    (images / "cat" / "note.png").write_text("not an image")
    whole = (images / "dog" / "1.png").read_bytes()
    (images / "dog" / "half.png").write_bytes(whole[: len(whole) // 2])
    done = restem("init", "images", "--out", "new.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = restem("inspect", "--config", "new.yaml", "--json", cwd=tmp_path)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["classes"] == ["cat", "dog"]
    assert sum(found["splits"].values()) == 40
    assert [entry["path"] for entry in found["quarantined"]] == ["cat/note.png", "dog/half.png"]
    assert found["problem"] is None
    shown = restem("inspect", "--config", "new.yaml", cwd=tmp_path)
    assert "dog/half.png (344 bytes): The PNG file is incomplete" in shown.stdout
    again = restem("init", "images", "--out", "new.yaml", cwd=tmp_path)
    assert again.returncode == 2
    assert "not overwritten" in again.stderr

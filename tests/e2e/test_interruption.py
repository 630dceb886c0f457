"""A run that is interrupted, run twice at once, or started by TFX's own command line."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import DIGITS, QUICK, REPOSITORY, RESTEM

pytestmark = pytest.mark.e2e


def start(root: Path, stderr: Path) -> subprocess.Popen:
    command = [RESTEM, "run", "--config", DIGITS, "--root", root, "--json", *QUICK]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr.open("w"), text=True)


def wait_for(pattern: str, stderr: Path, process: subprocess.Popen, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not re.search(pattern, stderr.read_text()):
        assert process.poll() is None, stderr.read_text()
        assert time.monotonic() < deadline, stderr.read_text()
        time.sleep(0.2)


def test_interrupted_run_says_how_to_go_on_and_the_next_goes_on(tmp_path, restem):
    root, stderr = tmp_path / "root", tmp_path / "stderr"
    process = start(root, stderr)
    wait_for(r"Transform", stderr, process)
    time.sleep(2)

    second = restem("run", "--config", DIGITS, "--root", root, *QUICK)
    assert second.code == 1
    assert "another run" in second.err
    assert "Traceback" not in second.err

    before = stderr.read_text()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    last = stderr.read_text()[len(before) :]
    assert "Traceback" not in last
    assert "restem run" in last
    assert "ImageExampleGen" in last

    done = restem("run", "--config", DIGITS, "--root", root, "--json", *QUICK)
    assert done.code == 0, done.err[-3000:]
    cached = [line for line in done.err.splitlines() if "cache" in line]
    assert any("ImageExampleGen" in line for line in cached)
    assert done.result["pushed_to"]


def test_tfx_command_line_runs_the_same_pipeline(tmp_path):
    config = tmp_path / "quick.yaml"
    config.write_text(
        "name: quick\n"
        "data: {path: 'embedded:digits'}\n"
        "image: {size: 8, channels: 1}\n"
        "model: {weights: none}\n"
        "train: {head: {epochs: 1, learning_rate: 0.001}, all: {epochs: 0, learning_rate: 0.001}}\n"
        "evaluate: {min_improvement: -1.0}\n"
    )
    environment = {
        **os.environ,
        "RESTEM_CONFIG": str(config),
        "RESTEM_ROOT": str(tmp_path / "root"),
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    tfx = Path(sys.executable).with_name("tfx")
    runner = REPOSITORY / "pipeline" / "local_runner.py"
    for arguments in (
        ["pipeline", "create", "--engine=local", f"--pipeline_path={runner}"],
        ["run", "create", "--engine=local", "--pipeline_name=quick"],
    ):
        done = subprocess.run(
            [tfx, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    versions = list((tmp_path / "root" / "serving" / "quick").iterdir())
    assert len(versions) == 1
    assert (versions[0] / "saved_model.pb").is_file()

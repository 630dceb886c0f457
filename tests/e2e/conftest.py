"""The real command line in processes of its own, and one run of the embedded demo that several tests look at."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

REPOSITORY = Path(__file__).parents[2]
RESTEM = Path(sys.executable).with_name("restem")
DIGITS = REPOSITORY / "pipeline" / "configs" / "digits.yaml"
# The digits without pretraining, at the smallest price: for tests that look at anything but the accuracy.
QUICK = [
    "--set=model.weights=none",
    "--set=image.size=8",
    "--set=train.head.epochs=1",
    "--set=train.all.epochs=0",
    "--set=evaluate.min_accuracy=0.0",
    "--set=evaluate.min_improvement=-1.0",
]

RunRestem = Callable[..., SimpleNamespace]


@pytest.fixture(scope="session")
def restem(tmp_path_factory) -> RunRestem:
    """Runs `restem ARGUMENTS`, from a folder that is not the repository's."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def run(*arguments, timeout: float = 900) -> SimpleNamespace:
        done = subprocess.run(
            [RESTEM, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=elsewhere,
            env={**os.environ, "PYTHONPATH": ""},
        )
        lines = done.stdout.strip().splitlines()
        result = json.loads(lines[-1]) if "--json" in arguments and done.returncode == 0 else None
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr, result=result)

    return run


@pytest.fixture(scope="session")
def demo(restem, tmp_path_factory) -> SimpleNamespace:
    """What `make demo` does: `root`, and `result`, the JSON line."""
    root = tmp_path_factory.mktemp("demo")
    done = restem("run", "--config", DIGITS, "--root", root, "--json")
    assert done.code == 0, done.err[-3000:]
    return SimpleNamespace(root=root, result=done.result, err=done.err)

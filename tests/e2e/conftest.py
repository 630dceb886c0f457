"""Fixtures: the real command line in separate processes, one run of the embedded demo that several tests check, and
runs of a module's own images under the orchestrator of Kubeflow's SDK."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.installed import build_wheel, install
from tests.pipeline.kubeflow.cluster import Cluster
from tests.pipeline.kubeflow.containers import Containers

REPOSITORY = Path(__file__).parents[2]
RESTEM = Path(sys.executable).with_name("restem")
DIGITS = REPOSITORY / "pipeline" / "configs" / "digits.yaml"
# As fast as possible: for tests that do not depend on the accuracy.
QUICK = [
    "--set=model.weights=none",
    "--set=train.head.epochs=1",
    "--set=train.all.epochs=0",
    "--set=evaluate.min_accuracy=0.0",
    "--set=evaluate.min_improvement=-1.0",
]

RunRestem = Callable[..., SimpleNamespace]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory) -> Path:
    """The folder of commands of an environment in which the wheel is installed."""
    return install(wheel, tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Path:
    """A user's own project. It has packages with the same names as this repository's folders."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("components", "pipeline", "schemas"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise ImportError('the package of the project, not of restem')")
    return folder


@pytest.fixture(scope="session")
def restem(installed, project) -> RunRestem:
    """Runs `restem ARGUMENTS` as installed from the wheel, in a user's own project."""

    def run(*arguments, timeout: float = 1800) -> SimpleNamespace:
        done = subprocess.run(
            [installed / "restem", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=project,
            env={**os.environ, "PYTHONPATH": ""},
        )
        lines = done.stdout.strip().splitlines()
        result = json.loads(lines[-1]) if "--json" in arguments and done.returncode == 0 else None
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr, result=result)

    return run


@pytest.fixture(scope="session")
def demo(restem, tmp_path_factory) -> SimpleNamespace:
    """The same run as `make demo`, interrupted once and started again.

    Attributes: `root`; `result`, the JSON line; `err`, the console output; `second`, a run that was started with the
    same root during the first run; `interrupted`, the `err` output of the first run after SIGINT, and its exit `code`.
    """
    root = tmp_path_factory.mktemp("demo")
    console = root.with_suffix(".console")
    arguments = ["run", "--config", DIGITS, "--root", root, "--json"]
    first = subprocess.Popen([RESTEM, *arguments], stdout=subprocess.DEVNULL, stderr=console.open("w"))
    try:
        wait_for("Pretrain ...", console, first)
        second = restem(*arguments)
        before = len(console.read_text())
        first.send_signal(signal.SIGINT)
        code = first.wait(timeout=300)
    finally:
        first.kill()
    done = restem(*arguments)
    assert done.code == 0, done.err[-3000:]
    return SimpleNamespace(
        root=root,
        result=done.result,
        err=done.err,
        second=second,
        interrupted=SimpleNamespace(code=code, err=console.read_text()[before:]),
    )


@pytest.fixture(scope="module")
def containers(installed) -> Iterator[Containers]:
    """Runs steps with the project as installed from the wheel."""
    with Containers(installed / "python") as containers:
        yield containers


@pytest.fixture(scope="module")
def cluster(containers) -> Callable[..., Cluster]:
    """Makes a cluster whose image has the project installed from the wheel."""
    return partial(Cluster, run_container=containers)


@pytest.fixture(scope="module")
def compile_pipeline(restem, volume, folder, tmp_path_factory) -> Callable[..., Path]:
    """Compiles the configuration for a cluster with that volume; returns the file."""

    def compile_pipeline(*settings: str) -> Path:
        out = tmp_path_factory.mktemp("compiled") / "own.yaml"
        volumes = f"--set=kubeflow.volumes=[{{claim: restem, mount: {volume}}}]"
        image = "--set=kubeflow.image=registry.example.org/restem:1.2"
        done = restem("compile", "--config", folder / "own.yaml", "--out", out, image, volumes, *settings)
        assert done.code == 0, done.err
        return out

    return compile_pipeline


@pytest.fixture(scope="module")
def on_kubeflow(cluster, containers, compile_pipeline, tmp_path_factory) -> SimpleNamespace:
    """A run that pushes a model; the Trainer's first attempt is killed during training."""
    killed = partial(containers, started=partial(kill_when, "head: epoch"))
    cluster = cluster(
        compile_pipeline(*QUICK),
        tmp_path_factory.mktemp("cluster"),
        before=lambda step, attempt: killed if (step, attempt) == ("trainer", 0) else None,
    )
    return SimpleNamespace(cluster=cluster, succeeded=cluster.run())


@pytest.fixture(scope="module")
def again_on_kubeflow(on_kubeflow, cluster, compile_pipeline) -> SimpleNamespace:
    """A run on the same server with another baseline, whose model is not approved."""
    # No network reaches that improvement.
    settings = [*QUICK, "--set=evaluate.baseline=latest_approved", "--set=evaluate.min_improvement=0.9"]
    server = on_kubeflow.cluster
    cluster = cluster(compile_pipeline(*settings), server.folder, cache=server.cache)
    return SimpleNamespace(cluster=cluster, succeeded=cluster.run())


def wait_for(text: str, console: Path, process: subprocess.Popen, seconds: float = 1200) -> None:
    """Waits until the console's file shows the text."""
    deadline = time.monotonic() + seconds
    while text not in console.read_text():
        assert process.poll() is None, console.read_text()
        assert time.monotonic() < deadline, console.read_text()
        time.sleep(0.2)


def kill_when(text: str, process: int, log: Path) -> None:
    """Kills the process once its log shows the text."""
    while text not in log.read_text(encoding="utf-8"):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            raise AssertionError(f"it has ended: {log.read_text(encoding='utf-8')[-3000:]}") from None
        time.sleep(0.05)
    os.kill(process, signal.SIGKILL)

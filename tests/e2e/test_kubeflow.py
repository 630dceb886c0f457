"""The compiled pipeline under the orchestrator of Kubeflow's SDK, every step in a process (cluster.py).

Three short runs of the digits: one with a step killed in the middle, compared with the same run on this machine; one
whose baseline is the model that the first run pushed; and a repetition of the second.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.e2e.conftest import DIGITS, QUICK
from tests.pipeline.kubeflow.cluster import Cluster, run_process

# The first test of a module waits for its run.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]

IMAGE = "registry.example.org/restem:1.2"


@pytest.fixture(scope="module")
def volume(tmp_path_factory) -> Path:
    """The persistent volume: a folder that every step can access."""
    return tmp_path_factory.mktemp("volume")


@pytest.fixture(scope="module")
def cluster(installed) -> Callable[..., Cluster]:
    """Makes a cluster whose image has the project installed from the wheel."""
    return partial(Cluster, run_container=partial(run_process, python=str(installed / "python")))


@pytest.fixture(scope="module")
def compile_digits(restem, volume, tmp_path_factory):
    """Compiles the digits for a cluster with that volume; returns the file."""

    def compile_digits(*settings: str) -> Path:
        out = tmp_path_factory.mktemp("compiled") / "digits.yaml"
        volumes = f"--set=kubeflow.volumes=[{{claim: restem, mount: {volume}}}]"
        image = f"--set=kubeflow.image={IMAGE}"
        done = restem("compile", "--config", DIGITS, "--out", out, image, volumes, *settings)
        assert done.code == 0, done.err
        return out

    return compile_digits


# Pretrains again, which is the long part, so only once. No network reaches that improvement.
REFUSED = [
    *(setting for setting in QUICK if "weights" not in setting),
    "--set=pretrain.epochs=1",
    "--set=evaluate.baseline=latest_approved",
    "--set=evaluate.min_improvement=0.9",
]


@pytest.fixture(scope="module")
def first(cluster, installed, compile_digits, tmp_path_factory) -> SimpleNamespace:
    """A run that pushes a model; the Trainer's first attempt is killed during training."""
    kill = kill_first("trainer", "head: epoch", str(installed / "python"))
    cluster = cluster(compile_digits(*QUICK), tmp_path_factory.mktemp("first"), before=kill)
    return SimpleNamespace(cluster=cluster, succeeded=cluster.run())


@pytest.fixture(scope="module")
def second(first, cluster, compile_digits, tmp_path_factory) -> SimpleNamespace:
    """A run whose model is not approved."""
    cluster = cluster(compile_digits(*REFUSED), tmp_path_factory.mktemp("second"))
    return SimpleNamespace(cluster=cluster, succeeded=cluster.run())


def kill_first(step: str, text: str, python: str):
    """Kills the step's first attempt once its log shows the text."""

    def run_and_kill(command: list[str], pod: Path, _step: str) -> tuple[int, str]:
        log = pod / "log"
        process = subprocess.Popen(
            [python if part == "python" else part for part in command],
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": str(pod)},
            cwd=pod,
        )
        try:
            while text not in log.read_text(encoding="utf-8"):
                assert process.poll() is None, log.read_text(encoding="utf-8")[-3000:]
                time.sleep(0.05)
        finally:
            process.send_signal(signal.SIGKILL)
        return 128 + signal.SIGKILL, log.read_text(encoding="utf-8") if process.wait() else ""

    return lambda attempted, attempt: run_and_kill if (attempted, attempt) == (step, 0) else None


def verdict(cluster: Cluster) -> dict:
    """The run's verdict, read from its artifacts in the store."""
    from restem.evaluator.verdict import read_verdict

    return read_verdict(str(cluster.output("evaluator", "evaluation")), str(cluster.output("evaluator", "blessing")))


def test_every_step_ran_and_the_killed_one_was_retried(first):
    assert first.succeeded, first.cluster.attempts[-1].log[-3000:]
    tried = [attempt.step for attempt in first.cluster.attempts]
    assert set(tried) == set(first.cluster.tasks)
    assert tried.count("trainer") == 2
    assert len(tried) == len(first.cluster.tasks) + 1


def test_the_metrics_equal_those_of_the_same_run_on_this_machine(first, restem, tmp_path):
    here = restem("run", "--config", DIGITS, "--root", tmp_path, "--json", *QUICK)
    assert here.code == 0, here.err[-3000:]
    decided = verdict(first.cluster)
    assert here.result["blessed"] is decided["blessed"] is True
    assert here.result["reason"] == decided["reason"]
    for role in ("candidate", "baseline"):
        for name, value in here.result["metrics"][role].items():
            assert decided["metrics"][role][name] == pytest.approx(value, abs=1e-6), (role, name)


def test_the_approved_model_is_on_the_volume_with_its_manifest(first, volume):
    serving = volume / "serving" / "digits"
    (version,) = [folder for folder in serving.iterdir() if folder.name.isdigit()]
    assert (version / "saved_model.pb").is_file()
    assert first.cluster.properties("pusher", "pushed_model")["pushed_destination"] == str(version)
    assert "storageUri: pvc://restem/serving/digits" in (serving / "kserve" / "inference-service.yaml").read_text()


def test_the_report_is_in_the_store(first):
    assert (first.cluster.output("report", "report") / "index.html").read_text(encoding="utf-8").startswith("<!DOCTYPE")


def test_the_second_runs_baseline_is_the_first_runs_pushed_model(second, first, volume):
    assert second.succeeded, second.cluster.attempts[-1].log[-3000:]
    found = json.loads((second.cluster.output("baseline", "model_run") / "baseline.json").read_text())
    pushed = first.cluster.properties("pusher", "pushed_model")
    assert (found["kind"], found["path"]) == ("latest_approved", pushed["pushed_destination"])
    before = verdict(first.cluster)["metrics"]["candidate"]["accuracy"]
    decided = verdict(second.cluster)
    assert decided["metrics"]["baseline"]["accuracy"] == pytest.approx(before, abs=1e-6)
    assert not decided["blessed"]
    assert len([folder for folder in (volume / "serving" / "digits").iterdir() if folder.name.isdigit()]) == 1


def test_an_unchanged_run_computes_nothing(second, cluster):
    again = cluster(second.cluster.package, second.cluster.folder, cache=second.cluster.cache)
    assert again.run()
    assert [attempt.step for attempt in again.attempts] == ["fingerprints"]
    assert set(again.cached) == set(again.tasks) - {"fingerprints"}


def test_a_step_without_retries_left_fails_the_run_with_its_own_error(compile_digits, cluster, volume, tmp_path):
    cluster = cluster(
        compile_digits(
            f"--set=data.path={volume}/nothing", "--set=kubeflow.step_defaults={retry: {count: 1, wait_seconds: 0}}"
        ),
        tmp_path,
    )
    assert not cluster.run()
    assert [(attempt.step, attempt.code) for attempt in cluster.attempts] == [("fingerprints", 1)] * 2
    last = cluster.log("fingerprints").strip().splitlines()[-1]
    assert last.startswith("restem: ")
    assert f"{volume}/nothing" in last

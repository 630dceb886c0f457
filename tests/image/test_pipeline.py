"""The whole pipeline as Kubeflow runs it, every step in a container of the image, twice: the second run's baseline is
the model that the first run pushed. The same configuration on this machine gives the same metrics."""

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from restem.example_gen.documents import write_tiff
from restem.pipeline.commands.compiling import compile_config
from restem.pipeline.config import load_config
from tests.e2e.conftest import DIGITS, QUICK, installed, project, restem, wheel  # noqa: F401 (fixtures)
from tests.image.conftest import LOCKED, STRICT
from tests.image.conftest import Image as ContainerImage
from tests.pipeline.kubeflow.cluster import Cluster, RunContainer

# The first test waits for two runs.
pytestmark = [pytest.mark.image, pytest.mark.timeout(2400)]
MOUNT = "/mnt/restem"
OPTIONS = [*QUICK, "--set=image.size=8"]
SETTINGS = [option.removeprefix("--set=") for option in OPTIONS]


def in_containers(image: ContainerImage, volume: Path) -> RunContainer:
    """Runs an attempt of a step in a container that may write only to the launcher's folder and the volume."""
    # An unknown user; if the tests do not run as root, the current user, who must be able to read the results.
    user = [f"--user={os.getuid() or 12345}:0"]
    if os.getuid() and image.engine == "podman":
        user.append("--userns=keep-id")

    def run(command: list[str], pod: Path, step: str) -> tuple[int, str]:
        mounts = {pod / "minio": "/minio", volume: MOUNT}
        for folder in mounts:
            open_to_all(folder)
        done = subprocess.run(
            [
                *(image.engine, "run", "--rm", *user, *LOCKED),
                *(f"--volume={here}:{there}" for here, there in mounts.items()),
                image.name,
                # The simulated launcher puts files into the pod's folder; in the container they are at the root.
                *(part.replace(str(pod), "") for part in command),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,
        )
        return done.returncode, done.stdout

    return run


def open_to_all(folder: Path) -> None:
    """Lets any user write, as in Kubernetes's emptyDir volumes."""
    for place in (folder, *folder.rglob("*")):
        if place.is_dir() and place.stat().st_uid == os.getuid():
            place.chmod(0o777)


@pytest.fixture(scope="module")
def volume(tmp_path_factory) -> Path:
    """The persistent volume."""
    return tmp_path_factory.mktemp("volume")


@pytest.fixture(scope="module")
def run_on_kubeflow(image, volume, tmp_path_factory):
    """Compiles the digits and runs them in containers."""

    def run_on_kubeflow(*settings: str) -> Cluster:
        folder = tmp_path_factory.mktemp("cluster")
        settings = (f"kubeflow.image={image.name}", f"kubeflow.volumes=[{{claim: restem, mount: {MOUNT}}}]", *settings)
        (folder / "digits.yaml").write_text(compile_config(load_config(DIGITS, list(settings))), encoding="utf-8")
        cluster = Cluster(folder / "digits.yaml", folder / "cluster", in_containers(image, volume))
        assert cluster.run(), cluster.attempts[-1].step + "\n" + cluster.attempts[-1].log[-6000:]
        return cluster

    return run_on_kubeflow


@pytest.fixture(scope="module")
def runs(run_on_kubeflow) -> SimpleNamespace:
    """A first run, and a second one that pretrains, and whose baseline is the model that the first run pushed."""
    first = run_on_kubeflow(*SETTINGS)
    pretraining = ["model.weights=pretrain", "pretrain.epochs=1", "evaluate.baseline=latest_approved"]
    return SimpleNamespace(first=first, second=run_on_kubeflow(*SETTINGS, *pretraining))


def test_every_step_ran_in_a_container(runs):
    for cluster in (runs.first, runs.second):
        assert sorted(attempt.step for attempt in cluster.attempts) == sorted(cluster.tasks), "each once, none skipped"


def test_the_metrics_equal_those_of_a_run_on_this_machine(runs, restem, tmp_path):  # noqa: F811 - the fixture
    here = restem("run", "--config", DIGITS, "--root", tmp_path, "--json", *OPTIONS)
    assert here.code == 0, here.err[-3000:]
    decided = runs.first.verdict()
    assert decided["blessed"] is here.result["blessed"] is True
    for role in ("candidate", "baseline"):
        for name, value in here.result["metrics"][role].items():
            assert decided["metrics"][role][name] == pytest.approx(value, abs=1e-6), (role, name)


def test_the_second_runs_baseline_is_the_first_runs_pushed_model(runs):
    found = json.loads((runs.second.output("baseline", "model_run") / "baseline.json").read_text())
    pushed = runs.first.properties("pusher", "pushed_model")
    assert (found["kind"], found["path"]) == ("latest_approved", pushed["pushed_destination"])


def test_the_pushed_model_answers(runs, image, volume):
    pushed = runs.first.properties("pusher", "pushed_model")["pushed_destination"]
    assert pushed.startswith(f"{MOUNT}/serving/digits/")
    write_tiff(volume / "one.tif", np.full((32, 32, 4), 200, np.uint8))
    options = [*STRICT, f"--volume={volume}:{MOUNT}:ro"]
    out = image.run("restem", "predict", pushed, f"{MOUNT}/one.tif", options=options)
    assert "one.tif" in out


def test_no_step_failed_to_write_a_file(runs):
    for attempt in (*runs.first.attempts, *runs.second.attempts):
        for word in ("Permission denied", "Read-only file system", "not a writable directory"):
            assert word not in attempt.log, f"{attempt.step}: {attempt.log[-3000:]}"

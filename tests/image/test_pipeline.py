"""The whole pipeline as Kubeflow runs it, every step in a container of the image."""

import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from pipeline.config import load_config
from pipeline.kubeflow.compile import compile_config
from tests.image.conftest import Image as ContainerImage
from tests.kubeflow.cluster import Cluster, RunContainer

pytestmark = [pytest.mark.image, pytest.mark.timeout(2400)]
MOUNT = "/mnt/restem"
# The digits without pretraining, at the smallest price; approved whatever the accuracy.
CONFIG = """
name: digits
data: {{path: "embedded:digits"}}
image: {{size: 8, channels: 1}}
model: {{weights: none}}
stem: {{small_images: true}}
train: {{batch_size: 32, head: {{epochs: 1, learning_rate: 0.001}}, all: {{epochs: 0}}}}
evaluate: {{min_accuracy: 0.0, min_improvement: -1.0}}
kubeflow:
  image: {image}
  volumes: [{{claim: restem, mount: {mount}}}]
"""


def in_containers(image: ContainerImage, volume: Path) -> RunContainer:
    """Runs an attempt at a step in a container: the launcher's folder and the volume are all that it may write."""
    # A user whom nobody knows; without root's rights on this machine, the one who has to read the results.
    user = [f"--user={os.getuid() or 12345}:0"]
    if os.getuid() and image.engine == "podman":
        user.append("--userns=keep-id")

    def run(command: list[str], pod: Path, step: str) -> tuple[int, str]:
        mounts = {pod / "minio": "/minio", volume: MOUNT}
        for folder in mounts:
            open_to_all(folder)
        done = subprocess.run(
            [
                *(image.engine, "run", "--rm", "--read-only", "--tmpfs=/tmp", "--network=none", *user),
                *(f"--volume={here}:{there}" for here, there in mounts.items()),
                image.name,
                # What the imitated launcher has put below the pod's folder, a container finds at the root.
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
    """As Kubernetes's empty folders are: anyone may write."""
    folder.chmod(0o777)
    for inner in folder.rglob("*"):
        if inner.is_dir() and inner.stat().st_uid == os.getuid():
            inner.chmod(0o777)


@pytest.fixture(scope="module")
def cluster(image, tmp_path_factory) -> Cluster:
    """One run."""
    folder = tmp_path_factory.mktemp("cluster")
    config = folder / "digits.yaml"
    config.write_text(CONFIG.format(image=image.name, mount=MOUNT), encoding="utf-8")
    package = folder / "pipeline.yaml"
    package.write_text(compile_config(load_config(config)), encoding="utf-8")
    volume = folder / "volume"
    volume.mkdir()
    cluster = Cluster(package, folder / "cluster", in_containers(image, volume))
    assert cluster.run(), cluster.attempts[-1].step + "\n" + cluster.attempts[-1].log[-6000:]
    return cluster


def test_every_step_ran_in_a_container(cluster):
    steps = [attempt.step for attempt in cluster.attempts]
    assert sorted(steps) == sorted(cluster.tasks), "each once, none skipped"


def test_the_model_is_on_the_volume_and_answers(cluster, image):
    volume = cluster.package.parent / "volume"
    (version,) = (volume / "serving" / "digits").glob("[0-9]*")
    picture = volume / "one.png"
    Image.fromarray((load_digits().images[1] * 15).astype("uint8")).save(picture)
    out = image.run(
        *("restem", "predict", f"{MOUNT}/{version.relative_to(volume)}", f"{MOUNT}/one.png"),
        options=["--network=none", "--read-only", "--tmpfs=/tmp", "--user=0:0", f"--volume={volume}:{MOUNT}"],
    )
    assert "one.png" in out


def test_no_step_complained_about_a_file_it_may_not_write(cluster):
    for attempt in cluster.attempts:
        for word in ("Permission denied", "Read-only file system", "not a writable directory"):
            assert word not in attempt.log, f"{attempt.step}: {attempt.log[-3000:]}"

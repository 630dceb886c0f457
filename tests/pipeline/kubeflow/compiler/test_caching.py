"""The server's cache with spans: a run without new data reads nothing, a new span is read."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restem.pipeline.commands.compiling import compile_config
from restem.pipeline.config import load_config
from tests.pipeline.kubeflow.cluster import Cluster, RunContainer
from tests.pipeline.kubeflow.conftest import IMAGE
from tests.pipeline.kubeflow.containers import Containers

pytestmark = [pytest.mark.e2e]
CONFIG = """
name: spans
data: {{path: "{volume}/day-{{SPAN}}"}}
image: {{size: 8}}
model: {{weights: none}}
kubeflow: {{image: {image}, volumes: [{{claim: restem, mount: {volume}}}], step_defaults: {{retry: {{count: 0}}}}}}
"""


def write_day(volume: Path, number: int, images: int) -> None:
    rng = np.random.default_rng(number)
    for i in range(images):
        path = volume / f"day-{number}" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)).save(path)


@pytest.fixture
def first_steps() -> Iterator[RunContainer]:
    """Runs only the steps of this test; all later steps fail."""
    with Containers() as containers:

        def first_steps(command: list[str], pod: Path, step: str) -> tuple[int, str]:
            return containers(command, pod, step) if step in ("fingerprints", "image-example-gen") else (1, "")

        yield first_steps


def test_the_newest_span_is_read_once(first_steps, tmp_path):
    volume = tmp_path / "volume"
    write_day(volume, 1, 20)
    write_day(volume, 2, 24)
    (tmp_path / "spans.yaml").write_text(CONFIG.format(volume=volume, image=IMAGE), encoding="utf-8")
    package = tmp_path / "pipeline.yaml"
    package.write_text(compile_config(load_config(tmp_path / "spans.yaml")), encoding="utf-8")
    cache: dict[str, Path] = {}

    def run() -> tuple[list[str], Cluster]:
        cluster = Cluster(package, tmp_path / "cluster", first_steps, cache=cache)
        cluster.run()
        return [attempt.step for attempt in cluster.attempts if attempt.code == 0], cluster

    def read(cluster: Cluster) -> tuple[list[int], int]:
        summary = json.loads((cluster.output("image-example-gen", "quarantine") / "summary.json").read_text())
        return summary["spans"], summary["files"]

    computed, cluster = run()
    assert computed == ["fingerprints", "image-example-gen"], cluster.attempts[-1].log
    assert read(cluster) == ([2], 24)
    computed, cluster = run()
    assert (computed, cluster.cached) == (["fingerprints"], ["image-example-gen"])
    write_day(volume, 3, 30)
    computed, cluster = run()
    assert computed == ["fingerprints", "image-example-gen"]
    assert read(cluster) == ([3], 30)

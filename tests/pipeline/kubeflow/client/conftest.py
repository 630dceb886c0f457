"""A local Kubeflow, and configurations and packages for it."""

import copy
from collections.abc import Callable, Iterator

import pytest
import yaml

from restem.pipeline.config.kubeflow import KubeflowConfig
from restem.pipeline.kubeflow.client.access import Access
from restem.pipeline.kubeflow.client.server import Server
from tests.pipeline.kubeflow.client.http import Local, serve
from tests.pipeline.kubeflow.client.kubeflow import Kubeflow

TASK = {"taskInfo": {"name": "trainer"}, "componentRef": {"name": "comp-trainer"}}
SPEC = {
    "pipelineInfo": {"name": "digits"},
    "schemaVersion": "2.1.0",
    "sdkVersion": "tfx-1.21.0",
    "root": {
        "dag": {"tasks": {"trainer": {"taskInfo": {"name": "trainer"}, "componentRef": {"name": "comp-trainer"}}}}
    },
    "components": {"comp-trainer": {"executorLabel": "exec-trainer"}},
    "deploymentSpec": {"executors": {"exec-trainer": {"container": {"image": "restem:1", "command": ["python"]}}}},
}
PLATFORM = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-trainer": {}}}}}}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch) -> None:
    """What this machine's environment says of some Kubeflow stays out of the tests."""
    for name in (
        "RESTEM_KUBEFLOW_TOKEN",
        "RESTEM_KUBEFLOW_COOKIE",
        "KF_PIPELINES_ENDPOINT",
        "KF_PIPELINES_UI_ENDPOINT",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest.fixture
def local() -> Iterator[Local]:
    """A fresh server; the test fails where a request was not as the API wants it."""
    with serve(Kubeflow()) as local:
        yield local


@pytest.fixture
def server(local) -> Server:
    """Reached, without a login."""
    return Server(Access(local.host, ui=local.host))


@pytest.fixture
def package() -> Callable[..., str]:
    """A compiled pipeline; another `image` makes another version."""

    def package(image: str = "restem:1") -> str:
        spec = copy.deepcopy(SPEC)
        spec["deploymentSpec"]["executors"]["exec-trainer"]["container"]["image"] = image
        return yaml.safe_dump_all([spec, PLATFORM])

    return package


@pytest.fixture
def kubeflow_config() -> Callable[..., KubeflowConfig]:
    """The configuration's section, with a schedule of the given cron; other keys of the schedule by name."""

    def make(cron: str = "0 0 3 * * *", section: dict | None = None, **schedule) -> KubeflowConfig:
        return KubeflowConfig.model_validate({"schedule": {"cron": cron, **schedule}, **(section or {})})

    return make

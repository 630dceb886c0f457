"""Fixtures: configurations for Kubeflow, and one of them compiled once for all tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from restem.pipeline.commands.compiling import compile_config
from restem.pipeline.config import Config, load_config
from restem.pipeline.kubeflow.client.access import TOKEN

IMAGE = "registry.example.org/restem:1.2"
TEXT = """
name: parts
data: {{path: images}}
image: {{size: 32, channels: 1}}
model: {{weights: weights/resnet50.weights.h5}}
retention: {{versions: 3}}
tune: {{over: {{train.batch_size: {{choices: [16, 32]}}}}}}
kubeflow:
  image: {image}
  image_pull_secret: registry-login
  volumes: [{{claim: restem, mount: /mnt/restem, holds: .}}]
  step_defaults: {{cpu: "1", memory: 4Gi, timeout_seconds: 7200}}
  steps:
    Trainer:
      memory: 16Gi
      gpus: 1
      node_selector: {{pool: gpu}}
      tolerations: [{{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}}]
      retry: {{count: 5, wait_seconds: 60}}
    Report: {{retry: {{count: 0}}}}
"""
SECRET = "s3cr3t"
SERVICES = """
notify: {webhook_env: HOOK_ADDRESS, secret_env: HOOK_SECRET, kubernetes_secret: restem-notify}
track: {mlflow: {tracking_uri: "https://mlflow.example.org", kubernetes_secret: restem-mlflow}}
"""


@pytest.fixture
def configured(tmp_path) -> Callable[..., Config]:
    """Loads a configuration for Kubeflow with some values set."""

    def configured(*overrides: str, text: str = TEXT) -> Config:
        path = tmp_path / "parts.yaml"
        path.write_text(text.format(image=IMAGE), encoding="utf-8")
        return load_config(path, list(overrides))

    return configured


@pytest.fixture(scope="session")
def compiled(tmp_path_factory) -> Path:
    """`parts.yaml` compiled, where the environment has secrets; the configuration is in the same folder."""
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "parts.yaml").write_text(TEXT.format(image=IMAGE) + SERVICES, encoding="utf-8")
    out = folder / "pipeline.yaml"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOOK_ADDRESS", "HOOK_SECRET", "MLFLOW_TRACKING_TOKEN", TOKEN, "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, f"https://example.org/{SECRET}")
        out.write_text(compile_config(load_config(folder / "parts.yaml")), encoding="utf-8")
    return out

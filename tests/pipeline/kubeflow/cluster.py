"""A Kubeflow without Kubernetes: the orchestrator of Kubeflow's own SDK runs a compiled pipeline, step by step.

This module simulates the environment of a step's container on a cluster, as in the backend of kubeflow/pipelines: the
driver's call (types removed from inputs, an additional output for the log), the launcher (downloads inputs, uploads
outputs, only files; a fresh file system for each attempt; rejects unknown fields and nulls in the answer) and Argo
(retries according to the task's retry policy).
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp import components, local
from kfp.local import status, subprocess_task_handler
from kfp.pipeline_spec import pipeline_spec_pb2

from restem.evaluator.verdict import read_verdict

BUCKET = "minio://mlpipeline"
ANSWER = "output_metadata.json"
# Runs a step's command: (command, folder of the attempt, step) -> exit code and log.
RunContainer = Callable[[list[str], Path, str], tuple[int, str]]


@dataclass
class Attempt:
    """One attempt of a step."""

    step: str
    code: int
    log: str


@dataclass
class Cluster:
    """Runs a compiled pipeline. After `run`, `attempts` has all attempts, `cached` the steps from the cache, and
    `store` the uploaded files, in a folder for each step and output.

    Attributes:
        package: the compiled YAML file.
        folder: a scratch folder.
        run_container: runs one attempt; containers.py has processes on this machine for it.
        before: called with step and attempt (from 0); if it returns a function, that runs the attempt instead.
        cache: the content of the server's cache, by key. Runs that share a cache must share the folder.
    """

    package: Path
    folder: Path
    run_container: RunContainer
    before: Callable[[str, int], RunContainer | None] = lambda step, attempt: None
    cache: dict[str, Path] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.spec = yaml.safe_load_all(self.package.read_text(encoding="utf-8")).__next__()
        self.tasks = self.spec["root"]["dag"]["tasks"]

    def output(self, step: str, key: str) -> Path:
        """The uploaded files of a step's output."""
        return self.store / step / key

    def properties(self, step: str, key: str) -> dict[str, Any]:
        """The properties that the step set on its output."""
        answer = json.loads((self.store / step / "executor_output.json").read_text(encoding="utf-8"))
        return answer["artifacts"][key]["artifacts"][0]["metadata"]

    def verdict(self) -> dict[str, Any]:
        """The run's verdict, read from its artifacts in the store."""
        return read_verdict(str(self.output("evaluator", "evaluation")), str(self.output("evaluator", "blessing")))

    def log(self, step: str) -> str:
        """The log of the step's last attempt."""
        return next(attempt.log for attempt in reversed(self.attempts) if attempt.step == step)

    def run(self) -> bool:
        """Runs every step in order; False if a step failed after all retries."""
        cluster = self

        class Pod:
            """kfp.local creates one for each task, with its command; `run` returns the status."""

            def __init__(self, image: str, full_command: list[str], pipeline_root: str, runner: Any) -> None:
                assert image == cluster.image, "kfp.local is given the configured image"
                self.command = full_command

            def run(self) -> status.Status:
                return cluster._run_task(self.command)

        original = subprocess_task_handler.SubprocessTaskHandler
        subprocess_task_handler.SubprocessTaskHandler = Pod
        try:
            local.init(
                runner=local.SubprocessRunner(use_venv=False),
                pipeline_root=str(self.folder / "store"),
                raise_on_error=False,
            )
            components.load_component_from_file(str(self.package))()
        finally:
            subprocess_task_handler.SubprocessTaskHandler = original
        failed = [step for step in self.tasks if self._last(step) and self._last(step).code != 0]
        return not failed and (bool(self._last("pusher")) or "pusher" in self.cached)

    @property
    def image(self) -> str:
        """The image, which is the same for all steps."""
        executors = self.spec["deploymentSpec"]["executors"].values()
        (image,) = {executor["container"]["image"] for executor in executors}
        return image

    def _last(self, step: str) -> Attempt | None:
        return next((attempt for attempt in reversed(self.attempts) if attempt.step == step), None)

    def _run_task(self, command: list[str]) -> status.Status:
        position = command.index("--json_serialized_invocation_args") + 1
        call = json.loads(command[position])
        step = Path(call["outputs"]["outputFile"]).parent.name
        kept = Path(call["outputs"]["outputFile"])
        self.store = kept.parents[1]
        key = json.dumps([command[:position], call.get("inputs")], sort_keys=True)
        caching = self.tasks[step]["cachingOptions"].get("enableCache")
        if caching and key in self.cache:
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.cache[key], kept)
            self.cached.append(step)
            return status.Status.SUCCESS
        tries = 1 + int(self.tasks[step].get("retryPolicy", {}).get("maxRetryCount", 0))
        for attempt in range(tries):
            pod = self.folder / "pods" / f"{step}-{attempt}"
            shutil.rmtree(pod, ignore_errors=True)
            prepared = self._driver(json.loads(command[position]), pod, step, attempt)
            here = [*command[:position], json.dumps(prepared), *command[position + 1 :]]
            run = self.before(step, attempt) or self.run_container
            code, log = run(here, pod, step)
            self.attempts.append(Attempt(step, code, log))
            if code == 0:
                self._launcher_uploads(prepared, call, step, pod)
                self.cache[key] = kept
                return status.Status.SUCCESS
        return status.Status.FAILURE

    def _driver(self, call: dict[str, Any], pod: Path, step: str, attempt: int) -> dict[str, Any]:
        """Changes the call as the driver and the launcher do, and downloads the inputs."""
        number = 17
        for entry in call.get("inputs", {}).get("artifacts", {}).values():
            for artifact in entry["artifacts"]:
                uploaded = Path(artifact["uri"])
                number += 1
                artifact["name"] = str(number)
                artifact.pop("type", None)
                artifact.setdefault("metadata", {}).update(display_name="d", store_session_info="{}")
                artifact["customPath"] = str(pod / "minio" / uploaded.relative_to(self.folder))
                artifact["uri"] = self._remote(uploaded)
                copy_files(uploaded, Path(artifact["customPath"]))
        outputs = call["outputs"]
        outputs.setdefault("artifacts", {})["executor-logs"] = {
            "artifacts": [
                {
                    "name": "executor-logs",
                    "type": {"schemaTitle": "system.Artifact"},
                    "uri": str(self.folder / "store" / step / f"executor-logs-{attempt}"),
                }
            ]
        }
        for entry in outputs["artifacts"].values():
            for artifact in entry["artifacts"]:
                place = Path(artifact["uri"])
                artifact["customPath"] = str(pod / "minio" / place.relative_to(self.folder))
                artifact["uri"] = self._remote(place)
                Path(artifact["customPath"]).parent.mkdir(parents=True, exist_ok=True)
        outputs["outputFile"] = str(Path(artifact["customPath"]).parent / ANSWER)
        (pod / "tmp").mkdir(parents=True, exist_ok=True)
        return call

    def _launcher_uploads(self, prepared: dict[str, Any], call: dict[str, Any], step: str, pod: Path) -> None:
        text = Path(prepared["outputs"]["outputFile"]).read_text(encoding="utf-8")
        # The launcher's parser rejects unknown fields.
        answer = json_format.Parse(text, pipeline_spec_pb2.ExecutorOutput())
        assert "null" not in json.dumps(json.loads(text)), text
        assert str(pod) not in text, "a path of the container would reach the metadata store"
        for key, entry in answer.artifacts.items():
            declared = prepared["outputs"]["artifacts"][key]["artifacts"][0]
            assert [artifact.uri for artifact in entry.artifacts] == [declared["uri"]], text
            # The launcher keeps the driver's URI; the orchestrator of the SDK needs the local path.
            entry.artifacts[0].uri = call["outputs"]["artifacts"][key]["artifacts"][0]["uri"]
        for key, entry in prepared["outputs"]["artifacts"].items():
            if key in answer.artifacts:
                copy_files(Path(entry["artifacts"][0]["customPath"]), Path(answer.artifacts[key].artifacts[0].uri))
        kept = Path(call["outputs"]["outputFile"])
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json_format.MessageToJson(answer), encoding="utf-8")
        shutil.rmtree(pod)

    def _remote(self, path: Path) -> str:
        return f"{BUCKET}/{path.relative_to(self.folder)}"


def copy_files(source: Path, target: Path) -> None:
    """Copies like an object store: only files, no empty folders."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for folder, _, names in os.walk(source):
        for name in names:
            copy_files(Path(folder) / name, target / Path(folder).relative_to(source) / name)

"""A Kubeflow without Kubernetes: the orchestrator of Kubeflow's own SDK runs a compiled pipeline, step by step.

What surrounds a step's container on a cluster is imitated here, as kubeflow/pipelines' backend has it: the driver's
call (types stripped from inputs, an output of its own for the log), the launcher (downloads inputs, uploads outputs,
files only; a fresh file system for each attempt; refuses unknown fields and nulls in the answer) and Argo (tries again
as the task's retry policy says).
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp import components, local
from kfp.local import status, subprocess_task_handler
from kfp.pipeline_spec import pipeline_spec_pb2

BUCKET = "minio://mlpipeline"
ANSWER = "output_metadata.json"
# How a step's command is run: (command, environment, attempt's folder, step) -> exit code and log.
RunContainer = Callable[[list[str], Path, str], tuple[int, str]]


@dataclass
class Attempt:
    """One try at a step."""

    step: str
    code: int
    log: str


@dataclass
class Cluster:
    """Runs a compiled pipeline. After `run`, `attempts` has what was tried, `cached` what was taken from the cache, and
    `store` what was uploaded, a folder for each step and output.

    Attributes:
        package: the compiled YAML file.
        folder: scratch.
        run_container: runs one attempt; by default as a process of this machine.
        before: called with step and attempt (from 0); what it returns, if anything, runs the attempt instead.
        cache: what the server's cache knows, by its key; none where it knows nothing yet. Runs that share one share the
            folder.
    """

    package: Path
    folder: Path
    run_container: RunContainer | None = None
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
        """What the step said of its output."""
        answer = json.loads((self.store / step / "executor_output.json").read_text(encoding="utf-8"))
        return answer["artifacts"][key]["artifacts"][0]["metadata"]

    def log(self, step: str) -> str:
        """The log of the step's last attempt."""
        return next(attempt.log for attempt in reversed(self.attempts) if attempt.step == step)

    def run(self) -> bool:
        """Runs every step in order; False where one failed for good."""
        cluster = self

        class Pod:
            """What kfp.local makes for each task: takes its command, `run` gives the status."""

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
        """The one image of all steps."""
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
            run = self.before(step, attempt) or self.run_container or run_process
            code, log = run(here, pod, step)
            self.attempts.append(Attempt(step, code, log))
            if code == 0:
                self._launcher_uploads(prepared, call, step, pod)
                self.cache[key] = kept
                return status.Status.SUCCESS
        return status.Status.FAILURE

    def _driver(self, call: dict[str, Any], pod: Path, step: str, attempt: int) -> dict[str, Any]:
        """The call as driver and launcher make it; downloads the inputs."""
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
        # The launcher's parser refuses fields it does not know.
        answer = json_format.Parse(text, pipeline_spec_pb2.ExecutorOutput())
        assert "null" not in json.dumps(json.loads(text)), text
        assert str(pod) not in text, "a path of the container in what goes to the metadata store"
        for key, entry in answer.artifacts.items():
            declared = prepared["outputs"]["artifacts"][key]["artifacts"][0]
            assert [artifact.uri for artifact in entry.artifacts] == [declared["uri"]], text
            # Merged over what the driver knew, as the launcher does; the orchestrator goes on with local paths.
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
    """As an object store copies: files only, empty folders vanish."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for folder, _, names in os.walk(source):
        for name in names:
            copy_files(Path(folder) / name, target / Path(folder).relative_to(source) / name)


def run_process(command: list[str], pod: Path, step: str, python: str = sys.executable) -> tuple[int, str]:
    """The command as a process, with nothing of this one's environment but what it needs to start."""
    with open(pod / "log", "w+", encoding="utf-8") as log:
        done = subprocess.run(
            [python if part == "python" else part for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=pod,
            env={"PATH": os.environ["PATH"], "HOME": str(pod / "tmp"), "TMPDIR": str(pod / "tmp")},
            timeout=1800,
        )
        log.seek(0)
        return done.returncode, log.read()

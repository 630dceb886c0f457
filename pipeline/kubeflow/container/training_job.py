"""A training step with several workers: its own container starts a TFJob, waits for it, and removes it.

The workers' pods have no launcher of Kubeflow Pipelines that downloads their inputs. So this container copies the
step's inputs to a folder on the volume that all pods mount, and takes the outputs of worker 0 from there.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from restem.errors import RestemError

TRAINING_JOB = "RESTEM_TRAINING_JOB"
MODULE = "restem.pipeline.kubeflow.container.worker"
CALL_FILE, ANSWER_FILE = "call.json", "answer.json"
GROUP, VERSION, PLURAL = "kubeflow.org", "v1", "tfjobs"
CONTAINER = "tensorflow"
JOB_LABEL = "training.kubeflow.org/job-name"
INDEX_LABEL = "training.kubeflow.org/replica-index"
NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
POLL_SECONDS = 5.0
LOST_POLLS = 60  # so many failed requests in a row end the step
LAST_LINES = 15

Wait = Callable[[float], None]


def run_training_job(
    plan: dict[str, Any], call: dict[str, Any], arguments: list[str], api: Any = None, wait: Wait = time.sleep
) -> None:
    """Runs a step on several workers: afterwards its outputs are where its call expects them.

    Args:
        plan: `folder`, `retries` and `job`, as the compiler wrote them.
        call: the repaired ExecutorInput, with local paths.
        arguments: the entrypoint's other arguments.
        api: Kubernetes's client; None: the one of the cluster in which this runs.
        wait: sleeps so many seconds.

    Raises:
        RestemError: the job cannot be created, or failed.
        SystemExit: with 143, after the job was removed: this process was asked to stop (SIGTERM).
    """
    # The same for each attempt of a step: a retry finds the job of the attempt before it.
    digest = hashlib.sha256(json.dumps([call, plan], sort_keys=True).encode()).hexdigest()
    name = f"restem-{digest[:20]}"
    folder = Path(plan["folder"]) / name
    share(call, arguments, folder)
    job = TrainingJob(name, plan["job"], folder, plan["retries"], api or _client(), wait)
    with _until_asked_to_stop():
        try:
            job.start()
            job.follow()
        finally:
            job.delete()
    take(call, folder)


def share(call: dict[str, Any], arguments: list[str], folder: Path) -> None:
    """Copies a step's inputs to the folder, and writes the call with the paths there, unless an attempt before did."""
    if (folder / CALL_FILE).exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "outputs").mkdir(parents=True)
    shared = json.loads(json.dumps(call))
    for key, entry in shared.get("inputs", {}).get("artifacts", {}).items():
        for i, artifact in enumerate(entry["artifacts"]):
            copied = folder / "inputs" / key / str(i)
            shutil.copytree(artifact["uri"], copied)
            artifact["uri"] = str(copied)
    for key, entry in shared["outputs"].get("artifacts", {}).items():
        for artifact in entry["artifacts"]:
            artifact["uri"] = str(folder / "outputs" / key)
    shared["outputs"]["outputFile"] = str(folder / ANSWER_FILE)
    unfinished = folder / f"{CALL_FILE}.unfinished"
    unfinished.write_text(json.dumps({"call": shared, "arguments": arguments}), encoding="utf-8")
    unfinished.replace(folder / CALL_FILE)


def take(call: dict[str, Any], folder: Path) -> None:
    """Copies the outputs and the answer of worker 0 to where the call expects them, and removes the folder."""
    answer = (folder / ANSWER_FILE).read_text(encoding="utf-8")
    for key, entry in call["outputs"].get("artifacts", {}).items():
        for artifact in entry["artifacts"]:
            place = folder / "outputs" / key
            if place.is_dir():
                shutil.copytree(place, artifact["uri"], dirs_exist_ok=True)
            answer = answer.replace(json.dumps(str(place))[1:-1], json.dumps(artifact["uri"])[1:-1])
    Path(call["outputs"]["outputFile"]).write_text(answer, encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)


class TrainingJob:
    """A TFJob on the cluster."""

    def __init__(self, name: str, manifest: dict[str, Any], folder: Path, retries: int, api: Any, wait: Wait) -> None:
        from kubernetes import client

        self.name, self.namespace = name, _namespace()
        self._manifest = manifest_for(manifest, name, folder)
        self._retries, self._wait = retries, wait
        self._jobs, self._pods = client.CustomObjectsApi(api), client.CoreV1Api(api)
        self._shown = ""  # the time of the last line of the log that was shown
        self._asked = time.monotonic()
        self._starts: dict[str, set[str]] = {}

    def start(self) -> None:
        """Creates the job, or takes over the one that an earlier attempt of the step started."""
        from kubernetes.client.exceptions import ApiException

        while True:
            try:
                self._jobs.create_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, self._manifest)
                _say(f"the TFJob {self.name} was created in the namespace {self.namespace}")
                return
            except ApiException as error:
                if error.status != 409:
                    raise self._refused(error) from None
            found = self._get()
            if found is None:
                continue
            if not found["metadata"].get("deletionTimestamp") and _condition(found, "Failed") is None:
                _say(f"the TFJob {self.name} is there already, from an earlier attempt: it is followed")
                return
            self.delete()
            self._wait(POLL_SECONDS)

    def follow(self) -> None:
        """Waits for the job's end, and shows the log of worker 0.

        Raises:
            RestemError: the job failed, is gone, or its workers were started too often.
        """
        failures = 0
        while True:
            try:
                found = self._get()
                if found is None:
                    raise self._failed("it was deleted")
                self._show_log()
                self._count_starts()
                failures = 0
            except RestemError:
                raise
            except Exception as error:  # the server or the network: for a while
                failures += 1
                if failures > LOST_POLLS:
                    raise self._failed(f"the cluster's API does not answer: {error}") from None
                self._wait(POLL_SECONDS)
                continue
            if _condition(found, "Succeeded") is not None:
                return
            if (failed := _condition(found, "Failed")) is not None:
                raise self._failed(failed.get("message") or failed.get("reason") or "without a message")
            self._wait(POLL_SECONDS)

    def delete(self) -> None:
        """Removes the job and its pods; one that is gone already is fine."""
        from kubernetes.client.exceptions import ApiException

        try:
            self._jobs.delete_namespaced_custom_object(
                GROUP, VERSION, self.namespace, PLURAL, self.name, propagation_policy="Background"
            )
        except ApiException as error:
            if error.status != 404:
                _say(f"the TFJob {self.name} could not be deleted: {error.reason}")
        except Exception as error:  # it must not hide why the step ends
            _say(f"the TFJob {self.name} could not be deleted: {error}")

    def _get(self) -> dict[str, Any] | None:
        from kubernetes.client.exceptions import ApiException

        try:
            return self._jobs.get_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, self.name)
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def _list_pods(self) -> list[Any]:
        return self._pods.list_namespaced_pod(self.namespace, label_selector=f"{JOB_LABEL}={self.name}").items

    def _show_log(self) -> None:
        """Shows what worker 0 wrote since the last call."""
        from kubernetes.client.exceptions import ApiException

        since, now = time.monotonic() - self._asked, time.monotonic()
        more = {"since_seconds": int(since) + 30} if self._shown else {}
        try:
            text = self._pods.read_namespaced_pod_log(
                f"{self.name}-worker-0", self.namespace, container=CONTAINER, timestamps=True, **more
            )
        except ApiException:  # the pod has not started, or is being replaced
            return
        self._asked = now
        for line in text.splitlines():
            stamp, _, message = line.partition(" ")
            stamp = stamp.rstrip("Z").ljust(29, "0")
            if stamp > self._shown:
                self._shown = stamp
                print(message, file=sys.stderr, flush=True)

    def _count_starts(self) -> None:
        """Refuses workers that end again and again, such as those that need more memory than they have."""
        for pod in self._list_pods():
            starts = self._starts.setdefault(pod.metadata.labels.get(INDEX_LABEL, ""), set())
            starts.add(pod.metadata.uid)
            if len(starts) > self._retries + 1:
                raise self._failed(f"worker {pod.metadata.labels.get(INDEX_LABEL)} was started {len(starts)} times")

    def _failed(self, why: str) -> RestemError:
        """The error, with the end of the log of a worker that ended with an error."""
        end = ""
        try:
            ended = next(((pod.metadata.name, code) for pod in self._list_pods() if (code := _exit_code(pod))), None)
            if ended:
                end = "; {} ended with code {}".format(*ended)
                log = self._pods.read_namespaced_pod_log(
                    ended[0], self.namespace, container=CONTAINER, tail_lines=LAST_LINES
                )
                end += f", and the end of its log is: {log.strip()}"
        except Exception as error:  # the log is only an addition
            end += f"; its log is not available ({getattr(error, 'reason', None) or type(error).__name__})"
        return RestemError("the training on several workers failed", where=f"TFJob {self.name}", given=f"{why}{end}")

    def _refused(self, error: Any) -> RestemError:
        remedy = {
            403: "Give the steps' service account the role in pipeline/kubeflow/README.md",
            404: "Install Kubeflow's training operator (TFJob, kubeflow.org/v1), or set train.workers: 1",
        }.get(error.status)
        try:
            said = json.loads(error.body)["message"]
        except (TypeError, ValueError, KeyError):
            said = str(error.reason)
        return RestemError(
            "the job for the workers cannot be created",
            where=f"TFJob {self.name} in the namespace {self.namespace}",
            given=f"{error.status}: {said}",
            remedy=remedy,
        )


def manifest_for(job: dict[str, Any], name: str, folder: Path) -> dict[str, Any]:
    """The compiled job with its name and the workers' command."""
    manifest = json.loads(json.dumps(job))
    manifest["metadata"] = {"name": name, "labels": {"app.kubernetes.io/managed-by": "restem"}}
    (container,) = manifest["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    container["command"] = ["python", "-m", MODULE, str(folder)]
    return manifest


def _exit_code(pod: Any) -> int:
    """With which code a pod's container ended; 0 also if it is running."""
    states = [status.state for status in pod.status.container_statuses or []]
    return next((state.terminated.exit_code for state in states if state and state.terminated), 0)


def _condition(job: dict[str, Any], kind: str) -> dict[str, Any] | None:
    conditions = job.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind and each["status"] == "True"), None)


@contextmanager
def _until_asked_to_stop() -> Iterator[None]:
    """SIGTERM ends the body like an error, so that the job is removed."""

    def stop(_signum: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _client() -> Any:
    from kubernetes import client, config

    try:
        config.load_incluster_config()
    except config.ConfigException as error:
        given = str(error)
        raise RestemError("the cluster's API cannot be reached from here", where=TRAINING_JOB, given=given) from None
    return client.ApiClient()


def _namespace() -> str:
    return NAMESPACE.read_text(encoding="utf-8").strip() if NAMESPACE.is_file() else os.environ.get("POD_NAMESPACE", "")


def _say(message: str) -> None:
    print(f"restem.workers: {message}", file=sys.stderr, flush=True)

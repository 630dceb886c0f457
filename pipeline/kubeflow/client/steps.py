"""The steps of a run, derived from the nodes that the server reports.

A run's `task_details` are the nodes of the Argo workflow that Kubeflow makes of the pipeline (see
kubeflow/pipelines, backend/src/v2/compiler/argocompiler): for a step `trainer` the pod `trainer-driver`, which checks
the cache, then `trainer`, a graph with the single node `executor`; where the step has retries, `executor` has a pod for
each attempt, `executor(0)`, `executor(1)`, ... The server reports neither a node's ID nor its pod's name, only the IDs
of its children. Argo computes both from the node's path; so does this module, to find the children.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from restem.pipeline.kubeflow.client.runs import moment

DRIVER = "-driver"
ROOT = "root"
EXECUTOR = "executor"
MOST_ATTEMPTS = 101
# Argo's templates for the pods of a step without and with retries, and of its driver.
CONTAINER, CONTAINER_WITH_RETRIES, CONTAINER_DRIVER = (
    "system-container-impl",
    "retry-system-container-impl",
    "system-container-driver",
)
STATES = {
    "PENDING": "running",
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "SKIPPED": "skipped",
    "CANCELING": "canceled",
    "CANCELED": "canceled",
}


@dataclass
class Step:
    """One step of a run.

    Attributes:
        name: the task's.
        state: "waiting", "running", "succeeded", "cached", "skipped", "failed" or "canceled".
        started, finished: in UTC, or None.
        attempts: how many pods were started for it; 0 where it has no retries, or none was started.
        error: what the server says about a failure, which is little; or None.
        pods: the names that the last pod may have, the most likely first.
    """

    name: str
    state: str
    started: datetime | None = None
    finished: datetime | None = None
    attempts: int = 0
    error: str | None = None
    pods: tuple[str, ...] = field(default=(), repr=False)

    def seconds(self, now: datetime) -> float | None:
        """How long it has taken so far, or took in all."""
        return ((self.finished or now) - self.started).total_seconds() if self.started else None

    def to_dict(self, now: datetime) -> dict[str, Any]:
        """For JSON."""
        plain = asdict(self)
        del plain["pods"]
        times = {key: plain[key] and plain[key].isoformat() for key in ("started", "finished")}
        return {**plain, **times, "seconds": self.seconds(now)}


def steps_of(run: Any) -> list[Step]:
    """The steps that have begun, in the order of their beginnings.

    Args:
        run: the server's V2beta1Run.
    """
    details = (run.run_details and run.run_details.task_details) or []
    tasks: dict[str, Any] = {}
    for detail in sorted(details, key=lambda detail: (_time(detail.start_time), detail.task_id or "")):
        tasks[detail.display_name or ""] = detail
    names = [name.removesuffix(DRIVER) for name in tasks if name.endswith(DRIVER)]
    nodes = _Nodes(details)
    return [_step(name, tasks, details, nodes) for name in names if name != ROOT]


def first_failed(steps: Iterable[Step]) -> Step | None:
    """The step that failed first."""
    failed = [step for step in steps if step.state == "failed"]
    return min(failed, key=lambda step: _time(step.finished), default=None)


def fnv1a(text: str) -> int:
    """The hash in Argo's names of nodes and pods: FNV-1a with 32 bits (Go's fnv.New32a)."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) % (1 << 32)
    return value


class _Nodes:
    """The names that Argo gives to nodes, and which of them the server reports."""

    def __init__(self, details: Iterable[Any]) -> None:
        self.reported = {child.pod_name for detail in details for child in detail.child_tasks or () if child.pod_name}
        self.workflow = next((name.rsplit("-", 1)[0] for name in sorted(self.reported)), None)

    def attempts(self, step: str) -> int:
        """How many pods a step with retries has had."""
        if self.workflow is None:
            return 0
        return sum(self._id(f"{step}.{EXECUTOR}({i})") in self.reported for i in range(MOST_ATTEMPTS))

    def pods(self, step: str, attempts: int, *, driver: bool) -> tuple[str, ...]:
        """The names that the pod may have: Argo's since version 3.3, and its former one."""
        if self.workflow is None:
            return ()
        if driver:
            path, template = f"{step}{DRIVER}", CONTAINER_DRIVER
        elif attempts:
            path, template = f"{step}.{EXECUTOR}({attempts - 1})", CONTAINER_WITH_RETRIES
        else:
            path, template = f"{step}.{EXECUTOR}", CONTAINER
        return f"{self.workflow}-{template}-{self._hash(path)}", self._id(path)

    def _id(self, path: str) -> str:
        return f"{self.workflow}-{self._hash(path)}"

    def _hash(self, path: str) -> int:
        return fnv1a(f"{self.workflow}.{ROOT}.{path}")


def _step(name: str, tasks: dict[str, Any], details: Iterable[Any], nodes: _Nodes) -> Step:
    driver, task = tasks[f"{name}{DRIVER}"], tasks.get(name)
    attempts = nodes.attempts(name)
    driver_failed = driver.state == "FAILED" and not attempts
    last = driver if task is None or driver_failed else task
    state = STATES.get(last.state, "waiting")
    if last is driver and state == "succeeded":
        state = "running"  # the driver has ended, the step is about to begin
    if last is task and state == "succeeded" and _from_cache(task, details):
        state = "cached"
    ended = state not in ("running", "waiting")
    return Step(
        name=name,
        state=state,
        started=moment(driver.start_time),
        finished=moment(last.end_time) if ended else None,
        attempts=attempts,
        error=_error(last) if state == "failed" else None,
        pods=nodes.pods(name, attempts, driver=driver_failed) if state == "failed" else (),
    )


def _from_cache(task: Any, details: Iterable[Any]) -> bool:
    """Whether the step's executor was skipped: it is the one that begins and ends with the step."""
    executors = [detail for detail in details if detail.display_name == EXECUTOR]
    executors.sort(key=lambda one: _apart(one.start_time, task.start_time) + _apart(one.end_time, task.end_time))
    return bool(executors) and executors[0].state == "SKIPPED"


def _error(detail: Any) -> str | None:
    errors = [detail.error, *(status.error for status in reversed(detail.state_history or ()))]
    return next((error.message for error in errors if error and error.message), None)


def _apart(one: datetime | None, other: datetime | None) -> timedelta:
    return abs(one - other) if one and other else timedelta.max / 4


def _time(value: datetime | None) -> float:
    return value.timestamp() if value else float("inf")

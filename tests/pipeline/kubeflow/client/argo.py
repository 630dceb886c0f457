"""A run's nodes as the server tells of them: those of the Argo workflow that Kubeflow makes of a pipeline.

Written after kubeflow/pipelines, backend/src/v2/compiler/argocompiler (which nodes there are), backend/src/common/util
(what of a node is told) and Argo's own naming of nodes and pods.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

WORKFLOW = "digits-7xk2p"
START = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


def node_id(path: str) -> str:
    """Argo's ID of a node below the root graph, by FNV-1a."""
    value = 2166136261
    for byte in f"{WORKFLOW}.root{path}".encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return f"{WORKFLOW}-{value}"


def pod(path: str, template: str) -> str:
    """The name of that node's pod."""
    return f"{WORKFLOW}-{template}-{node_id(path).rsplit('-', 1)[1]}"


class Nodes:
    """Collects `task_details`. Times are seconds since the run began; None as an end: not yet."""

    def __init__(self) -> None:
        self.details: list[dict[str, Any]] = []
        self._add(WORKFLOW, "RUNNING", 0, None, [node_id("-driver")])
        self._add("root-driver", "SUCCEEDED", 0, 2, [node_id("")])
        self._add("root", "RUNNING", 2, None, [])

    def step(self, name: str, state: str, begin: float, end: float | None, executors: tuple[str, ...] = ()) -> "Nodes":
        """A step: its driver takes two seconds; `executors` are the states of its attempts where it has retries."""
        self._add(f"{name}-driver", "SUCCEEDED", begin, begin + 2, [node_id(f".{name}")])
        path = f".{name}.executor"
        self._add(name, state, begin + 2, end, [node_id(path)])
        children = [node_id(f"{path}({i})") for i in range(len(executors))]
        self._add("executor", state, begin + 2, end, children)
        for i, attempt in enumerate(executors):
            self._add(f"executor({i})", attempt, begin + 2 + i, end, [])
        return self

    def cached(self, name: str, begin: float) -> "Nodes":
        """A step that is taken from the cache: its executor is skipped at once."""
        self._add(f"{name}-driver", "SUCCEEDED", begin, begin + 2, [node_id(f".{name}")])
        self._add(name, "SUCCEEDED", begin + 2, begin + 2, [node_id(f".{name}.executor")])
        self._add("executor", "SKIPPED", begin + 2, begin + 2, [])
        return self

    def driver(self, name: str, state: str, begin: float, end: float | None) -> "Nodes":
        """A step of which there is a driver only."""
        self._add(f"{name}-driver", state, begin, end, [])
        return self

    def omitted(self, name: str, at: float) -> "Nodes":
        """A step that is not begun because one before it failed; Argo's phase has no state here."""
        self._add(f"{name}-driver", None, at, at, [])
        self._add(name, None, at, at, [])
        return self

    def _add(self, name: str, state: str | None, begin: float, end: float | None, children: list[str]) -> None:
        detail = {
            "run_id": "run",
            "task_id": f"task-{len(self.details)}",
            "display_name": name,
            "create_time": stamp(0),
            "start_time": stamp(begin),
            # What is not over has Go's zero, or the year 1 on newer servers.
            "end_time": "0001-01-01T00:00:00Z" if end is None else stamp(end),
            "state": state,
            "child_tasks": [{"pod_name": child} for child in children],
        }
        self.details.append({key: value for key, value in detail.items() if value})


def stamp(seconds: float) -> str:
    """A moment of the run, as the server writes it."""
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")

"""A Kubeflow Pipelines server on 127.0.0.1: what it stores, and how it answers.

It behaves as kubeflow/pipelines, backend/src/apiserver does (pages and their tokens, filters, names that exist already,
errors); each request is held against `contract`. Its clock stands still until a test moves it, and its controller
starts the runs that fall due meanwhile.
"""

import base64
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from restem.errors import RestemError
from restem.pipeline.kubeflow.client.cron import Cron
from tests.pipeline.kubeflow.client.controller import FINAL, due, looks

DEFAULT_PAGE, MOST = 20, 200
# The fields that each listing can be filtered and sorted by, and where the real server keeps them.
FIELDS = {
    "pipelines": ("pipeline_id", "display_name", "name", "created_at", "namespace"),
    "pipeline_versions": ("pipeline_version_id", "display_name", "name", "created_at"),
    "experiments": ("experiment_id", "display_name", "created_at", "namespace"),
    "runs": ("run_id", "display_name", "created_at", "scheduled_at", "state", "recurring_run_id", "experiment_id"),
    "recurring_runs": ("recurring_run_id", "display_name", "created_at"),
}
# gRPC's codes, and HTTP's statuses for them.
INVALID, NOT_FOUND, EXISTS, DENIED, INTERNAL = (3, 400), (5, 404), (6, 409), (7, 403), (13, 500)


class Refused(Exception):
    """An error, as grpc-gateway answers it."""

    def __init__(self, code: tuple[int, int], words: str) -> None:
        super().__init__(words)
        self.code, self.status = code
        self.words = words

    def body(self) -> str:
        details = [{"@type": "type.googleapis.com/google.rpc.Status", "code": self.code, "message": self.words}]
        return json.dumps({"code": self.code, "message": f"Failed: {self.words}", "details": details})


@dataclass
class Kubeflow:
    """Everything the server knows.

    Attributes:
        now: its clock.
        tag: its version, as the health operation tells it.
        multi_user: whether requests need a namespace.
        latency: how far its clock moves with each request.
        phase: when, within its 30 seconds, the controller of schedules looks.
        run_time: how long runs take; None where they end when a test says so.
        logs: by pod, what the API's server has of them.
        ui_logs: by pod, what the pages have.
        ids: what the next IDs end with.
    """

    now: datetime = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
    tag: str = "2.17.0"
    multi_user: bool = False
    latency: timedelta = timedelta(0)
    phase: timedelta = timedelta(seconds=7)
    run_time: timedelta | None = None
    pipelines: list[dict] = field(default_factory=list)
    pipeline_versions: list[dict] = field(default_factory=list)
    experiments: list[dict] = field(default_factory=list)
    runs: list[dict] = field(default_factory=list)
    recurring_runs: list[dict] = field(default_factory=list)
    packages: dict[str, str] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    ui_logs: dict[str, str] = field(default_factory=dict)
    ids: Iterator[str] = field(default_factory=lambda: (f"{i:04d}" for i in itertools.count(1)))

    def advance(self, seconds: float) -> None:
        """Moves the clock; runs that fall due are started."""
        until = self.now + timedelta(seconds=seconds)
        for at in looks(self.now, until, self.phase):
            self.now = at
            for run in self.runs if self.run_time is not None else ():
                if run["state"] == "PENDING" and at >= datetime.fromisoformat(run["created_at"]) + self.run_time:
                    self.finish(run)
            for one in self.recurring_runs:
                self._look_at(one)
        self.now = until

    def finish(self, run: dict, state: str = "SUCCEEDED") -> None:
        """Ends a run."""
        run |= {"state": state, "finished_at": self._stamp()}

    # --- the operations: path parameters, query, body -> answer ---------------------------------------------------

    def health(self, path: dict, query: dict, body: Any) -> dict:
        return {"commit_sha": "7b70c7b", "tag_name": self.tag, "multi_user": self.multi_user}

    def list_pipelines(self, path: dict, query: dict, body: Any) -> dict:
        return self._list("pipelines", self._mine(self.pipelines, query), query)

    def create_pipeline(self, path: dict, query: dict, body: dict) -> dict:
        name = body.get("name") or body.get("display_name")
        if not name:
            raise Refused(INVALID, "pipeline's name cannot be empty")
        namespace = self._namespace(body)
        if any(one["name"] == name and one.get("namespace", "") == namespace for one in self.pipelines):
            raise Refused(EXISTS, f"The name {name} already exist. Please specify a new name.")
        made = {"pipeline_id": self._id("pipeline"), "name": name, "display_name": body.get("display_name") or name}
        return self._add(self.pipelines, {**made, **({"namespace": namespace} if namespace else {})})

    def list_versions(self, path: dict, query: dict, body: Any) -> dict:
        self._find(self.pipelines, "pipeline_id", path["pipeline_id"], "Pipeline")
        own = [one for one in self.pipeline_versions if one["pipeline_id"] == path["pipeline_id"]]
        return self._list("pipeline_versions", own, query)

    def upload_version(self, path: dict, query: dict, body: tuple[str, bytes]) -> dict:
        filename, package = body
        if not filename.endswith((".yaml", ".yml")) or not query.get("pipelineid"):
            raise Refused(INVALID, "Failed to create a pipeline version")
        self._find(self.pipelines, "pipeline_id", query["pipelineid"], "Pipeline")
        spec = next(iter(yaml.safe_load_all(package)))
        if "pipelineInfo" not in spec:
            raise Refused(INVALID, "unknown template format")
        name = query.get("name") or filename
        if any((one["pipeline_id"], one["name"]) == (query["pipelineid"], name) for one in self.pipeline_versions):
            raise Refused(EXISTS, "Failed to create a pipeline version")
        made = {"pipeline_version_id": self._id("version"), "pipeline_id": query["pipelineid"], "name": name}
        self.packages[made["pipeline_version_id"]] = package.decode()
        return self._add(self.pipeline_versions, {**made, "display_name": name})

    def list_experiments(self, path: dict, query: dict, body: Any) -> dict:
        return self._list("experiments", self._mine(self.experiments, query), query)

    def create_experiment(self, path: dict, query: dict, body: dict) -> dict:
        namespace = self._namespace(body)
        if any(
            (one["display_name"], one.get("namespace", "")) == (body["display_name"], namespace)
            for one in self.experiments
        ):
            raise Refused(EXISTS, f"Experiment {body['display_name']} already exists")
        made = {"experiment_id": self._id("experiment"), "display_name": body["display_name"]}
        return self._add(self.experiments, {**made, **({"namespace": namespace} if namespace else {})})

    def list_runs(self, path: dict, query: dict, body: Any) -> dict:
        return self._list("runs", self._mine(self.runs, query), query)

    def create_run(self, path: dict, query: dict, body: dict) -> dict:
        if not body.get("display_name"):
            raise Refused(INVALID, "The run name is empty. Please specify a valid name")
        experiment = self._find(self.experiments, "experiment_id", body.get("experiment_id"), "Experiment")
        self._check_version(body)
        return self._add_run({**body, "namespace": experiment.get("namespace", "")}, scheduled=self._stamp())

    def get_run(self, path: dict, query: dict, body: Any) -> dict:
        return self._find(self.runs, "run_id", path["run_id"], "Run")

    def list_recurring_runs(self, path: dict, query: dict, body: Any) -> dict:
        return self._list("recurring_runs", self._mine(self.recurring_runs, query), query)

    def create_recurring_run(self, path: dict, query: dict, body: dict) -> dict:
        if not body.get("display_name"):
            raise Refused(INTERNAL, "Recurring run's name cannot be empty")
        if not 1 <= int(body.get("max_concurrency", 0)) <= 10:
            raise Refused(INVALID, "Max concurrency of a recurring run must be at least 1 and at most 10.")
        try:
            Cron(body["trigger"]["cron_schedule"]["cron"])
        except RestemError as error:
            raise Refused(INVALID, f"Schedule cron is not a supported format. Error: {error}") from None
        experiment = self._find(self.experiments, "experiment_id", body.get("experiment_id"), "Experiment")
        self._check_version(body)
        mode = body.get("mode") if body.get("mode") == "ENABLE" else "DISABLE"
        made = {
            **body,
            "recurring_run_id": self._id("recurring"),
            "namespace": experiment.get("namespace", ""),
            "service_account": body.get("service_account") or "pipeline-runner",
            "mode": mode,
            "status": f"{mode}D",
            "updated_at": self._stamp(),
        }
        made = self._add(self.recurring_runs, made)
        self._look_at(made)
        return made

    def delete_recurring_run(self, path: dict, query: dict, body: Any) -> dict:
        one = self._find(self.recurring_runs, "recurring_run_id", path["recurring_run_id"], "recurring run")
        knows = tuple(map(int, self.tag.split("."))) >= (2, 16, 0)
        if not (knows and query.get("propagation_policy") == "ORPHAN"):
            # Kubernetes deletes what belongs to a deleted object: the workflows of the runs in progress.
            for run in self.runs:
                if run.get("recurring_run_id") == one["recurring_run_id"] and run["state"] not in FINAL:
                    self.finish(run, "FAILED")
        self.recurring_runs.remove(one)
        return {}

    def enable_recurring_run(self, path: dict, query: dict, body: Any) -> dict:
        return self._switch(path, "ENABLE")

    def disable_recurring_run(self, path: dict, query: dict, body: Any) -> dict:
        return self._switch(path, "DISABLE")

    def api_log(self, path: dict, query: dict, body: Any) -> str:
        found = self.logs.get(path["node_id"])
        if found is None:
            # The real one has sent its 200 already when it looks for the log.
            words = f"Failed to read logs for run {path['run_id']}"
            return json.dumps({"error_message": words, "error_details": f"{words}: pods {path['node_id']} not found"})
        return found

    def ui_log(self, path: dict, query: dict, body: Any) -> str:
        if query["podname"] not in self.ui_logs:
            raise Refused(INTERNAL, "Could not get main container logs: pod not found")
        return self.ui_logs[query["podname"]]

    # --- what they share --------------------------------------------------------------------------------------------

    def _switch(self, path: dict, mode: str) -> dict:
        one = self._find(self.recurring_runs, "recurring_run_id", path["recurring_run_id"], "recurring run")
        one |= {"mode": mode, "status": f"{mode}D"}
        self._look_at(one)
        return {}

    def _look_at(self, one: dict) -> None:
        """What the controller does each 30 seconds, and whenever a recurring run was made or changed."""
        tick = due(one, self.runs, self.now)
        if tick is not None:
            self._start_scheduled(one, tick)

    def _start_scheduled(self, one: dict, tick: datetime) -> None:
        count = sum(run.get("recurring_run_id") == one["recurring_run_id"] for run in self.runs)
        kept = ("experiment_id", "pipeline_version_reference", "runtime_config", "recurring_run_id", "namespace")
        run = {key: one[key] for key in kept if key in one}
        self._add_run({**run, "display_name": f"{one['display_name']}-{count + 1}"}, scheduled=_stamp(tick))

    def _add_run(self, run: dict, scheduled: str) -> dict:
        made = {**run, "run_id": self._id("run"), "state": "PENDING", "scheduled_at": scheduled}
        # Go's zero of a time that has not come.
        return self._add(self.runs, {**made, "finished_at": "1970-01-01T00:00:00Z"})

    def _add(self, items: list[dict], item: dict) -> dict:
        items.append({**item, "created_at": self._stamp()})
        return items[-1]

    def _find(self, items: list[dict], key: str, value: Any, what: str) -> dict:
        for item in items:
            if item[key] == value:
                return item
        raise Refused(NOT_FOUND, f"{what} {value} not found")

    def _check_version(self, body: dict) -> None:
        reference = body.get("pipeline_version_reference", {})
        if not reference.get("pipeline_id") or not reference.get("pipeline_version_id"):
            raise Refused(INVALID, "a pipeline and one of its versions must be named")
        self._find(self.pipeline_versions, "pipeline_version_id", reference["pipeline_version_id"], "PipelineVersion")

    def _mine(self, items: list[dict], query: dict) -> list[dict]:
        """Those of the namespace; a server with one user ignores namespaces."""
        namespace = self._namespace(query)
        return [item for item in items if item.get("namespace", "") == namespace]

    def _namespace(self, body: dict) -> str:
        if not self.multi_user:
            return ""
        if not body.get("namespace"):
            raise Refused(INVALID, "Namespace cannot be empty in multi-user mode")
        if body["namespace"] == "theirs":
            raise Refused(DENIED, "User 'ada' is not authorized with reason: this namespace is not hers")
        return body["namespace"]

    def _list(self, name: str, items: list[dict], query: dict) -> dict:
        size = min(int(query.get("page_size") or DEFAULT_PAGE), MOST)
        asked = (query.get("sort_by", ""), query.get("filter", ""))
        start = 0
        if query.get("page_token"):
            start, *before = json.loads(base64.b64decode(query["page_token"]))
            if any(asked) and tuple(before) != asked:
                raise Refused(INVALID, "page token does not match the supplied sort by and/or filtering criteria.")
            asked = tuple(before)
        items = self._sorted(name, self._filtered(name, items, asked[1]), asked[0])
        # The definition's one exception to snake_case.
        listed = "recurringRuns" if name == "recurring_runs" else name
        page = {listed: items[start : start + size], "total_size": len(items)}
        if start + size < len(items):
            token = json.dumps([start + size, *asked]).encode()
            page["next_page_token"] = base64.b64encode(token).decode()
        return {key: value for key, value in page.items() if value}

    def _filtered(self, name: str, items: list[dict], text: str) -> list[dict]:
        for predicate in json.loads(text)["predicates"] if text else ():
            if predicate["key"] not in FIELDS[name]:
                raise Refused(INVALID, f"no such field: {predicate['key']}")
            items = [item for item in items if item.get(predicate["key"]) == predicate["string_value"]]
        return items

    def _sorted(self, name: str, items: list[dict], by: str) -> list[dict]:
        key, _, order = (by or "created_at").partition(" ")
        if key not in FIELDS[name] or order not in ("", "asc", "desc"):
            raise Refused(INVALID, f"Invalid sorting field: {key!r}")
        identifier = FIELDS[name][0]
        return sorted(items, key=lambda item: (item[key], item[identifier]), reverse=order == "desc")

    def _id(self, kind: str) -> str:
        return f"{kind}-{next(self.ids)}"

    def _stamp(self) -> str:
        return _stamp(self.now)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Kubeflow Pipelines' API, version v2beta1, as far as it is used: what a request may consist of.

The facts are from kubeflow/pipelines, backend/api/v2beta1/swagger (August 2026, after 2.17.0), which describes the
operations, and backend/src/apiserver/common/utils.go, by which unknown fields of a body are refused.
"""

import re
from dataclasses import dataclass

TEXT, WHOLE, BOOL = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
# int64 is text in JSON; numbers are taken too.
INT64 = {"anyOf": [{"type": "string", "pattern": r"^-?\d+$"}, WHOLE]}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"}
LISTING = {"page_token": TEXT, "page_size": WHOLE, "sort_by": TEXT, "filter": TEXT, "namespace": TEXT}


def message(**fields: dict) -> dict:
    """A schema of an object that has no other fields."""
    return {"type": "object", "properties": fields, "additionalProperties": False}


def one_of(*values: str) -> dict:
    """A schema of an enumeration."""
    return {"enum": list(values)}


REFERENCE = message(pipeline_id=TEXT, pipeline_version_id=TEXT)
RUNTIME_CONFIG = message(parameters={"type": "object"}, pipeline_root=TEXT)
TRIGGER = message(
    cron_schedule=message(start_time=TIME, end_time=TIME, cron=TEXT),
    periodic_schedule=message(start_time=TIME, end_time=TIME, interval_second=INT64),
)
PIPELINE = message(
    pipeline_id=TEXT, display_name=TEXT, name=TEXT, description=TEXT, created_at=TIME, namespace=TEXT, tags={}, error={}
)
EXPERIMENT = message(
    experiment_id=TEXT,
    display_name=TEXT,
    description=TEXT,
    created_at=TIME,
    namespace=TEXT,
    storage_state=one_of("STORAGE_STATE_UNSPECIFIED", "AVAILABLE", "ARCHIVED"),
    last_run_created_at=TIME,
)
RUN = message(
    experiment_id=TEXT,
    run_id=TEXT,
    display_name=TEXT,
    storage_state={},
    description=TEXT,
    pipeline_version_id=TEXT,
    pipeline_spec={"type": "object"},
    pipeline_version_reference=REFERENCE,
    runtime_config=RUNTIME_CONFIG,
    service_account=TEXT,
    created_at=TIME,
    scheduled_at=TIME,
    finished_at=TIME,
    state=TEXT,
    error={},
    run_details={},
    recurring_run_id=TEXT,
    state_history={},
    plugins_input={},
    plugins_output={},
)
RECURRING_RUN = message(
    recurring_run_id=TEXT,
    display_name=TEXT,
    description=TEXT,
    pipeline_version_id=TEXT,
    pipeline_spec={"type": "object"},
    pipeline_version_reference=REFERENCE,
    runtime_config=RUNTIME_CONFIG,
    service_account=TEXT,
    max_concurrency=INT64,
    trigger=TRIGGER,
    mode=one_of("MODE_UNSPECIFIED", "ENABLE", "DISABLE"),
    created_at=TIME,
    updated_at=TIME,
    status=TEXT,
    error={},
    no_catchup=BOOL,
    namespace=TEXT,
    experiment_id=TEXT,
    plugins_input={},
)
FILTER = message(
    predicates={
        "type": "array",
        "items": message(
            operation={"enum": ["EQUALS", "IN", "IS_SUBSTRING", 1, 8, 9]},
            key=TEXT,
            string_value=TEXT,
            string_values=message(values={"type": "array", "items": TEXT}),
        ),
    }
)


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        method, path: as in the definition; {names} are path parameters.
        query: the schema of each query parameter, by name.
        body: the schema of the body; None where there must be none; "file" for an upload as a form.
    """

    method: str
    path: str
    query: dict[str, dict]
    body: dict | str | None = None

    def matches(self, method: str, path: str) -> dict[str, str] | None:
        """The path parameters, where the request is for this operation."""
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/:]+)", self.path)
        found = re.fullmatch(pattern, path) if method == self.method else None
        return found.groupdict() if found else None


V2 = "/apis/v2beta1"
UPLOAD = {"name": TEXT, "display_name": TEXT, "description": TEXT, "tags": TEXT, "code_source_url": TEXT}
OPERATIONS = {
    "health": Operation("GET", f"{V2}/healthz", {}),
    "list_pipelines": Operation("GET", f"{V2}/pipelines", LISTING),
    "create_pipeline": Operation("POST", f"{V2}/pipelines", {}, PIPELINE),
    "list_versions": Operation(
        "GET", f"{V2}/pipelines/{{pipeline_id}}/versions", {k: v for k, v in LISTING.items() if k != "namespace"}
    ),
    "upload_version": Operation("POST", f"{V2}/pipelines/upload_version", {**UPLOAD, "pipelineid": TEXT}, "file"),
    "list_experiments": Operation("GET", f"{V2}/experiments", LISTING),
    "create_experiment": Operation("POST", f"{V2}/experiments", {}, EXPERIMENT),
    "list_runs": Operation("GET", f"{V2}/runs", {**LISTING, "experiment_id": TEXT}),
    "create_run": Operation("POST", f"{V2}/runs", {"experiment_id": TEXT}, RUN),
    "get_run": Operation("GET", f"{V2}/runs/{{run_id}}", {"experiment_id": TEXT}),
    "list_recurring_runs": Operation("GET", f"{V2}/recurringruns", {**LISTING, "experiment_id": TEXT}),
    "create_recurring_run": Operation("POST", f"{V2}/recurringruns", {}, RECURRING_RUN),
    "delete_recurring_run": Operation(
        "DELETE",
        f"{V2}/recurringruns/{{recurring_run_id}}",
        {"propagation_policy": one_of("DELETE_PROPAGATION_POLICY_UNSPECIFIED", "FOREGROUND", "BACKGROUND", "ORPHAN")},
    ),
    "enable_recurring_run": Operation("POST", f"{V2}/recurringruns/{{recurring_run_id}}:enable", {}),
    "disable_recurring_run": Operation("POST", f"{V2}/recurringruns/{{recurring_run_id}}:disable", {}),
    # Not in the definition: backend/src/apiserver/main.go, and frontend/server/app.ts for the pages' own.
    "api_log": Operation("GET", "/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log", {"follow": TEXT}),
    "ui_log": Operation("GET", "/k8s/pod/logs", {"podname": TEXT, "runid": TEXT, "podnamespace": TEXT}),
}
# The messages that answers consist of, where it matters.
ANSWERS = {"get_run": RUN, "create_run": RUN, "create_recurring_run": RECURRING_RUN}

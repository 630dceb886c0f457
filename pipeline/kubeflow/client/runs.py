"""Runs and their experiment on the server: starting one, finding the newest."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from restem.pipeline.config.kubeflow import KubeflowConfig
from restem.pipeline.kubeflow.client.server import Server, named
from restem.pipeline.kubeflow.client.upload import Version, find_pipeline, found_or_made

FINAL = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
LOOKED_AT = 500  # the newest runs of all pipelines, among which one pipeline's are searched


def start_run(server: Server, kubeflow: KubeflowConfig, name: str, version: Version) -> Any:
    """Starts a run of that version.

    Args:
        server: as reached.
        kubeflow: the section: experiment, service account, where artifacts go.
        name: the pipeline's.
        version: as uploaded.

    Returns:
        The server's V2beta1Run.
    """
    import kfp_server_api as api

    run = api.V2beta1Run(
        experiment_id=experiment_id(server, kubeflow.experiment),
        display_name=f"{name} {server.now():%Y-%m-%d %H:%M:%S}",
        pipeline_version_reference=reference(version),
        runtime_config=api.V2beta1RuntimeConfig(pipeline_root=kubeflow.pipeline_root),
        service_account=kubeflow.service_account,
    )
    return server.call(server.runs.run_service_create_run, run=run)


def reference(version: Version) -> Any:
    """The version as requests name it: both IDs are required."""
    import kfp_server_api as api

    return api.V2beta1PipelineVersionReference(pipeline_id=version.pipeline_id, pipeline_version_id=version.version_id)


def experiment_id(server: Server, name: str) -> str:
    """The ID of the experiment of that name, which is created where it is missing."""
    import kfp_server_api as api

    experiment = api.V2beta1Experiment(display_name=name, namespace=server.namespace or None)
    service = server.experiments
    listing, create = service.experiment_service_list_experiments, service.experiment_service_create_experiment
    found, _ = found_or_made(
        lambda: server.find(listing, "experiments", name, namespace=server.namespace),
        lambda: server.call(create, experiment=experiment),
    )
    return found.experiment_id


def get_run(server: Server, run_id: str) -> Any:
    """The run, its steps included."""
    return server.call(server.runs.run_service_get_run, run_id=run_id)


def newest_runs(server: Server, name: str, count: int) -> list[Any]:
    """The newest runs of the pipeline of that name, newest first; none where there is no such pipeline."""
    pipeline = find_pipeline(server, name)
    if pipeline is None:
        return []
    runs = islice(_runs(server), LOOKED_AT)
    return list(islice((run for run in runs if _pipeline_id(run) == pipeline.pipeline_id), count))


def runs_of_schedule(server: Server, recurring_run_id: str) -> Iterator[Any]:
    """The runs that a recurring run has started, newest first."""
    return _runs(server, filter=named(recurring_run_id, "recurring_run_id"))


def in_progress(server: Server, recurring_run_id: str) -> list[Any]:
    """The runs of a recurring run that have not ended."""
    # Only the newest can be: a recurring run has at most ten at a time.
    newest = islice(runs_of_schedule(server, recurring_run_id), 20)
    return [run for run in newest if run.state not in FINAL]


def moment(value: datetime | None) -> datetime | None:
    """A time from the server, in UTC; None for its zero, which means "not yet"."""
    if value is None or value.timestamp() <= 0:
        return None
    return value.astimezone(UTC)


def _runs(server: Server, **more: str) -> Iterator[Any]:
    listing = server.runs.run_service_list_runs
    return server.pages(listing, "runs", namespace=server.namespace, sort_by="created_at desc", **more)


def _pipeline_id(run: Any) -> str | None:
    return run.pipeline_version_reference.pipeline_id if run.pipeline_version_reference else None

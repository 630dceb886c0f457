"""The pipeline's schedule on the server: exactly one recurring run of the pipeline's name.

The API cannot change a recurring run: a new one is created, then the old ones are deleted. The server's controller
checks each recurring run every 30 seconds and starts what is due (kubeflow/pipelines,
backend/src/crd/controller/scheduledworkflow): a run that is due when its recurring run is deleted would be lost. So the
new one begins in the past, where the old one's last run was due. One run may start late.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import sleep as wait
from typing import Any

from restem.errors import RestemError
from restem.pipeline.config.kubeflow import KubeflowConfig, ScheduleConfig
from restem.pipeline.kubeflow.client.cron import Cron
from restem.pipeline.kubeflow.client.runs import experiment_id, in_progress, moment, reference, runs_of_schedule
from restem.pipeline.kubeflow.client.server import Server, named
from restem.pipeline.kubeflow.client.server_errors import ServerError
from restem.pipeline.kubeflow.client.upload import Version

Say = Callable[[str], None]
ON, OFF = "ENABLE", "DISABLE"
GONE = 404
# The first version that can delete a recurring run without the runs that it has started.
ORPHANS_SINCE = (2, 16)
# A run starts this much after it is due, at most: the controller's 30 seconds, its queue, the server's time, and as
# much again.
LATE = timedelta(seconds=90)


@dataclass
class Outcome:
    """The result of a command on a schedule.

    Attributes:
        action: "created", "replaced", "unchanged", "paused", "resumed", "deleted" or "none".
        recurring_run_id: of the recurring run that exists now, or None.
        deleted: IDs of those that were deleted.
        left: IDs of those that are disabled, and stay until the run that they started has ended.
    """

    action: str
    recurring_run_id: str | None = None
    deleted: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def schedule_of(kubeflow: KubeflowConfig) -> tuple[ScheduleConfig, Cron]:
    """The schedule that the configuration asks for.

    Raises:
        RestemError: there is none, or the server could not keep it.
    """
    if kubeflow.schedule is None:
        raise RestemError(
            "the configuration has no schedule",
            where="kubeflow.schedule",
            remedy="Add, for every day at 3:00: kubeflow: {schedule: {cron: '0 0 3 * * *'}}",
        )
    return kubeflow.schedule, Cron(kubeflow.schedule.cron, kubeflow.schedule.time_zone)


def recurring_runs(server: Server, name: str) -> list[Any]:
    """The recurring runs of the pipeline's name, oldest first."""
    listing = server.recurring_runs.recurring_run_service_list_recurring_runs
    found = server.pages(listing, "recurring_runs", namespace=server.namespace, filter=named(name))
    return sorted(found, key=lambda one: (one.created_at, one.recurring_run_id))


def schedule(server: Server, kubeflow: KubeflowConfig, name: str, version: Version, say: Say) -> Outcome:
    """Leaves exactly one recurring run, with these settings.

    Args:
        server: as reached.
        kubeflow: the section.
        name: the pipeline's, and the recurring run's.
        version: what it runs.
        say: called with what happens to runs in progress.

    Raises:
        RestemError: the configuration has no schedule, or one that the server could not keep.
        ServerError: the server refused. What ran before still runs.
    """
    wanted, _ = schedule_of(kubeflow)
    body = _body(kubeflow, wanted, name, version, experiment_id(server, kubeflow.experiment))
    existing = recurring_runs(server, name)
    alike = [one for one in existing if _same(one, body)]
    if alike:
        outcome = Outcome("unchanged", alike[-1].recurring_run_id)
    else:
        outcome, existing = _replace(server, name, body, existing, say)
    # An unchanged one may have others beside it, left by a call that was interrupted.
    for one in existing:
        if one.recurring_run_id != outcome.recurring_run_id:
            _remove(server, one, outcome, say)
    if alike and alike[-1].mode != body.mode:
        _switch(server, alike[-1].recurring_run_id, not wanted.paused)
        outcome.action = "paused" if wanted.paused else "resumed"
    return outcome


def pause(server: Server, name: str, on: bool) -> Outcome:
    """Disables the schedule (`on` False) or enables it again.

    Raises:
        RestemError: there is no schedule.
    """
    existing = recurring_runs(server, name)
    if not existing:
        raise ServerError(
            "there is no schedule",
            where=name,
            remedy=f"restem kubeflow schedule makes one; runs are listed by restem kubeflow status --name {name}",
        )
    newest = existing[-1]
    action = "resumed" if on else "paused"
    changed = [newest] if on else existing
    if all(one.mode == (ON if on else OFF) for one in changed):
        return Outcome("unchanged", newest.recurring_run_id)
    for one in changed:
        _switch(server, one.recurring_run_id, on)
    return Outcome(action, newest.recurring_run_id)


def unschedule(server: Server, name: str, say: Say) -> Outcome:
    """Removes the schedule. Runs that are in progress go on."""
    outcome = Outcome("deleted")
    for one in recurring_runs(server, name):
        _remove(server, one, outcome, say)
    return outcome if outcome.deleted or outcome.left else Outcome("none")


def _body(kubeflow: KubeflowConfig, wanted: ScheduleConfig, name: str, version: Version, experiment: str) -> Any:
    import kfp_server_api as api

    settings = {
        "cron": wanted.cron,
        "max_concurrency": wanted.max_concurrency,
        "catch_up": wanted.catch_up,
        "experiment": experiment,
        "service_account": kubeflow.service_account,
        "pipeline_root": kubeflow.pipeline_root,
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    return api.V2beta1RecurringRun(
        experiment_id=experiment,
        display_name=name,
        # The server fills in what was not requested (the service account). The digest shows what was requested.
        description=f"kept by restem kubeflow schedule, settings {digest}",
        mode=OFF if wanted.paused else ON,
        pipeline_version_reference=reference(version),
        runtime_config=api.V2beta1RuntimeConfig(pipeline_root=kubeflow.pipeline_root),
        service_account=kubeflow.service_account,
        max_concurrency=str(wanted.max_concurrency),
        no_catchup=not wanted.catch_up,
        trigger=api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=wanted.cron)),
    )


def _same(one: Any, body: Any) -> bool:
    """Whether a recurring run has the requested settings and version, enabled or not."""
    version = one.pipeline_version_reference
    wanted = body.pipeline_version_reference.pipeline_version_id
    return one.description == body.description and version is not None and version.pipeline_version_id == wanted


def _replace(server: Server, name: str, body: Any, existing: list[Any], say: Say) -> tuple[Outcome, list[Any]]:
    """Creates a recurring run.

    Returns:
        The newest one, which is to be kept, and all that are there now. Processes that do the same at once agree on
        which one is the newest.
    """
    if existing:
        # The server's times are whole seconds: the new one must look newer, to every process.
        wait(max(0.0, (existing[-1].created_at + timedelta(seconds=2) - server.now()).total_seconds()))
    enabled = [one for one in existing if one.mode == ON]
    if enabled and body.mode == ON:
        body.trigger.cron_schedule.start_time = _begin(server, enabled, catch_up=not body.no_catchup)
    created = _create(server, body)
    present = recurring_runs(server, name)
    kept = present[-1].recurring_run_id if present else None
    if kept != created.recurring_run_id:
        say("Another process created a newer schedule of this name, or removed it, at the same time: that one counts")
    return Outcome("replaced" if existing else "created", kept), present


def _create(server: Server, body: Any) -> Any:
    return server.call(server.recurring_runs.recurring_run_service_create_recurring_run, recurring_run=body)


def _begin(server: Server, enabled: list[Any], catch_up: bool) -> datetime:
    """The start time of a new schedule: the last run that an old one started; not long ago, unless it catches up."""
    newest = [next(runs_of_schedule(server, one.recurring_run_id), None) for one in enabled]
    started = [at for run in newest if run and (at := moment(run.scheduled_at))]
    if catch_up and started:
        return max(started)
    return max([server.now() - LATE, *started])


def _remove(server: Server, one: Any, outcome: Outcome, say: Say) -> None:
    """Deletes a recurring run, but not the runs that it has started, which Kubernetes regards as its parts."""
    identifier = one.recurring_run_id
    active = in_progress(server, identifier)
    if active and not (server.version and server.version >= ORPHANS_SINCE):
        _switch(server, identifier, on=False)
        outcome.left.append(identifier)
        say(
            f"Run {active[0].run_id} of the old schedule is in progress, and this server (older than 2.16) would "
            "stop it together with the schedule: the old schedule is disabled and kept. The next "
            "restem kubeflow schedule or unschedule removes it"
        )
        return
    if active:
        full = one.mode == ON and len(active) >= int(one.max_concurrency or 1)
        say(
            f"Run {active[0].run_id}, which the old schedule started, is in progress and goes on"
            + ("; a run that fell due meanwhile was waiting for its end, and is not started" if full else "")
        )
    try:
        delete = server.recurring_runs.recurring_run_service_delete_recurring_run
        server.call(delete, recurring_run_id=identifier, propagation_policy="ORPHAN")
    except ServerError as error:
        if error.status != GONE:
            raise
    outcome.deleted.append(identifier)


def _switch(server: Server, identifier: str, on: bool) -> None:
    api = server.recurring_runs
    call = api.recurring_run_service_enable_recurring_run if on else api.recurring_run_service_disable_recurring_run
    server.call(call, recurring_run_id=identifier)

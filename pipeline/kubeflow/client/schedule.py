"""The pipeline's schedule on the server: one recurring run of the pipeline's name, whatever happens.

The API cannot change a recurring run: a new one is made, then the old ones are deleted.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from components.errors import RestemError
from pipeline.config.kubeflow import KubeflowConfig, ScheduleConfig
from pipeline.kubeflow.client.cron import Cron
from pipeline.kubeflow.client.handover import SETTLE, quiet_moment
from pipeline.kubeflow.client.runs import experiment_id, in_progress, moment, reference, runs_of_schedule
from pipeline.kubeflow.client.server import Server
from pipeline.kubeflow.client.server_errors import ServerError
from pipeline.kubeflow.client.upload import Version, named

Say = Callable[[str], None]
ON, OFF = "ENABLE", "DISABLE"
GONE = 404
# The first version that can delete a recurring run without the runs that it has started.
ORPHANS_SINCE = (2, 16)


@dataclass
class Outcome:
    """What became of a schedule.

    Attributes:
        action: "created", "replaced", "unchanged", "paused", "resumed", "deleted" or "none".
        recurring_run_id: of the one that is there now, or None.
        deleted: IDs of those that are gone.
        left: IDs of those that are switched off, and stay until the run that they started has ended.
    """

    action: str
    recurring_run_id: str | None = None
    deleted: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Clock:
    """How to wait; the tests wait faster."""

    sleep: Callable[[float], None] = time.sleep

    def until(self, then: datetime, server: Server) -> None:
        """Waits for the server's clock to show `then`."""
        self.sleep(max(0.0, (then - server.now()).total_seconds()))


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
    """Those of the pipeline's name, oldest first."""
    found = server.pages(
        server.client.recurring_runs.recurring_run_service_list_recurring_runs,
        "recurring_runs",
        namespace=server.namespace,
        filter=named(name),
    )
    return sorted(found, key=lambda one: (one.created_at, one.recurring_run_id))


def schedule(
    server: Server, kubeflow: KubeflowConfig, name: str, version: Version, say: Say, clock: Clock = Clock()
) -> Outcome:
    """Leaves exactly one recurring run, with these settings.

    Args:
        server: as reached.
        kubeflow: the section.
        name: the pipeline's, and the recurring run's.
        version: what it runs.
        say: told why something takes time.
        clock: how to wait.

    Raises:
        RestemError: the configuration has no schedule, or one that the server could not keep.
        ServerError: the server refused. What ran before still runs.
    """
    wanted, cron = schedule_of(kubeflow)
    body = _body(kubeflow, wanted, name, version, experiment_id(server, kubeflow.experiment))
    existing = recurring_runs(server, name)
    alike = [one for one in existing if _same(one, body)]
    if alike:
        # What else there is was left by a call that was cut off.
        return _keep(server, alike[-1], existing, wanted, say)
    if existing:
        # The server's times are whole seconds: what is made later must look later, to every process.
        clock.until(existing[-1].created_at + timedelta(seconds=2), server)
    enabled = [one for one in existing if one.mode == ON]
    if wanted.paused or not enabled:
        created = _create(server, body)
    else:
        created = _take_over(server, enabled, body, cron, say, clock)
    return _converge(server, name, created, existing, say)


def pause(server: Server, name: str, on: bool) -> Outcome:
    """Switches the schedule off (`on` False) or on again.

    Raises:
        RestemError: there is no schedule.
    """
    existing = _existing(server, name)
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


def _existing(server: Server, name: str) -> list[Any]:
    existing = recurring_runs(server, name)
    if existing:
        return existing
    raise ServerError(
        "there is no schedule",
        where=name,
        remedy=f"restem kubeflow schedule makes one; runs are listed by restem kubeflow status --name {name}",
    )


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
        # The server fills in what was not asked for (the service account): what was asked for is told by this.
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
    """Whether a recurring run is what is asked for, switched on or not."""
    version = one.pipeline_version_reference
    wanted = body.pipeline_version_reference.pipeline_version_id
    return one.description == body.description and version is not None and version.pipeline_version_id == wanted


def _keep(server: Server, kept: Any, existing: list[Any], wanted: ScheduleConfig, say: Say) -> Outcome:
    outcome = Outcome("unchanged", kept.recurring_run_id)
    for other in existing:
        if other is not kept:
            _remove(server, other, outcome, say)
    if kept.mode != (OFF if wanted.paused else ON):
        _switch(server, kept.recurring_run_id, not wanted.paused)
        outcome.action = "paused" if wanted.paused else "resumed"
    return outcome


def _create(server: Server, body: Any) -> Any:
    return server.call(server.client.recurring_runs.recurring_run_service_create_recurring_run, recurring_run=body)


def _take_over(server: Server, enabled: list[Any], body: Any, cron: Cron, say: Say, clock: Clock) -> Any:
    """Makes the new one while old ones still run; they are deleted right afterwards."""
    crons = _readable(enabled, cron.zone.key)
    quiet = quiet_moment([*crons, cron], server.now()) if crons is not None else None
    if quiet is None:
        return _take_over_at_last_tick(server, enabled, body, say, clock)
    if quiet.tick:
        seconds = (quiet.at - server.now()).total_seconds()
        say(
            f"A run is due at {quiet.tick:%H:%M:%S} UTC, and the server may start it up to a minute later: waiting "
            f"{seconds:.0f} s until that is over, so that it is neither missed nor started twice"
        )
        clock.until(quiet.at, server)
    return _create(server, body)


def _take_over_at_last_tick(server: Server, enabled: list[Any], body: Any, say: Say, clock: Clock) -> Any:
    """For schedules that tick too often, or make up for missed runs: the new one begins after the last started tick."""
    say(
        "The schedule ticks so often, or makes up for missed runs, that there is no quiet moment: the old one is "
        f"switched off first, and the new one goes on from its last run {SETTLE.seconds} s later. One run may be late"
    )
    for one in enabled:
        _switch(server, one.recurring_run_id, on=False)
    try:
        clock.until(server.now() + SETTLE, server)
        ticks = [tick for one in enabled if (tick := _last_tick(server, one))]
        body.trigger.cron_schedule.start_time = max(ticks, default=None)
        return _create(server, body)
    except BaseException:
        for one in enabled:
            _switch(server, one.recurring_run_id, on=True)
        raise


def _last_tick(server: Server, one: Any) -> datetime | None:
    newest = next(runs_of_schedule(server, one.recurring_run_id), None)
    return moment(newest.scheduled_at) if newest else moment(one.created_at)


def _readable(enabled: list[Any], zone: str) -> list[Cron] | None:
    """The old schedules; None where one cannot be reckoned with: made by hand as an interval, or catching up."""
    crons = []
    for one in enabled:
        trigger = one.trigger and one.trigger.cron_schedule
        if trigger is None or not trigger.cron or not one.no_catchup:
            return None
        try:
            crons.append(Cron(trigger.cron, zone))
        except RestemError:
            return None
    return crons


def _converge(server: Server, name: str, created: Any, replaced: list[Any], say: Say) -> Outcome:
    """Deletes all but the newest. Processes that do the same at once agree on which that is."""
    present = recurring_runs(server, name)
    kept = present[-1].recurring_run_id if present else None
    outcome = Outcome("replaced" if replaced else "created", kept)
    if kept != created.recurring_run_id:
        say("Another process has made a newer schedule of this name, or removed it, at the same moment: that counts")
    for one in present[:-1]:
        _remove(server, one, outcome, say)
    return outcome


def _remove(server: Server, one: Any, outcome: Outcome, say: Say) -> None:
    """Deletes a recurring run, but not the runs that it has started, which are its own in Kubernetes's eyes."""
    identifier = one.recurring_run_id
    active = in_progress(server, identifier)
    if active and not (server.version and server.version >= ORPHANS_SINCE):
        _switch(server, identifier, on=False)
        outcome.left.append(identifier)
        say(
            f"Run {active[0].run_id} of the former schedule is in progress, and this server would end it with the "
            "schedule (it can do otherwise from 2.16 on): the former schedule is switched off and stays. The next "
            "restem kubeflow schedule or unschedule removes it"
        )
        return
    if active:
        full = one.mode == ON and len(active) >= int(one.max_concurrency or 1)
        say(
            f"Run {active[0].run_id}, which the former schedule started, is in progress and goes on"
            + ("; a run that fell due meanwhile was waiting for its end, and is not made up for" if full else "")
        )
    try:
        path = f"/apis/v2beta1/recurringruns/{identifier}"
        server.raw(path, "DELETE", (("propagation_policy", "ORPHAN"),))
    except ServerError as error:
        if error.status != GONE:
            raise
    outcome.deleted.append(identifier)


def _switch(server: Server, identifier: str, on: bool) -> None:
    service = server.client.recurring_runs
    method = (
        service.recurring_run_service_enable_recurring_run
        if on
        else (service.recurring_run_service_disable_recurring_run)
    )
    server.call(method, recurring_run_id=identifier)

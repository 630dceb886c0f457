"""A pipeline on the server: its schedule, its newest runs, one run's steps."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TextIO

from restem.errors import RestemError
from restem.pipeline.config.kubeflow import ScheduleConfig
from restem.pipeline.kubeflow.client.cron import Cron
from restem.pipeline.kubeflow.client.following import Report, duration, line_of, report
from restem.pipeline.kubeflow.client.runs import moment, newest_runs
from restem.pipeline.kubeflow.client.schedule import ON, recurring_runs
from restem.pipeline.kubeflow.client.server import Server
from restem.visible import say

NEXT = 3
NEWEST = 5


@dataclass(frozen=True)
class Overview:
    """A pipeline's schedule and runs.

    Attributes:
        name: the pipeline's.
        schedule: its recurring run; None where there is none.
        others: how many more recurring runs of this name there are (disabled, or left by an interrupted call).
        runs: the newest, newest first.
        newest: the newest one with its steps; None where there is none.
    """

    name: str
    schedule: dict[str, Any] | None
    others: int
    runs: list[dict[str, Any]]
    newest: Report | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        newest = self.newest.to_dict() if self.newest else None
        return {"name": self.name, "schedule": self.schedule, "others": self.others, "runs": self.runs, "run": newest}


def overview(server: Server, name: str, stated: ScheduleConfig | None) -> Overview:
    """The schedule and the runs of a pipeline.

    Args:
        server: as reached.
        name: the pipeline's.
        stated: the configuration's schedule, for its time zone, which the server does not report.
    """
    recurring = recurring_runs(server, name)
    runs = newest_runs(server, name, NEWEST)
    return Overview(
        name=name,
        schedule=_schedule(recurring[-1], stated.time_zone if stated else "UTC", server.now()) if recurring else None,
        others=max(0, len(recurring) - 1),
        runs=[_brief(run, server) for run in runs],
        newest=report(server, runs[0].run_id) if runs else None,
    )


def next_runs(cron: Cron, now: datetime) -> list[str]:
    """The next runs, each in the server's zone and in that of this machine."""
    lines = []
    for tick in cron.upcoming(now, NEXT):
        there, here = tick.astimezone(cron.zone), tick.astimezone()
        own = "" if there.utcoffset() == here.utcoffset() else f", here {here:%a %Y-%m-%d %H:%M:%S}"
        lines.append(f"{there:%a %Y-%m-%d %H:%M:%S} {cron.zone.key}{own}")
    return lines


def show_overview(seen: Overview, stream: TextIO) -> None:
    """For people."""
    if seen.newest and seen.newest.error:
        say(f"The newest run failed. {seen.newest.error}\n", file=stream)
    if seen.schedule is None:
        say(f"{seen.name} has no schedule", file=stream)
    else:
        state = ", but is paused (restem kubeflow resume)" if seen.schedule["paused"] else ""
        say(f"{seen.name} runs at {seen.schedule['cron'] or 'intervals'}{state}", file=stream)
        for line in seen.schedule["next"]:
            say(f"  {line}", file=stream)
    if seen.others:
        say(
            f"{seen.others} more of this name: the next restem kubeflow schedule leaves one; a former one whose run is "
            "in progress stays, disabled, until that run has ended",
            file=stream,
        )
    say("newest runs:" if seen.runs else "no runs yet", file=stream)
    for run in seen.runs:
        say(f"  {run['created']}  {run['state']:<10} {run['run_id']}  {run['name']}", file=stream)
    if seen.newest:
        _show_steps(seen.newest, stream)


def show_report(seen: Report, stream: TextIO) -> None:
    """For people: the error first."""
    if seen.error:
        say(f"{seen.error}\n", file=stream)
    took = f" after {duration(seen.seconds)}" if seen.seconds is not None else ""
    state = f"{seen.run.state or 'unknown'}{took if seen.ended else f', for{took[6:]}'}"
    say(f"run {seen.run.run_id} ({seen.run.display_name}): {state}", file=stream)
    if seen.link:
        say(seen.link, file=stream)
    _show_steps(seen, stream)


def _show_steps(seen: Report, stream: TextIO) -> None:
    for step in seen.steps:
        began = f"  {step.started.astimezone():%H:%M:%S}" if step.started else "          "
        say(f"{began}{line_of(step, seen)}", file=stream)


def _schedule(one: Any, zone: str, now: datetime) -> dict[str, Any]:
    trigger = one.trigger and one.trigger.cron_schedule
    cron = trigger.cron if trigger else None
    on = one.mode == ON
    try:
        upcoming = next_runs(Cron(cron, zone), now) if on and cron else []
    except RestemError:  # created by hand, with an expression that only the server accepts
        upcoming = []
    return {"recurring_run_id": one.recurring_run_id, "cron": cron, "paused": not on, "next": upcoming}


def _brief(run: Any, server: Server) -> dict[str, Any]:
    created = moment(run.created_at)
    return {
        "run_id": run.run_id,
        "name": run.display_name,
        "state": run.state or "PENDING",
        "created": f"{created.astimezone():%Y-%m-%d %H:%M:%S}" if created else None,
        "scheduled": bool(run.recurring_run_id),
        "link": server.link(f"runs/details/{run.run_id}"),
    }

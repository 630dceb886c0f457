"""The server's controller of schedules: which runs it starts, and when.

The rules are those of kubeflow/pipelines, backend/src/crd/controller/scheduledworkflow: a recurring run is looked at
each 30 seconds, and when it was made or changed; the tick after the last one started, or after the creation or start
time, is due once it is past; without catching up it is the latest past one.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from restem.pipeline.kubeflow.client.cron import Cron

RESYNC = timedelta(seconds=30)
FINAL = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")


def looks(since: datetime, until: datetime, phase: timedelta) -> Iterator[datetime]:
    """The moments in (since, until] at which the controller looks."""
    start = datetime(2000, 1, 1, tzinfo=since.tzinfo) + phase
    at = start + RESYNC * ((since - start) // RESYNC + 1)
    while at <= until:
        yield at
        at += RESYNC


def due(recurring: dict[str, Any], runs: list[dict[str, Any]], now: datetime) -> datetime | None:
    """The tick for which a run is to be started now, if any.

    Args:
        recurring: as the API tells it.
        runs: all that it has started.
        now: the time.
    """
    own = [run for run in runs if run.get("recurring_run_id") == recurring["recurring_run_id"]]
    active = [run for run in own if run["state"] not in FINAL]
    if recurring["mode"] != "ENABLE" or len(active) >= int(recurring["max_concurrency"]):
        return None
    schedule = recurring["trigger"]["cron_schedule"]
    times = [_time(run["scheduled_at"]) for run in own]
    last = max(times) if times else None
    start = _time(schedule["start_time"]) if "start_time" in schedule else None
    after = last or start or _time(recurring["created_at"])
    ticks = _cron(schedule["cron"]).after(max(after, start) if start else after)
    tick = next(ticks)
    if tick > now:
        return None
    if recurring.get("no_catchup"):
        while (later := next(ticks)) <= now:
            tick = later
    return tick


@cache
def _cron(expression: str) -> Cron:
    return Cron(expression)


@cache
def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)

"""When one schedule may take over from another, so that no run is started twice and none is missed.

How the server keeps a schedule (read in kubeflow/pipelines, backend/src/crd/controller/scheduledworkflow): its
controller looks at every recurring run each 30 seconds and starts the latest run that is due and later than the last
one it started, or, where none was started yet, later than the recurring run's creation or its start time. A run can
therefore begin the better part of a minute after its tick, and a recurring run that is deleted before it was looked at
loses the tick.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.kubeflow.client.cron import Cron

# After a tick: the controller's 30 seconds, its queue, the server's time, and as much again.
LATE = timedelta(seconds=90)
# Before a tick: making the new one and deleting the old one takes about a second.
EARLY = timedelta(seconds=15)
LONGEST_WAIT = timedelta(minutes=10)
# After switching a recurring run off: until a run that was being started at that moment is in the server's list.
SETTLE = timedelta(seconds=30)


@dataclass(frozen=True)
class Quiet:
    """A moment without ticks around it.

    Attributes:
        at: the moment.
        tick: the last tick that has to be waited for; None where nothing has to be.
    """

    at: datetime
    tick: datetime | None


def quiet_moment(crons: Iterable[Cron], now: datetime) -> Quiet | None:
    """The first moment from now on with no tick in the 90 seconds before and the 15 seconds after it.

    Args:
        crons: the old schedules and the new one.
        now: the server's time.

    Returns:
        The moment; None where there is none within ten minutes: the schedules tick too often.
    """
    quiet = Quiet(now, None)
    for tick in heapq.merge(*(cron.after(now - LATE) for cron in crons)):
        if tick > quiet.at + EARLY:
            break
        quiet = Quiet(tick + LATE, tick)
        if quiet.at > now + LONGEST_WAIT:
            return None
    return quiet

"""When one schedule may take over from another."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.kubeflow.client.cron import Cron
from pipeline.kubeflow.client.handover import EARLY, LATE, quiet_moment

THREE = datetime(2026, 11, 25, 3, tzinfo=UTC)


@pytest.mark.parametrize(("before", "waits"), [(16, False), (15, True), (0, True), (-89, True), (-90, False)])
def test_it_waits_within_the_guard_interval_around_a_tick_only(before, waits):
    now = THREE - timedelta(seconds=before)
    quiet = quiet_moment([Cron("0 0 3 * * *")], now)
    assert quiet.at == (THREE + LATE if waits else now)
    assert quiet.tick == (THREE if waits else None)


def test_all_schedules_count():
    now = THREE - timedelta(seconds=5)
    quiet = quiet_moment([Cron("0 0 3 * * *"), Cron("30 1 3 * * *")], now)
    assert quiet.tick == THREE + timedelta(seconds=90)
    assert quiet.at == THREE + timedelta(seconds=180)


@pytest.mark.parametrize(
    ("cron", "quiet"), [("0 * * * * *", False), ("*/10 * * * * *", False), ("0 */2 * * * *", True)]
)
def test_whether_there_is_a_quiet_moment_at_all(cron, quiet):
    found = quiet_moment([Cron(cron)], THREE)
    assert (found is not None) == quiet
    if found:
        ticks = Cron(cron).upcoming(found.at - LATE, 1)
        assert ticks[0] > found.at + EARLY

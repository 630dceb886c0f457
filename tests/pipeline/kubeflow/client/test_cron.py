"""The schedule's arithmetic against what the server's own parser computes.

robfig_cron.json holds what github.com/robfig/cron v1.2.0 (`cron.Parse` and `Next`, run with Go) answers; nothing in
`next` means that it refuses the expression or finds no moment.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from restem.errors import RestemError
from restem.pipeline.kubeflow.client.cron import Cron

CASES = json.loads(Path(__file__).with_name("robfig_cron.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['cron']} {case['zone']} {case['after'][:10]}")
def test_the_ticks_are_those_of_the_server(case):
    after = datetime.fromisoformat(case["after"])
    if not case["next"]:
        with pytest.raises(RestemError, match="cannot keep this schedule"):
            Cron(case["cron"], case["zone"])
        return
    ticks = Cron(case["cron"], case["zone"]).upcoming(after, len(case["next"]))
    assert [tick.strftime("%Y-%m-%dT%H:%M:%SZ") for tick in ticks] == case["next"]


def test_a_tick_at_the_very_moment_is_not_a_later_one():
    at_three = datetime(2026, 11, 25, 3, tzinfo=UTC)
    assert Cron("0 0 3 * * *").upcoming(at_three, 1) == [datetime(2026, 11, 26, 3, tzinfo=UTC)]


def test_a_mistake_names_the_item_and_what_may_stand_there():
    with pytest.raises(RestemError) as caught:
        Cron("0 0 3 * * 7")
    assert str(caught.value) == (
        "kubeflow.schedule.cron: Kubeflow cannot keep this schedule. Expected in the day of the week numbers from 0 to "
        "6, steps from 1, given 7 in '0 0 3 * * 7'. For instance '0 0 3 * * *', every day at 3:00."
    )

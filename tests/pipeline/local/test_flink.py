import pytest

from restem.pipeline.local.flink import NoAnswer, cancel, cluster, missing, progress
from tests.pipeline.local.fake_flink import fake_flink


@pytest.fixture
def flink():
    with fake_flink() as found:
        yield found


def told(flink, parallelism=1):
    return missing(flink.master, "restem-1", parallelism)


def test_what_a_job_waits_for_is_named(flink):
    flink.runs("restem-1", scheduled=3)
    flink.has(managers=0, slots=0, free=0)
    sentence, certain = told(flink)
    assert "has no task manager" in sentence
    assert certain
    flink.has(managers=1, slots=4, free=1)
    sentence, certain = told(flink, parallelism=2)
    assert "1 of 4 task slots are free, and the job needs 2" in sentence
    assert certain


def test_tasks_that_run_are_never_certain_to_wait(flink):
    flink.has(managers=1, slots=1, free=0)
    flink.runs("restem-1", running=1, scheduled=2)
    sentence, certain = told(flink)
    assert "their workers are starting, are missing" in sentence
    assert not certain


def test_a_job_that_flink_does_not_have_yet_and_a_flink_that_is_not_there(flink):
    flink.runs("another", running=1)
    assert told(flink) == (
        f"Flink at {flink.master} does not have the job yet: Beam's job server is preparing it",
        True,
    )
    sentence, certain = missing("localhost:1", "restem-1", 1)
    assert "localhost:1 does not answer" in sentence
    assert certain
    with pytest.raises(NoAnswer):
        cluster("localhost:1")


def test_progress_changes_with_tasks_and_records(flink):
    assert progress(flink.master, "restem-1") == ()
    flink.runs("restem-1", scheduled=1)
    first = progress(flink.master, "restem-1")
    flink.runs("restem-1", running=1)
    second = progress(flink.master, "restem-1")
    flink.answers["/jobs/a1"]["vertices"][0]["metrics"]["read-records"] = 9
    assert len({first, second, progress(flink.master, "restem-1")}) == 3


def test_a_job_is_cancelled_by_its_name_alone(flink):
    flink.runs("another", running=1)
    assert not cancel(flink.master, "restem-1")
    flink.runs("restem-1", "FINISHED", finished=1)
    assert not cancel(flink.master, "restem-1")
    flink.runs("restem-1", running=1)
    assert cancel(flink.master, "restem-1")
    assert [one for one in flink.asked if one.startswith("PATCH")] == ["PATCH /jobs/a1?mode=cancel"]

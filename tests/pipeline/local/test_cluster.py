import json

import pytest

from restem.errors import RestemError
from restem.pipeline.config import load_config
from restem.pipeline.errors import WorkFailed
from restem.pipeline.local import cluster
from tests.pipeline.local.fake_flink import fake_flink


@pytest.fixture
def checked(tmp_path):
    """Checks a configuration for Flink with further arguments; returns the warnings."""
    path = tmp_path / "own.yaml"
    path.write_text("data: {path: images}\nimage: {size: 32}\n")

    def check(master, *more, **values):
        arguments = [f"--flink_master={master}", "--environment_type=EXTERNAL", *more]
        beam = {"runner": "flink", "args": arguments, **values}
        return cluster.check_beam(load_config(path, [f"beam={json.dumps(beam)}"]))

    return check


def test_a_cluster_is_asked_for_its_task_managers_and_slots(checked):
    with fake_flink() as flink:
        assert checked(flink.master, parallelism=2) == []
        assert checked(flink.master, "--parallelism", "2") == []
        (told,) = checked(flink.master)
        assert "beam.parallelism is not set" in told
        assert "2 task slots" in told
        (told,) = checked(flink.master, parallelism=3)
        assert "has 2 task slots, and 3 are wanted" in told
        flink.has(managers=0, slots=0, free=0)
        (told,) = checked(flink.master, parallelism=2)
        assert "has no task manager" in told


def test_a_flink_that_does_not_answer_is_refused_unless_a_job_server_may_reach_it(checked):
    with pytest.raises(RestemError, match=r"Flink does not answer there.*localhost:1"):
        checked("localhost:1")
    (told,) = checked("localhost:1", "--job_endpoint=localhost:2")
    assert "the job server may reach it" in told
    assert checked("[local]") == []


def test_the_job_server_is_asked_for_arguments_that_beam_does_not_know(checked, monkeypatch):
    asked = []

    def announce(target, request):
        asked.append((target, request))
        return ["--object_reuse"]

    unknown = ("--job_endpoint=localhost:2", "--object_reuse")
    monkeypatch.setattr(cluster, "run_in_worker", announce)
    assert checked("[local]", *unknown) == []
    assert asked == [("restem.pipeline.local.jobs:announced_at", {"endpoint": "localhost:2"})]
    with pytest.raises(RestemError, match=r"beam.args\[4\]: .*localhost:2.*--number_of_execution_retries"):
        checked("[local]", *unknown, "--number_of_execution_retries=3")

    def refuse(target, request):
        raise WorkFailed("no")

    monkeypatch.setattr(cluster, "run_in_worker", refuse)
    (told,) = checked("[local]", *unknown)
    assert "does not answer" in told
    assert "beam.args[3] --object_reuse" in told


def test_without_a_job_server_it_is_said_when_it_is_asked(checked):
    (told,) = checked("[local]", "--object_reuse")
    assert "beam.args[2] --object_reuse" in told
    assert "is asked then" in told

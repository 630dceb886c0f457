"""Beam's own job server in Python, with a job that is cancelled, whose client is killed, or that is never started."""

import os
import signal
import sys

import pytest
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.local_job_service import BeamJob, LocalJobServicer

from restem.errors import RestemError
from restem.pipeline.config.beam import BeamConfig
from restem.pipeline.errors import Interrupted, WorkFailed, explain_failure
from restem.pipeline.local import jobs
from restem.pipeline.local.worker import run_worker
from tests.pipeline.local.beam_tasks import submit

OWN_PROCESS = [
    "--environment_type=beam:env:harness_subprocess_python:v1",
    f"--environment_config={sys.executable} -m apache_beam.runners.worker.sdk_worker_main",
]


class Server(LocalJobServicer):
    """Announces an option of its own; a job with the experiment `wait` is not started."""

    def DescribePipelineOptions(self, request, context=None, timeout=None):
        option = beam_job_api_pb2.PipelineOptionDescriptor(name="object_reuse")
        return beam_job_api_pb2.DescribePipelineOptionsResponse(options=[option])


class Job(BeamJob):
    def run(self):
        if "wait" in (self.pipeline_options().get_all_options().get("experiments") or []):
            self.set_state(beam_job_api_pb2.JobState.STARTING)
        else:
            super().run()


@pytest.fixture(scope="module")
def server():
    server = Server(beam_job_type=Job)
    server.endpoint = f"localhost:{server.start_grpc_server()}"
    yield server
    server.stop()


def config(server, *more, **values) -> dict:
    # Prism's own server is not here; with --job_endpoint any other one takes its place.
    arguments = [f"--job_endpoint={server.endpoint}", "--environment_type=LOOPBACK", *more]
    return {"runner": "prism", "args": arguments, **values}


def states(server) -> list[str]:
    """Of the newest job. This server lets a cancelled job run on, which then fails without its workers."""
    *_, job = server._jobs.values()
    return [beam_job_api_pb2.JobState.Enum.Name(state) for state, _ in job._state_history]


def test_states_are_told_and_nothing_is_cancelled(server):
    events = []
    submit({"beam": config(server), "does": "end"}, events.append)
    assert [event["state"] for event in events if event["state"] != "RUNNING"] == ["SUBMITTED", "ENDED"]
    assert {event["endpoint"] for event in events} == {server.endpoint}
    assert events[0]["name"].startswith("restem-")
    assert states(server)[-1] == "DONE"
    assert "CANCELLED" not in states(server)


def test_a_stopped_run_cancels_its_job(server, tmp_path):
    def stop(event):
        if event["event"] == "job" and event["state"] == "RUNNING":
            raise Interrupted(signal.SIGTERM)

    request = {"beam": config(server), "does": str(tmp_path / "never")}
    with pytest.raises(Interrupted):
        run_worker("tests.pipeline.local.beam_tasks:submit", request, log=tmp_path / "log", on_event=stop)
    assert "CANCELLED" in states(server)


def test_the_job_of_a_killed_worker_is_cancelled(server, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("restem.pipeline.local.worker.run_in_worker", in_this_process)

    def kill(event):
        if event["event"] == "job" and event["state"] == "RUNNING":
            children = [pid for pid in os.listdir("/proc") if pid.isdecimal() and parent(pid) == os.getpid()]
            os.kill(int(next(pid for pid in children if "beam_tasks" in command(pid))), signal.SIGKILL)

    request = {"beam": config(server), "does": str(tmp_path / "never")}
    with pytest.raises(WorkFailed, match="killed by SIGKILL"):
        run_worker("tests.pipeline.local.beam_tasks:submit", request, log=tmp_path / "log", on_event=kill)
    assert "CANCELLED" in states(server)
    assert "the job of the killed worker is cancelled" in capfd.readouterr().err


def in_this_process(target, request):
    assert target == "restem.pipeline.local.jobs:cancel"
    return jobs.cancel(request, lambda event: None)


def parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def command(pid: str) -> str:
    with open(f"/proc/{pid}/cmdline") as file:
        return file.read()


def test_a_job_that_does_not_start_is_explained_and_cancelled_in_time(server, monkeypatch, caplog):
    monkeypatch.setattr(jobs, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(jobs, "FIRST_WORD_SECONDS", 0.0)
    caplog.set_level("INFO", "restem")
    with pytest.raises(RestemError, match=r"no progress for 1 s, and was cancelled: .* has the job as STARTING"):
        submit({"beam": config(server, "--experiments=wait", patience=1), "does": "end"}, lambda event: None)
    assert "CANCELLED" in states(server)
    assert "has the job as STARTING" in caplog.text
    assert "cancelled after 1 s (beam.patience)" in caplog.text


def test_a_killed_worker_of_beam_is_one_sentence(server):
    with pytest.raises(RuntimeError) as caught:
        submit({"beam": config(server, *OWN_PROCESS), "does": "die"}, lambda event: None)
    told, fixable = explain_failure(caught.value)
    assert told.startswith("the work failed: a worker process of Beam ended before its work was done")
    assert not fixable


def test_an_argument_that_the_job_server_does_not_know_is_refused(server):
    before = len(server._jobs)
    with pytest.raises(RestemError, match=r"beam.args\[2\].*neither Beam nor the job server.*--object_reus"):
        submit({"beam": config(server, "--object_reus"), "does": "end"}, lambda event: None)
    assert len(server._jobs) == before
    jobs.refuse_unknown(
        BeamConfig(args=("--object_reuse",)), set(jobs.announced_at({"endpoint": server.endpoint}, print))
    )

"""What is told of a pipeline and its runs; a failed run begins with the failing step's own error."""

import io
import signal

import pytest

from restem.pipeline.config.kubeflow import KubeflowConfig
from restem.pipeline.errors import Interrupted
from restem.pipeline.kubeflow.client.failure import own_words
from restem.pipeline.kubeflow.client.following import duration, follow, report
from restem.pipeline.kubeflow.client.runs import start_run
from restem.pipeline.kubeflow.client.schedule import pause, schedule
from restem.pipeline.kubeflow.client.server_errors import ServerError
from restem.pipeline.kubeflow.client.status import overview, show_overview, show_report
from restem.pipeline.kubeflow.client.upload import upload
from tests.pipeline.kubeflow.client.argo import Nodes, pod
from tests.pipeline.kubeflow.client.http import Answer

LOG = """I1125 launcher.go:40] downloading inputs
Epoch 1/4
Traceback (most recent call last):
ValueError: nan
restem: trainer: the loss is not a number after 3 steps. Lower train.all.learning_rate.
F1125 main.go:60] failed to execute component: exit status 1
"""
WORDS = "the loss is not a number after 3 steps. Lower train.all.learning_rate."
LAST_POD = pod(".trainer.executor(2)", "retry-system-container-impl")


@pytest.fixture
def run(local, server, package) -> dict:
    """A run that has just been started."""
    start_run(server, KubeflowConfig(), "digits", upload(server, "digits", package()))
    return local.kubeflow.runs[-1]


def failed(local, run: dict) -> None:
    """Lets the run fail in the third attempt of a step."""
    nodes = Nodes().cached("image-example-gen", 2).step("trainer", "FAILED", 5, 95, ("FAILED",) * 3)
    run["run_details"] = {"task_details": nodes.omitted("pusher", 95).details}
    local.kubeflow.advance(100)
    local.kubeflow.finish(run, "FAILED")


def shown(found) -> str:
    stream = io.StringIO()
    show_report(found, stream)
    return stream.getvalue()


class TestFailure:
    """The error, wherever the server keeps it."""

    @pytest.mark.parametrize("place", ["logs", "ui_logs"])
    def test_the_steps_own_words_come_first(self, local, server, run, place):
        failed(local, run)
        getattr(local.kubeflow, place)[LAST_POD] = LOG
        found = report(server, run["run_id"])
        assert found.error == f"trainer (attempt 3): trainer: {WORDS}"
        lines = shown(found).splitlines()
        assert lines[0] == found.error
        assert "FAILED after 1 min 40 s" in lines[2]
        assert f"{local.host}/#/runs/details/{run['run_id']}" in lines
        assert any("image-example-gen" in line and "from the cache" in line for line in lines)
        assert any("trainer" in line and "FAILED after 1 min 30 s, attempt 3" in line for line in lines)

    def test_a_step_that_died_without_words(self, local, server, run):
        failed(local, run)
        local.kubeflow.logs[LAST_POD] = "".join(f"line {i}\n" for i in range(100)) + "Killed\n"
        error = report(server, run["run_id"]).error
        assert error.startswith("trainer (attempt 3): failed. The end of its log:\nline 86\n")
        assert error.endswith("\nKilled")

    def test_a_log_that_is_gone(self, local, server, run):
        failed(local, run)
        error = report(server, run["run_id"]).error
        assert "trainer (attempt 3): failed. Its log is not available: " in error
        assert f"the server says: Failed to read logs for run {run['run_id']}." in error
        assert "\n" not in error

    def test_pages_that_answer_anything_with_themselves(self, local, server, run):
        """Kubeflow's pages do not hand v1alpha1 on to the API's server, and show themselves instead."""
        failed(local, run)
        local.kubeflow.ui_logs[LAST_POD] = LOG
        local.fail("api_log", Answer(200, "<!doctype html><html></html>", {"Content-Type": "text/html"}))
        assert report(server, run["run_id"]).error.endswith(WORDS)

    def test_a_huge_log_is_read_from_its_end(self, local, server, run):
        failed(local, run)
        local.kubeflow.logs[LAST_POD] = "restem: not this\n" + "x" * (1 << 20) + f"\n{LOG}"
        assert report(server, run["run_id"]).error.endswith(WORDS)

    def test_a_log_that_happens_to_be_json(self, local, server, run):
        failed(local, run)
        local.kubeflow.logs[LAST_POD] = "3"
        assert report(server, run["run_id"]).error.endswith("The end of its log:\n3")

    def test_a_run_that_failed_before_any_step(self, local, server, run):
        local.kubeflow.finish(run, "FAILED")
        run["error"] = {"code": 3, "message": "the service account is missing"}
        expected = "The run failed before any step did: the service account is missing"
        assert report(server, run["run_id"]).error == expected

    def test_the_last_of_several_paragraphs_counts(self):
        assert own_words("restem: first\nrestem: second\nx") == "second"
        assert own_words("nothing of ours") is None


class TestFollowing:
    """The steps as they begin and finish."""

    def follow(self, local, server, run, scenes):
        """Each wait brings the next scene."""
        said, scenes = [], list(scenes)

        def sleep(seconds: float) -> None:
            local.kubeflow.advance(seconds)
            if scenes:
                scenes.pop(0)()

        return follow(server, run["run_id"], said.append, sleep), said

    @staticmethod
    def nodes(run, nodes, state="RUNNING"):
        return lambda: run.update(run_details={"task_details": nodes.details}, state=state)

    def test_progress(self, local, server, run):
        scenes = [
            self.nodes(run, Nodes().driver("image-example-gen", "RUNNING", 5, None)),
            self.nodes(
                run, Nodes().step("image-example-gen", "SUCCEEDED", 5, 9).driver("trainer", "RUNNING", 10, None)
            ),
            self.nodes(
                run,
                Nodes()
                .step("image-example-gen", "SUCCEEDED", 5, 9)
                .step("trainer", "RUNNING", 10, None, ("FAILED", "RUNNING")),
            ),
            self.nodes(
                run,
                Nodes()
                .step("image-example-gen", "SUCCEEDED", 5, 9)
                .step("trainer", "SUCCEEDED", 10, 22, ("FAILED", "SUCCEEDED")),
            ),
            lambda: local.kubeflow.finish(run),
        ]
        ended, said = self.follow(local, server, run, scenes)
        assert ended.run.state == "SUCCEEDED"
        assert ended.error is None
        assert [" ".join(line.split()) for line in said] == [
            "image-example-gen begins",
            "image-example-gen done in 4 s",
            "trainer begins",
            "trainer failed and is tried again, attempt 2",
            "trainer done in 12 s, attempt 2",
        ]
        assert ended.to_dict()["steps"][1]["attempts"] == 2

    def test_a_step_that_takes_long_is_mentioned(self, local, server, run):
        begun = self.nodes(run, Nodes().step("trainer", "RUNNING", 0, None))
        _, said = self.follow(local, server, run, [begun, *[lambda: None] * 14, lambda: local.kubeflow.finish(run)])
        assert "trainer ... 1 min 5 s since the run began" in said[-1]

    def test_a_server_that_is_away_for_a_while_is_waited_for(self, local, server, run):
        local.fail("get_run", Answer(503, "no healthy upstream"), times=20)
        ended, said = self.follow(local, server, run, [*[lambda: None] * 22, lambda: local.kubeflow.finish(run)])
        assert ended.run.state == "SUCCEEDED"
        assert len([line for line in said if "asking again" in line]) == 1

    def test_one_that_stays_away_is_not(self, local, server, run):
        local.fail("get_run", Answer(503, "no healthy upstream"))
        with pytest.raises(ServerError, match="503"):
            self.follow(local, server, run, [])
        assert local.operations().count("get_run") == 1 + 300 / 5

    def test_a_token_that_has_expired_ends_it_at_once(self, local, server, run):
        local.fail("get_run", Answer(401, ""))
        with pytest.raises(ServerError, match="401"):
            self.follow(local, server, run, [])
        assert local.operations().count("get_run") == 1

    def test_a_signal_ends_the_following_only(self, server, run):
        def interrupted(seconds: float) -> None:
            raise Interrupted(signal.SIGINT)

        with pytest.raises(Interrupted, match=f"the run goes on.*restem kubeflow status {run['run_id']} --follow"):
            follow(server, run["run_id"], lambda line: None, interrupted)
        assert run["state"] == "PENDING"

    @pytest.mark.parametrize(
        ("seconds", "words"), [(4.4, "4 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")]
    )
    def test_durations(self, seconds, words):
        assert duration(seconds) == words


HOSTILE = "\x1b]0;hacked\x07\x9b2J"


class TestOverview:
    """The schedule, the newest runs, the newest run's steps."""

    def test_all_of_it(self, local, server, run, package, kubeflow_config):
        config = kubeflow_config("0 0 3 * * *", time_zone="Asia/Tokyo")
        schedule(server, config, "digits", upload(server, "digits", package()), print)
        failed(local, run)
        local.kubeflow.logs[LAST_POD] = LOG
        seen = overview(server, "digits", config.schedule)
        assert seen.schedule["next"][0].startswith("Thu 2026-11-26 03:00:00 Asia/Tokyo")
        assert [one["run_id"] for one in seen.runs] == [run["run_id"]]
        stream = io.StringIO()
        show_overview(seen, stream)
        lines = stream.getvalue().splitlines()
        assert lines[0] == f"The newest run failed. trainer (attempt 3): trainer: {WORDS}"
        assert "digits runs at 0 0 3 * * *" in lines
        assert any(run["run_id"] in line and "FAILED" in line for line in lines)
        assert seen.to_dict()["run"]["error"] == f"trainer (attempt 3): trainer: {WORDS}"

    def test_nothing_that_a_server_says_commands_the_terminal(self, local, server, run):
        failed(local, run)
        local.kubeflow.logs[LAST_POD] = f"restem: {HOSTILE}"
        for one in local.kubeflow.runs:
            one |= {"display_name": HOSTILE, "state": f"FAILED{HOSTILE}"}
        stream = io.StringIO()
        seen = overview(server, "digits", None)
        show_overview(seen, stream)
        show_report(seen.newest, stream)
        assert stream.getvalue().count(r"\x1b]0;hacked\x07\x9b2J") >= 4
        assert all(line.isprintable() for line in stream.getvalue().splitlines())

    def test_paused(self, server, package, kubeflow_config):
        schedule(server, kubeflow_config(), "digits", upload(server, "digits", package()), print)
        pause(server, "digits", on=False)
        seen = overview(server, "digits", None)
        assert (seen.schedule["paused"], seen.schedule["next"]) == (True, [])
        stream = io.StringIO()
        show_overview(seen, stream)
        assert "is paused (restem kubeflow resume)" in stream.getvalue()

    def test_nothing_there(self, server):
        seen = overview(server, "digits", None)
        stream = io.StringIO()
        show_overview(seen, stream)
        assert stream.getvalue() == "digits has no schedule\nno runs yet\n"
        assert seen.to_dict() == {"name": "digits", "schedule": None, "others": 0, "runs": [], "run": None}

    def test_runs_of_other_pipelines_are_not_shown(self, server, run, package):
        start_run(server, KubeflowConfig(), "other", upload(server, "other", package()))
        assert [one["run_id"] for one in overview(server, "digits", None).runs] == [run["run_id"]]

"""The local runner on a pipeline of two small steps. TFX is imported in a worker: fifteen seconds on an idle machine.

tests/e2e/test_demo.py shows on the real pipeline that an interrupted run, which leaves a RUNNING execution in the
metadata, does not affect the next one.
"""

import contextlib
import json
import sqlite3
import sys
from types import SimpleNamespace

import pytest

from restem.errors import RestemError
from restem.pipeline import local_runner
from restem.pipeline.errors import WorkFailed
from restem.pipeline.local.cache import former_roots
from restem.pipeline.local.worker import run_worker
from tests.pipeline.conftest import MINIMAL


def test_unchanged_steps_come_from_the_cache_and_a_failed_step_ends_the_run(tmp_path):
    told = []
    root = tmp_path / "root"
    root.mkdir()
    moves = [("b", "move"), ("b", "copy"), ("b", "lose")]
    damage = [("a", "flip"), ("a", "recompute"), ("a", "")]
    request = {
        "root": str(root),
        "runs": [("a", ""), ("a", ""), ("b", ""), ("b", "clean"), ("a", ""), *moves, *damage, ("b", "fixable")],
    }
    with pytest.raises(WorkFailed) as caught:
        run_worker(
            "tests.pipeline.local.fake_pipeline:run",
            request,
            log=tmp_path / "log",
            on_event=lambda event: told.append(event),
        )
    made = f"{root}-moved-copied/pipeline/Make/examples/9"
    events = [(event["step"], event["state"]) for event in told if event["event"] == "step"]
    messages = [event["message"] for event in told if event["event"] == "log"]
    assert [message.split(": ")[0] for message in messages] == [
        f"the folder was moved or copied from {root}",
        f"the folder was moved or copied from {root}-moved",
        f"{made} is damaged (text is changed)",
    ]
    (refused,) = (event["message"] for event in told if event["event"] == "refused")
    assert refused.startswith(f"{made}/text: this file is not as the step Make wrote it. ")
    assert str(caught.value) == "a/b.png: the label is missing. Add it."
    assert events[:4] == [("Make", "started"), ("Make", "done"), ("Use", "started"), ("Use", "done")]
    assert [event for event in events[4:] if event[1] != "started"] == [
        *[("Make", "cached"), ("Use", "cached")],
        *[("Make", "done"), ("Use", "done")],
        # Cleaning keeps the results of the newest run; those of the first one are computed again.
        *[("Make", "cached"), ("Use", "cached")],
        *[("Make", "done"), ("Use", "done")],
        # Under another name the root's results are still its own, and so are those of a copy.
        *[("Make", "cached"), ("Use", "cached")],
        *[("Make", "cached"), ("Use", "cached")],
        # A result whose files are gone is made again.
        *[("Make", "cached"), ("Use", "done")],
        # A damaged one stops the run; with --recompute it is made again, and what needs it.
        *[("Make", "done"), ("Use", "done")],
        *[("Make", "cached"), ("Use", "cached")],
        ("Make", "cached"),
    ]
    assert sorted(path.read_text() for path in tmp_path.glob("root-moved/pipeline/Use/model/*/text")) == ["A", "B"]
    assert {path.read_text() for path in tmp_path.glob("root-moved-copied/pipeline/Use/model/*/text")} == {"A", "B"}
    with contextlib.closing(sqlite3.connect(tmp_path / "root-moved-copied" / "metadata.sqlite")) as database:
        assert former_roots(database, str(tmp_path / "root-moved-copied")) == []
        assert former_roots(database, "/elsewhere") == [str(tmp_path / "root-moved-copied")]


@pytest.mark.parametrize("fails", [False, True])
def test_tfx_own_command_line_tells_the_result(write, images, monkeypatch, tmp_path, fails):
    told = tmp_path / "told.json"
    write(f"{MINIMAL}model: {{weights: none}}\nnotify: {{command: [tee, {told}]}}\n")
    monkeypatch.setenv("RESTEM_CONFIG", str(tmp_path / "own.yaml"))
    monkeypatch.setenv("RESTEM_ROOT", str(tmp_path / "run"))
    monkeypatch.setattr("restem.pipeline.local.folder.training_environment", lambda config, folder: {})

    class Runner:
        def __init__(self, on_step, before):
            self.executions, self.before = {"Pusher": 1}, before

        def run(self, pipeline):
            if pipeline is None:
                return  # `tfx pipeline create` runs nothing
            self.before()
            if fails:
                raise RestemError("there is no space")

    pipelines = [None, SimpleNamespace(metadata_connection_config="sqlite")]
    # Instead of the modules that load TFX.
    monkeypatch.setitem(sys.modules, "restem.pipeline.local.runner", SimpleNamespace(LocalRunner=Runner))
    create = SimpleNamespace(create_pipeline=lambda config, root: pipelines.pop(0))
    monkeypatch.setitem(sys.modules, "restem.pipeline.pipeline", create)
    monkeypatch.setattr("restem.pipeline.local.summary.read_outputs", lambda connection, executions: executions)
    summary = {"blessed": False, "reason": "Not approved.", "pushed_to": None}
    monkeypatch.setattr("restem.pipeline.local.summary.summarise", lambda outputs: summary)
    local_runner.main()
    assert not told.exists()
    with pytest.raises(RestemError) if fails else contextlib.nullcontext():
        local_runner.main()
    message = json.loads(told.read_text())
    assert message["type"] == f"restem.run.{'failed' if fails else 'refused'}"
    assert message["data"]["reason"] == ("there is no space." if fails else "Not approved.")

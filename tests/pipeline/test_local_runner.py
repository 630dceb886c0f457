"""The local runner on a pipeline of two small steps. TFX is imported in a worker: fifteen seconds on an idle machine.

tests/e2e/test_demo.py shows on the real pipeline that an interrupted run, which leaves a RUNNING execution in the
metadata, does not affect the next one.
"""

import pytest

from restem.pipeline.errors import WorkFailed
from restem.pipeline.local.worker import run_worker


def test_unchanged_steps_come_from_the_cache_and_a_failed_step_ends_the_run(tmp_path):
    events = []
    request = {"root": str(tmp_path), "runs": [("a", ""), ("a", ""), ("b", ""), ("b", "fixable")]}
    with pytest.raises(WorkFailed) as caught:
        run_worker(
            "tests.pipeline.local.fake_pipeline:run",
            request,
            log=tmp_path / "log",
            on_event=lambda event: events.append((event["step"], event["state"])),
        )
    assert str(caught.value) == "a/b.png: the label is missing. Add it."
    assert events[:4] == [("Make", "started"), ("Make", "done"), ("Use", "started"), ("Use", "done")]
    assert [event for event in events[4:] if event[1] != "started"] == [
        *[("Make", "cached"), ("Use", "cached")],
        *[("Make", "done"), ("Use", "done")],
        ("Make", "cached"),
    ]
    assert sorted(path.read_text() for path in tmp_path.glob("pipeline/Use/model/*/text")) == ["A", "B"]

"""`restem kubeflow`: what is typed, what is shown, how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from restem.errors import RestemError
from restem.pipeline.commands import restem
from tests.pipeline.kubeflow.client.argo import Nodes, pod
from tests.pipeline.kubeflow.client.http import Answer

REPOSITORY = Path(__file__).parents[4]
COMMANDS = ("upload", "run", "schedule", "unschedule", "pause", "resume", "status")


@pytest.fixture
def config(tmp_path) -> Path:
    """A configuration with a schedule."""
    path = tmp_path / "digits.yaml"
    path.write_text(
        "data: {path: .}\nimage: {size: 8}\n"
        "kubeflow:\n  image: restem:1\n  experiment: nightly\n  schedule: {cron: 0 0 3 * * *}\n"
    )
    return path


@pytest.fixture
def call(local, monkeypatch, capsys, package):
    """Runs a command against the local server; returns the exit code, standard output and standard error."""
    images = []

    def compile_config(config):
        images.append(config.kubeflow.image)
        return package(config.kubeflow.image)

    monkeypatch.setattr("restem.pipeline.commands.compiling.compile_config", compile_config)
    monkeypatch.setattr("restem.pipeline.kubeflow.client.following.POLL_SECONDS", 0.01)

    def call(*arguments, host: str | None = None):
        code = restem.main(["kubeflow", *map(str, arguments), "--host", host or local.host], standalone_mode=False)
        captured = capsys.readouterr()
        return code or 0, captured.out, captured.err

    call.compiled = images
    return call


def last_json(out: str) -> dict:
    return json.loads(out.splitlines()[-1])


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from click.testing import CliRunner; from restem.pipeline.commands import restem\n"
        "for name in sys.argv[1:]:\n"
        "    done = CliRunner().invoke(restem, ['kubeflow', *name.split(), '--help'])\n"
        "    assert done.exit_code == 0, done.output\n"
        "    print(done.output)\n"
        "assert not {'tensorflow', 'tfx', 'kfp', 'kfp_server_api', 'pydantic'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, "", *COMMANDS], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout
        assert f"Usage: restem kubeflow {name} [OPTIONS]" in done.stdout


def test_upload_twice(call, config, local):
    code, out, err = call("upload", "--config", config, "--json")
    first = last_json(out)
    assert (code, first["new"]) == (0, True)
    assert f"version {first['name']} is uploaded" in err
    code, out, err = call("upload", "--config", config, "--json")
    assert (code, last_json(out)) == (0, {**first, "new": False})
    assert "is already on the server: nothing to upload" in err
    assert call("upload", "--config", config, "--set", "kubeflow.image=restem:2")[1].startswith(local.host)
    assert call.compiled == ["restem:1", "restem:1", "restem:2"]


def test_a_package_is_not_compiled(call, tmp_path, package, local):
    path = tmp_path / "p.yaml"
    path.write_text(package())
    assert call("upload", "--package", path)[0] == 0
    assert call.compiled == []
    assert [one["display_name"] for one in local.kubeflow.pipelines] == ["digits"]


def test_a_package_of_another_pipeline(call, tmp_path, config, package, local):
    path = tmp_path / "p.yaml"
    path.write_text(package().replace("name: digits", "name: other"))
    with pytest.raises(RestemError, match=r"contains another pipeline\. Expected digits, given other"):
        call("run", "--config", config, "--package", path)
    assert local.requests == []


def test_run_follows_until_the_end(call, config, local):
    def scene(operation: str) -> None:
        """The first look at the run finds a step at work, the second finds all of it done."""
        if operation == "get_run":
            run = local.kubeflow.runs[-1]
            if "run_details" in run:
                run["run_details"] = {"task_details": Nodes().step("trainer", "SUCCEEDED", 2, 30).details}
                local.kubeflow.finish(run)
            else:
                run["run_details"] = {"task_details": Nodes().step("trainer", "RUNNING", 2, None).details}

    local.accident = scene
    code, out, err = call("run", "--config", config, "--json")
    seen = last_json(out)
    assert (code, seen["state"], seen["error"]) == (0, "SUCCEEDED", None)
    assert seen["link"] == f"{local.host}/#/runs/details/{seen['run_id']}"
    assert [(step["name"], step["state"]) for step in seen["steps"]] == [("trainer", "succeeded")]
    assert f"started run {seen['run_id']}: {seen['link']}" in err
    assert "trainer              done in 28 s" in err
    assert len(out.splitlines()) == 1
    assert local.kubeflow.experiments[0]["display_name"] == "nightly"


def test_a_run_that_fails(call, config, local):
    def scene(operation: str) -> None:
        if operation == "get_run":
            run = local.kubeflow.runs[-1]
            nodes = Nodes().step("trainer", "FAILED", 2, 30, ("FAILED", "FAILED"))
            run["run_details"] = {"task_details": nodes.details}
            local.kubeflow.finish(run, "FAILED")

    name = pod(".trainer.executor(1)", "retry-system-container-impl")
    local.kubeflow.logs[name] = "x\nrestem: no images. Check data.path."
    local.accident = scene
    code, out, _ = call("run", "--config", config)
    assert code == 1
    assert out.splitlines()[0] == "trainer (attempt 2): no images. Check data.path."
    run_id = local.kubeflow.runs[-1]["run_id"]
    code, out, _ = call("status", run_id)
    assert (code, out.splitlines()[0]) == (1, "trainer (attempt 2): no images. Check data.path.")
    code, out, _ = call("status", "--name", "digits", "--json")
    assert (code, last_json(out)["run"]["error"]) == (1, "trainer (attempt 2): no images. Check data.path.")
    code, out, _ = call("status", "--config", config)
    assert (code, out.splitlines()[0]) == (1, "The newest run failed. trainer (attempt 2): no images. Check data.path.")


def test_a_run_that_is_not_waited_for(call, config, local):
    code, out, _ = call("run", "--config", config, "--no-wait", "--json")
    assert (code, last_json(out)["state"]) == (0, "PENDING")
    assert "get_run" not in local.operations()


def test_schedule_pause_resume_unschedule(call, config, local):
    code, out, _ = call("schedule", "--config", config, "--set", "kubeflow.schedule.time_zone=Asia/Tokyo")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "the schedule of digits is created"
    assert len(lines) == 4
    assert lines[1].startswith("  Thu 2026-11-26 03:00:00 Asia/Tokyo")
    assert "is unchanged" in call("schedule", "--config", config)[1]
    local.kubeflow.advance(60)
    code, out, _ = call("schedule", "--config", config, "--set", "kubeflow.schedule.cron=0 0 4 * * *", "--json")
    assert last_json(out)["action"] == "replaced"
    assert len(local.kubeflow.recurring_runs) == 1
    assert call("pause", "--config", config)[1] == "the schedule of digits is paused\n"
    assert call("pause", "--name", "digits")[1] == "the schedule of digits is already paused\n"
    assert call("resume", "--name", "digits")[1] == "the schedule of digits is resumed\n"
    assert call("unschedule", "--name", "digits")[1] == "the schedule of digits is removed\n"
    assert call("unschedule", "--name", "digits")[1] == "digits has no schedule\n"


def test_a_paused_schedule_says_so(call, config):
    _, out, _ = call("schedule", "--config", config, "--set", "kubeflow.schedule.paused=true")
    assert "paused: no runs start until restem kubeflow resume" in out


def test_mistakes_are_told_before_the_server_is_asked(call, config, local):
    for arguments, message in (
        (["run"], "Missing option '--config'"),
        (["upload"], "Missing option '--config'"),
        (["pause"], "Give either --config or --name"),
        (["status"], "Give either --config or --name"),
        (["status", "--config", config, "--name", "x"], "Give either --config or --name"),
    ):
        with pytest.raises(click.UsageError, match=message):
            call(*arguments)
    for setting in ("kubeflow.schedule=null", "kubeflow.schedule.cron=0 0 3 * * 9"):
        with pytest.raises(RestemError, match=r"kubeflow\.schedule"):
            call("schedule", "--config", config, "--set", setting)
    assert local.requests == []
    assert call.compiled == []


def test_the_server_is_reached_before_anything_is_compiled(call, config, local):
    local.fail("health", Answer(401, ""))
    with pytest.raises(RestemError, match="401"):
        call("upload", "--config", config)
    assert call.compiled == []


@pytest.mark.parametrize("package", ["kfp_server_api", "cronsim"])
def test_a_package_that_is_not_installed(call, config, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        RestemError, match=rf"the Python package {package} is missing\. pip install 'restem\[kubeflow\]'"
    ):
        call("schedule", "--config", config)


def process(*arguments, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "restem", "kubeflow", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def test_an_error_of_the_server_is_one_paragraph_and_the_exit_code_1(local):
    local.fail("list_recurring_runs", Answer(403, '{"message": "not for you"}'))
    out, err = (started := process("status", "--name", "digits", "--host", local.host)).communicate()
    assert (started.returncode, out) == (1, "")
    assert err.startswith(f"restem: {local.host}: the server answers 403: not for you. Check the token")
    assert len(err.splitlines()) == 1


def test_a_mistake_of_the_users_is_the_exit_code_2(tmp_path):
    out, err = (started := process("status", "--name", "x", cwd=tmp_path)).communicate()
    assert (started.returncode, out) == (2, "")
    assert err.startswith("restem: the address of Kubeflow Pipelines is unknown.")


def test_ctrl_c_ends_the_following_not_the_run(local):
    kubeflow = local.kubeflow
    run = kubeflow._add_run({"display_name": "digits 1"}, scheduled="2026-11-25T12:00:00Z")
    started = process("status", run["run_id"], "--follow", "--host", local.host)
    deadline = time.monotonic() + 300
    while "get_run" not in local.operations():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    started.send_signal(signal.SIGINT)
    _, err = started.communicate()
    assert started.returncode == 128 + signal.SIGINT
    expected = f"following; the run goes on. See it with: restem kubeflow status {run['run_id']} --follow"
    assert err.strip() == f"restem: interrupted (SIGINT) {expected}"
    assert run["state"] == "PENDING"

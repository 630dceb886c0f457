import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from restem.pipeline.errors import Interrupted, WorkFailed, explain_failure
from restem.pipeline.local.temporary import PREFIX, remove_leftovers
from restem.pipeline.local.worker import run_in_worker, run_worker

REPOSITORY = Path(__file__).parents[3]


def work(function, tmp_path, **request):
    events = []
    log = tmp_path / "log"
    result = run_worker(f"tests.pipeline.local.light_tasks:{function}", request, log=log, on_event=events.append)
    return result, events, log.read_text()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_result_events_and_output_are_kept_apart(tmp_path, capfd, monkeypatch):
    # A folder with the package's name in the current folder must not be imported.
    (tmp_path / "restem").mkdir()
    (tmp_path / "restem" / "__init__.py").write_text("raise RuntimeError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    result, events, log = work("echo", tmp_path, text="ü")
    assert result["text"] == "ü"
    assert result["argv"] == ["restem"]
    assert result["session"] == result["pid"] != os.getsid(0)
    assert events == [
        {"event": "step", "step": "Echo", "state": "started", "seconds": 0.0},
        {"event": "log", "level": "INFO", "message": "progress for people"},
    ]
    assert "chatter on standard output" in log
    assert "chatter from C" in log
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("how", "message", "names_log"),
    [
        ("fixable", "a/b.png: the label is missing. Add it.", False),
        ("beam", "a/b.png: the label is missing. Add it.", False),
        ("other", "the work failed: ValueError: last line.", True),
        ("memory", "too little memory", True),
        ("exit", "SystemExit: 3", True),
        ("killed", "ran out of memory", True),
        ("crash", "was killed by SIGSEGV", True),
    ],
)
def test_a_failure_is_one_paragraph(tmp_path, how, message, names_log):
    with pytest.raises(WorkFailed) as caught:
        work("fail", tmp_path, how=how)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (str(tmp_path / "log") in str(caught.value)) == names_log
    assert caught.value.exit_code == 1


def test_an_interrupt_ends_the_worker_and_its_children_at_once(tmp_path):
    pids = tmp_path / "pids"

    def interrupt(event):
        raise Interrupted(signal.SIGINT)

    request = {"pids": str(pids)}
    with pytest.raises(Interrupted):
        run_worker("tests.pipeline.local.light_tasks:hang", request, log=tmp_path / "log", on_event=interrupt)
    wait_until(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))


def test_a_worker_does_not_outlive_a_killed_parent_and_its_temporary_files_go(tmp_path, monkeypatch):
    pids = tmp_path / "pids"
    code = (
        "from pathlib import Path; from restem.pipeline.local.worker import run_worker; "
        f"run_worker('tests.pipeline.local.light_tasks:hang', {{'pids': {str(pids)!r}}}, "
        f"log=Path({str(tmp_path / 'log')!r}))"
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, env={**os.environ, "TMPDIR": str(temporary)}
    )
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    remove_leftovers()
    (folder,) = temporary.iterdir()  # in use
    assert (folder / "written").is_file()
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))
    # The next command removes what the killed one left.
    assert run_worker("tests.pipeline.local.light_tasks:echo", {"a": 1}, log=tmp_path / "log")["a"] == 1
    assert list(temporary.iterdir()) == []


def test_temporary_folders_that_may_be_somebodys_stay(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    new, old, linked = (tmp_path / f"{PREFIX}{name}" for name in ("new", "old", "linked"))
    elsewhere = tmp_path / "elsewhere"
    for folder in (new, old, elsewhere):
        folder.mkdir()
        (folder / "file").touch()
    os.utime(old, (0, 0))
    linked.symlink_to(elsewhere)
    remove_leftovers()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", linked.name, new.name]
    assert (elsewhere / "file").is_file()


def test_a_short_task_keeps_its_log_only_if_it_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run_in_worker("tests.pipeline.local.light_tasks:echo", {"a": 1})["a"] == 1
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == "progress for people\n"
    with pytest.raises(WorkFailed):
        run_in_worker("tests.pipeline.local.light_tasks:fail", {"how": "other"})
    assert [path.suffix for path in tmp_path.iterdir()] == [".log"]


def test_the_failed_step_is_named():
    error = ValueError("first line\nlast line")
    error.step = "Trainer"
    assert explain_failure(error) == ("the step Trainer failed: ValueError: last line.", False)


@pytest.mark.parametrize(
    "words",
    [
        "Channel closed prematurely.",
        "Pipeline job_1 failed in state FAILED: io.grpc.StatusRuntimeException: CANCELLED: client cancelled",
        "SDK worker disconnected: worker_1, 3 active instructions, error: EOF",
    ],
)
def test_a_worker_of_beam_that_ended_early_is_named(words):
    error = RuntimeError(f"Traceback ...\n  {words}")
    error.step = "Transform"
    told, fixable = explain_failure(error)
    assert told.startswith("the step Transform failed: a worker process of Beam ended before its work was done")
    assert "memory" in told
    assert not fixable


def test_a_full_disk_is_named():
    message, fixable = explain_failure(OSError(28, "No space left on device"))
    assert "The disk is full: remove what is not needed" in message
    assert not fixable


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "FOLDER/pipeline/x"),
        RuntimeError("FOLDER/part-0; No space left on device [while running 'Write']"),
        ValueError("FOLDER/metadata.sqlite: database or disk is full"),
    ],
)
def test_which_disk_is_full_and_what_is_free_is_said(tmp_path, error):
    if isinstance(error, OSError):
        error = OSError(28, error.strerror, error.filename.replace("FOLDER", str(tmp_path)))
    else:
        error = type(error)(str(error).replace("FOLDER", str(tmp_path)))
    try:
        try:
            raise error
        except Exception as cause:
            raise RuntimeError("a library failed") from cause
    except RuntimeError as wrapped:
        message, _ = explain_failure(wrapped)
    assert f"The disk of {tmp_path} is full (" in message
    assert " MiB free)" in message

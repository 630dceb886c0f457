"""Runs heavy work in a separate process, so that a light process handles the console, the signals and the exit.

TensorFlow, Beam and TFX write to the file descriptors 1 and 2 from C++ as well as from Python: in the worker both go
to the log file. A worker that hangs in C++, is still importing, or is killed because of low memory cannot block the
parent, which reports it. Files on disk stay consistent: TFX publishes a step's outputs in one SQLite transaction after
they are written, and a rerun registers its own executions (the launcher looks for unfinished ones in the same run).

The worker reads one JSON request from its standard input, which stays open as long as the parent lives, and writes one
JSON event per line.
"""

import contextlib
import importlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from restem.pipeline.environment import TENSORFLOW_VARIABLES
from restem.pipeline.environment.memory import meminfo
from restem.pipeline.errors import Interrupted, WorkFailed, explain_failure
from restem.pipeline.local.endings import at_end
from restem.pipeline.local.scrubbed import scrubbed
from restem.pipeline.local.temporary import temporary_folder
from restem.trainer.variables import TRAINING_STEPS
from restem.visible import say, use_for_logs, visible_lines

Event = dict[str, Any]
MIB = 2**20
STOP_SECONDS = 20.0  # for the step of a training that is running, and its checkpoint
CANCEL_SECONDS = 15.0  # for a job server to cancel a job


# --- the parent process --------------------------------------------------------------------------------------------


def run_worker(
    target: str,
    request: dict[str, Any],
    *,
    log: Path,
    on_event: Callable[[Event], None] = lambda event: None,
    inherit: tuple[int, ...] = (),
    runs_model: bool = False,
) -> Any:
    """Calls `target(request, emit)` in a new process and returns its result (converted to JSON and back).

    Args:
        target: "module:function".
        request: the function's argument, a JSON object.
        log: the file for the worker's standard output and standard error.
        on_event: called in this process for each event of the worker; {"event": "log", "message": ...} for each
            message of the logger "restem".
        inherit: file descriptors that stay open in the worker (a lock).
        runs_model: whether it runs a model that may come from somebody else: then it gets no credentials.

    Raises:
        WorkFailed: the function raised, or its process died.
    """
    with temporary_folder() as (temporary, lock):
        return _run(target, request, log, on_event, (*inherit, lock), temporary, runs_model=runs_model)


def _run(
    target: str,
    request: dict[str, Any],
    log: Path,
    on_event: Callable[[Event], None],
    inherit: tuple[int, ...],
    temporary: Path,
    *,
    runs_model: bool,
) -> Any:
    """`run_worker` with a folder for the worker's temporary files."""
    read_end, write_end = os.pipe()
    with open(log, "ab") as log_file:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            # -P: do not import modules from the current folder.
            [sys.executable, "-P", "-m", __name__, target, str(write_end)],
            stdin=subprocess.PIPE,
            stdout=log_file,
            stderr=log_file,
            pass_fds=(write_end, *inherit),
            start_new_session=True,  # only the parent receives Ctrl-C
            env={
                "PYTHONFAULTHANDLER": "1",
                **TENSORFLOW_VARIABLES,
                **(scrubbed(os.environ) if runs_model else os.environ),
                "TMPDIR": str(temporary),
            },
        )
    os.close(write_end)
    last: Event = {}
    running: str | None = None
    job: Event | None = None
    try:
        with open(read_end, encoding="utf-8") as events:
            with contextlib.suppress(BrokenPipeError):
                assert process.stdin is not None
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
            for line in events:
                last = json.loads(line)
                if last["event"] in ("result", "failed"):
                    break
                if last["event"] == "step":
                    running = last["step"] if last["state"] == "started" else None
                if last["event"] == "job":
                    job = last if last["state"] != "ENDED" and (last["endpoint"] or last["master"]) else None
                on_event(last)
        status = process.wait() if last.get("event") not in ("result", "failed") else 0
    except Interrupted:
        if running in TRAINING_STEPS:
            _ask_to_stop(process)
        raise
    finally:
        if job is not None:
            _cancel(process, job)
        _stop(process)
    if last.get("event") == "result":
        return last["value"]
    if last.get("event") == "failed":
        message = last["message"] if last["fixable"] else f"{last['message']} See the log: {log}."
        raise WorkFailed(message, fixable=last["fixable"])
    raise WorkFailed(_death(status), remedy=f"The log may have more details: {log}")


def run_in_worker(
    target: str,
    request: dict[str, Any],
    *,
    on_event: Callable[[Event], None] = lambda event: None,
    runs_model: bool = False,
) -> Any:
    """`run_worker` for a short task: its log is a temporary file, which is kept if the user cannot fix its failure.

    Messages of the logger "restem" appear on standard error; `on_event` is called for other events.
    """
    descriptor, name = tempfile.mkstemp(prefix="restem-", suffix=".log")
    os.close(descriptor)

    def show(event: Event) -> None:
        if event["event"] == "log":
            # The worker escapes it already; but a graph in it can write to the pipe too.
            say(event.get("message"), file=sys.stderr, flush=True)
        else:
            on_event(event)

    try:
        result = run_worker(target, request, log=Path(name), on_event=show, runs_model=runs_model)
    except Interrupted:
        os.unlink(name)
        raise
    except WorkFailed as failure:
        if failure.fixable:
            os.unlink(name)
        raise
    os.unlink(name)
    return result


def _ask_to_stop(process: subprocess.Popen) -> None:
    """Gives a training the time to write a checkpoint."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=STOP_SECONDS)


def _cancel(process: subprocess.Popen, job: Event) -> None:
    """Cancels the worker's job at a server of Beam, which would go on without it, and hold its place.

    The worker does it itself when its standard input ends. If it was killed, another one does.
    """
    if process.poll() is None:
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=CANCEL_SECONDS)
        return
    with contextlib.suppress(WorkFailed, Interrupted):
        if run_in_worker("restem.pipeline.local.jobs:cancel", job):
            say("restem: the job of the killed worker is cancelled", file=sys.stderr)
            return
    where = job["master"] or job["endpoint"]
    say(f"restem: the job {job['name']} could not be cancelled: see whether it still runs at {where}", file=sys.stderr)


def _stop(process: subprocess.Popen) -> None:
    """Kills the worker and its child processes. Nothing is lost: see the top of this file."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        process.stdin.close()
    process.wait()


def _death(status: int) -> str:
    if status >= 0:
        return f"the worker process ended early with exit code {status}{_memory()}"
    told = f"the worker process was killed by {signal.Signals(-status).name}{_memory()}"
    if status == -signal.SIGKILL:
        told += "; if the machine ran out of memory, a smaller train.batch_size or image.size needs less"
    return told


def _memory() -> str:
    """What a worker needed at most, and what the machine has left now, in brackets."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kilobytes elsewhere
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    found = meminfo()
    if not found:
        return f" (it had used up to {peak / MIB:,.0f} MiB)"
    available = found.get("MemAvailable", 0)
    return f" (it had used up to {peak / MIB:,.0f} MiB; the machine has {available / MIB:,.0f} MiB available now)"


# --- the worker process --------------------------------------------------------------------------------------------


class _EventHandler(logging.Handler):
    def __init__(self, emit: Callable[[Event], None]) -> None:
        super().__init__(logging.INFO)
        self.emit_event = emit

    def emit(self, record: logging.LogRecord) -> None:
        self.emit_event({"event": "log", "level": record.levelname, "message": visible_lines(record.getMessage())})


def main() -> None:
    """The worker process: sys.argv has the target and the file descriptor for events."""
    target, descriptor = sys.argv[1], int(sys.argv[2])
    sys.argv = ["restem"]  # TFX passes sys.argv[1:] to its executors
    os.set_inheritable(descriptor, False)
    events = os.fdopen(descriptor, "w", encoding="utf-8")
    lock = threading.Lock()

    def emit(event: Event) -> None:
        with lock:
            events.write(json.dumps(event) + "\n")
            events.flush()

    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_die_with_parent, daemon=True).start()
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname).1s %(name)s: %(message)s"
    )
    use_for_logs()
    logging.getLogger("restem").setLevel(logging.INFO)
    logging.getLogger("restem").addHandler(_EventHandler(emit))
    try:
        module, _, function = target.partition(":")
        result = getattr(importlib.import_module(module), function)(request, emit)
        emit({"event": "result", "value": result})
    except BaseException as error:
        traceback.print_exc()
        message, fixable = explain_failure(error)
        emit({"event": "failed", "message": message, "fixable": fixable})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # gRPC and Beam may still have threads; all results are on disk


def _die_with_parent() -> None:
    sys.stdin.read()
    time.sleep(0.2)  # a parent that ends normally kills this process itself
    for each in list(at_end):
        with contextlib.suppress(Exception):
            each()
    os.killpg(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()

"""Heavy work in a process of its own, so that the console, the signals and the exit belong to a light one.

TensorFlow, Beam and TFX write to the file descriptors 1 and 2 from C++ as well as from Python: the worker's go to
the log file. A worker that is stuck in C++, still importing, or killed for want of memory cannot keep the parent from
saying so. What is on disk is safe against that: TFX publishes a step's outputs in one SQLite transaction, after they
are written, and a rerun registers executions of its own (TFX's launcher looks for unfinished ones in the same
run only).

The worker is given one JSON request on its standard input, which stays open for as long as the parent lives, and
writes one JSON event a line.
"""

import contextlib
import importlib
import json
import logging
import os
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
from restem.pipeline.errors import Interrupted, WorkFailed, explain_failure

Event = dict[str, Any]


# --- the parent's side ---------------------------------------------------------------------------------------------


def run_worker(
    target: str,
    request: dict[str, Any],
    *,
    log: Path,
    on_event: Callable[[Event], None] = lambda event: None,
    inherit: tuple[int, ...] = (),
) -> Any:
    """Calls `target(request, emit)` in a new process and returns its result (as JSON carries it).

    Args:
        target: "module:function".
        request: what the function is given, as JSON carries it.
        log: the file that gets everything written to standard output and standard error there.
        on_event: called here for each event the worker emits; {"event": "log", "message": ...} for each message of
            the logger "restem".
        inherit: file descriptors that stay open in the worker (a lock).

    Raises:
        WorkFailed: the function raised, or its process died.
    """
    read_end, write_end = os.pipe()
    with open(log, "ab") as log_file:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            # -P: nothing in the folder where the user happens to be is imported.
            [sys.executable, "-P", "-m", __name__, target, str(write_end)],
            stdin=subprocess.PIPE,
            stdout=log_file,
            stderr=log_file,
            pass_fds=(write_end, *inherit),
            start_new_session=True,  # Ctrl-C reaches the parent alone
            env={"PYTHONFAULTHANDLER": "1", **TENSORFLOW_VARIABLES, **os.environ},
        )
    os.close(write_end)
    last: Event = {}
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
                on_event(last)
        status = process.wait() if last.get("event") not in ("result", "failed") else 0
    finally:
        _stop(process)
    if last.get("event") == "result":
        return last["value"]
    if last.get("event") == "failed":
        message = last["message"] if last["mendable"] else f"{last['message']} See the log: {log}."
        raise WorkFailed(message)
    raise WorkFailed(_death(status), remedy=f"The log may say more: {log}")


def run_in_worker(target: str, request: dict[str, Any]) -> Any:
    """`run_worker` for a short piece of work: its log lies among the temporary files, and stays where it failed.

    Messages of the logger "restem" appear on standard error.
    """
    descriptor, name = tempfile.mkstemp(prefix="restem-", suffix=".log")
    os.close(descriptor)

    def show(event: Event) -> None:
        if event["event"] == "log":
            print(event["message"], file=sys.stderr, flush=True)

    try:
        result = run_worker(target, request, log=Path(name), on_event=show)
    except Interrupted:
        os.unlink(name)
        raise
    os.unlink(name)
    return result


def _stop(process: subprocess.Popen) -> None:
    """Ends the worker with all it started. Nothing is lost: see the top of this file."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        process.stdin.close()
    process.wait()


def _death(status: int) -> str:
    if status == -signal.SIGKILL:
        return (
            "the working process was killed, probably because the machine ran out of memory; "
            "a smaller train.batch_size or image.size needs less"
        )
    if status < 0:
        return f"the working process died of {signal.Signals(-status).name}"
    return f"the working process ended early with exit code {status}"


# --- the worker's side ---------------------------------------------------------------------------------------------


class _EventHandler(logging.Handler):
    def __init__(self, emit: Callable[[Event], None]) -> None:
        super().__init__(logging.INFO)
        self.emit_event = emit

    def emit(self, record: logging.LogRecord) -> None:
        self.emit_event({"event": "log", "level": record.levelname, "message": record.getMessage()})


def main() -> None:
    """The worker process: sys.argv is target and the file descriptor for events."""
    target, descriptor = sys.argv[1], int(sys.argv[2])
    sys.argv = ["restem"]  # TFX hands sys.argv[1:] to its executors
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
    logging.getLogger("restem").setLevel(logging.INFO)
    logging.getLogger("restem").addHandler(_EventHandler(emit))
    try:
        module, _, function = target.partition(":")
        result = getattr(importlib.import_module(module), function)(request, emit)
        emit({"event": "result", "value": result})
    except BaseException as error:
        traceback.print_exc()
        message, mendable = explain_failure(error)
        emit({"event": "failed", "message": message, "mendable": mendable})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads of gRPC and Beam may be left over; all results are on disk


def _die_with_parent() -> None:
    sys.stdin.read()
    time.sleep(0.2)  # a parent that ends in order kills us itself
    os.killpg(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()

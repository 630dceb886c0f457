"""Tasks for run_worker without heavy imports."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from restem.errors import RestemError


def echo(request, emit):
    """Writes to all outputs, and returns the request."""
    emit({"event": "step", "step": "Echo", "state": "started", "seconds": 0.0})
    logging.getLogger("restem").info("progress for people")
    print("chatter on standard output")
    ctypes.CDLL(None).write(2, b"chatter from C\n", 15)
    return {**request, "pid": os.getpid(), "argv": sys.argv, "session": os.getsid(0)}


def fail(request, emit):
    """Fails as `request["how"]` says."""
    if request["how"] == "fixable":
        try:
            raise RestemError("the label is missing", where="a/b.png", remedy="Add it")
        except RestemError as error:
            raise RuntimeError("wrapped by a library") from error
    if request["how"] == "beam":
        raise RuntimeError(
            "Traceback ...\nrestem.errors.RestemError: a/b.png: the label is missing. Add it. "
            "[while running 'Read/ParDo']"
        )
    if request["how"] == "memory":
        raise MemoryError
    if request["how"] == "exit":
        sys.exit(3)
    if request["how"] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if request["how"] == "crash":
        ctypes.string_at(0)
    raise ValueError("first line\nlast line")


def hang(request, emit):
    """Sleeps in C with every signal ignored, with a child that does the same."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "600"])
    Path(tempfile.gettempdir(), "written").touch()
    Path(request["pids"]).write_text(f"{os.getpid()} {child.pid}")
    emit({"event": "step", "step": "Hang", "state": "started", "seconds": 0.0})
    ctypes.CDLL(None).sleep(600)

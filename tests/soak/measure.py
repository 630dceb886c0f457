"""Runs a command, kills it if asked, and measures it: time, peak memory and open files of all its processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.25
ENDING_SECONDS = 60  # in which processes end whose parent was killed
GROUP = "group"  # all processes at once
WORKER = "worker"  # those that the command has started
PARENT = "parent"  # the command itself
BEAM = "beam's worker"  # one of the processes in which Beam's functions run (beam.parallelism)
BEAM_WORKER = "sdk_worker_main"  # in its command line


@dataclass(frozen=True)
class Ended:
    """A command that ended.

    Attributes:
      code: its exit code; negative for a signal.
      killed: whether this module killed it.
      seconds: how long it took.
      memory_mib: the largest peak of one of its processes.
      open_files: the most that all its processes had open at once.
      out: its standard output.
    """

    code: int
    killed: bool
    seconds: float
    memory_mib: float
    open_files: int
    out: str


def restem(
    *arguments: str | Path,
    log: Path,
    kill_after: float | None = None,
    kill: str = GROUP,
    since: Callable[[], bool] = lambda: True,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Runs `restem ARGUMENTS`; `kill_after` seconds after `since`, the processes that `kill` names get SIGKILL.

    It returns when all processes have ended.
    """
    start, counted = time.monotonic(), None
    out = log.with_suffix(".out")
    with open(log, "ab") as errors, open(out, "wb") as output:
        command = [sys.executable, "-m", "restem", *map(str, arguments)]
        process = psutil.Popen(command, stdout=output, stderr=errors, stdin=subprocess.DEVNULL, env=environment)
    most, killed, others = 0, False, []
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        most = max(most, _open_files(process))
        counted = time.monotonic() if counted is None and since() else counted
        if not killed and kill_after is not None and counted and time.monotonic() - counted >= kill_after:
            others = _kill(process, kill)
            killed = bool(others) or kill != BEAM  # in a step without Beam, none is there
        time.sleep(SAMPLE_SECONDS)
    # A process that is ending still holds the run's lock.
    _, alive = psutil.wait_procs(others, timeout=ENDING_SECONDS)
    if alive:
        raise AssertionError(f"{ENDING_SECONDS} s after its {kill} was killed, these are alive: {alive}")
    return Ended(
        code=os.waitstatus_to_exitcode(status),
        killed=killed,
        seconds=time.monotonic() - start,
        memory_mib=usage.ru_maxrss / 1024,
        open_files=most,
        out=out.read_text(encoding="utf-8"),
    )


def _kill(process: psutil.Process, kill: str) -> list[psutil.Process]:
    """Kills; returns the command's other processes, killed or not: none if there is no process to kill."""
    try:
        others = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    beam = [one for one in others if _is_beam_worker(one)][:1] if kill == BEAM else []
    if kill == BEAM and not beam:
        return []
    for one in {GROUP: [*others, process], WORKER: others, PARENT: [process], BEAM: beam}[kill]:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    return others


def _is_beam_worker(process: psutil.Process) -> bool:
    try:
        return BEAM_WORKER in " ".join(process.cmdline()) and not process.children()  # not the shell that started it
    except psutil.Error:  # it has just ended
        return False


def _open_files(process: psutil.Process) -> int:
    total = 0
    try:
        for one in [process, *process.children(recursive=True)]:
            total += one.num_fds()
    except psutil.Error:  # it has just ended
        return 0
    return total


def disk(folder: Path) -> tuple[int, int]:
    """The bytes and the number of files below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(path.stat().st_size for path in files), len(files)

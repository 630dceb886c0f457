"""Runs the steps' commands as processes of a server that has imported TensorFlow and TFX: 8 s less for each step."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

SERVER = Path(__file__).with_name("fork_server.py")


class Containers:
    """A context manager: the server runs inside it.

    Args:
        python: the image's interpreter, whose `restem` the steps run.
    """

    def __init__(self, python: str | Path = sys.executable) -> None:
        self.python = python

    def __enter__(self) -> "Containers":
        self.server = subprocess.Popen(
            [self.python, "-P", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"]},
        )
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.server.kill()  # it has nothing to finish, and its libraries take seconds to end
        self.server.wait()

    def __call__(
        self, command: list[str], pod: Path, step: str, *, started: Callable[[int, Path], None] | None = None
    ) -> tuple[int, str]:
        """Runs `python -m MODULE ARGUMENTS` with a minimal environment.

        Args:
            command: the step's command.
            pod: the folder of the attempt.
            step: its name.
            started: called with the process's id and its log once it has started.

        Returns:
            The exit code and the log.
        """
        python, option, module, *arguments = command
        assert (python, option) == ("python", "-m"), command
        log = pod / "log"
        log.touch()
        environment = {"PATH": os.environ["PATH"], "HOME": str(pod / "tmp"), "TMPDIR": str(pod / "tmp")}
        call = {
            "module": module,
            "arguments": arguments,
            "folder": str(pod),
            "log": str(log),
            "environment": environment,
        }
        print(json.dumps(call), file=self.server.stdin, flush=True)
        process = int(self.server.stdout.readline())
        if started:
            started(process, log)
        code = int(self.server.stdout.readline())
        # As a container's: 128 and the signal.
        return code if code >= 0 else 128 - code, log.read_text(encoding="utf-8")

"""The process that runs a program of PyTorch, from this side: see torch_answers."""

import subprocess
import sys
import tempfile
import weakref

import numpy as np

from restem.convert.torch_answers import receive, send
from restem.errors import RestemError


class Program:
    """A program of PyTorch in another process, which ends with this object."""

    def __init__(self, path: str) -> None:
        """`path`: of a .pt2 file."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(  # noqa: S603 - a module of this project
            [sys.executable, "-m", "restem.convert.torch_answers", path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        weakref.finalize(self, _end, self._process)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels float32 [N, height, width, channels] to probabilities [N, classes].

        Raises:
          RestemError: the process ended.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            send(process.stdin, pixels)
            answers = receive(process.stdout)
        except (OSError, ValueError):
            answers = None
        if answers is not None:
            return answers
        process.kill()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        raise RestemError(
            "PyTorch could not run the model that it wrote",
            where="--to torch",
            given=(lines or [f"exit code {process.wait()}"])[-1][:500],
            remedy="The other formats do not need PyTorch",
        )


def _end(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()

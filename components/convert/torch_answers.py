"""Runs a program of PyTorch in a process of its own: python -m restem.convert.torch_answers FILE.pt2.

A process that has loaded TensorFlow may abort when it loads PyTorch (seen with TensorFlow 2.21 and PyTorch 2.15, in
Triton), so the two never share one. Arrays come on standard input, and answers go to standard output.
"""

import os
import struct
import sys
from typing import IO

import numpy as np

_HEADER = struct.Struct("<4q")  # the array's sizes; 0 for a dimension that it does not have


def send(pipe: IO[bytes], values: np.ndarray) -> None:
    """Writes a float32 array of 1 to 4 dimensions, none of them 0."""
    pipe.write(_HEADER.pack(*values.shape, *[0] * (4 - values.ndim)))
    pipe.write(np.ascontiguousarray(values, "<f4").tobytes())
    pipe.flush()


def receive(pipe: IO[bytes]) -> np.ndarray | None:
    """Reads one; None at the end of the pipe."""
    header = pipe.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    shape = tuple(size for size in _HEADER.unpack(header) if size)
    return np.frombuffer(pipe.read(4 * int(np.prod(shape))), "<f4").reshape(shape).copy()


def main(path: str) -> None:
    """Answers until the input ends."""
    import torch

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints does not get between the arrays
    program = torch.export.load(path).module()
    while (pixels := receive(sys.stdin.buffer)) is not None:
        with torch.no_grad():
            send(answers, program(torch.from_numpy(pixels)).numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])

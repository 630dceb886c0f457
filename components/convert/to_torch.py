"""PyTorch's side of the format torch, in a process of its own.

    python -m restem.convert.to_torch FILE.keras FILE.pt2   writes a .keras file as an ExportedProgram
    python -m restem.convert.to_torch FILE.pt2              answers arrays on standard input on standard output

Keras's exporter needs the backend torch, which is chosen when Keras is imported. And PyTorch and TensorFlow together
have ended their process.
"""

import io
import os
import struct
import sys
from typing import IO

import numpy as np

_LENGTH = struct.Struct("<Q")


def write(source: str, target: str) -> None:
    """Writes the program; it takes any number of images at a time."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import torch

    import restem.stem.saved  # noqa: F401 - registers the class of modified networks

    model = keras.saving.load_model(source, compile=False)
    (given,) = model.inputs
    signature = [keras.InputSpec(shape=(None, *given.shape[1:]), dtype="float32", name=given.name)]
    batch = {0: torch.export.Dim("batch", min=1)}
    with torch.device("cpu"), torch.no_grad():
        model.eval()
        model.export(target, format="torch", input_signature=signature, verbose=False, dynamic_shapes=batch)


def answer(path: str, received: IO[bytes], sent: IO[bytes]) -> None:
    """Runs a program on each array that comes, until there are no more."""
    import torch

    module = torch.export.load(path).module()
    with torch.no_grad():
        while (pixels := receive(received)) is not None:
            send(module(torch.from_numpy(pixels)).numpy(), sent)


def send(array: np.ndarray, stream: IO[bytes]) -> None:
    """Writes an array with its length in bytes in front."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    stream.write(_LENGTH.pack(buffer.tell()) + buffer.getvalue())
    stream.flush()


def receive(stream: IO[bytes]) -> np.ndarray | None:
    """The next array; None if there is none."""
    start = stream.read(_LENGTH.size)
    if len(start) < _LENGTH.size:
        return None
    return np.load(io.BytesIO(stream.read(*_LENGTH.unpack(start))), allow_pickle=False)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        write(*sys.argv[1:])
    else:
        # Whatever PyTorch prints must not come between the answers.
        answers = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        answer(sys.argv[1], sys.stdin.buffer, answers)

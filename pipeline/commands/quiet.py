"""What commands show while they work: nothing of TensorFlow's startup messages, and how far they are."""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import TextIO

from restem.pipeline.environment import quiet_tensorflow

EVERY_SECONDS = 5.0


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Sends TensorFlow's startup messages to a temporary file; C++ writes directly to the file descriptors."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in enumerate(kept, start=1):
                os.dup2(copy, number)
                os.close(copy)


def start_tensorflow() -> None:
    """Loads TensorFlow, and lets it look for processors, without messages on the terminal."""
    with quiet():
        quiet_tensorflow()
        import tensorflow as tf

        tf.constant(0)


class Counted:
    """Prints how many files are done, their rate and the time that is left, every five seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._start = self._told = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Called after each file."""
        now = time.monotonic()
        if now - self._told < EVERY_SECONDS:
            return
        self._told = now
        rate = done / (now - self._start)
        left = (total - done) / rate
        print(f"{done:,} of {total:,} files, {rate:,.0f} files/s, {left:,.0f} s left", file=self._stream, flush=True)

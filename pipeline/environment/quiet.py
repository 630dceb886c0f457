"""Keeps TensorFlow's startup messages away from the terminal."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from restem.pipeline.environment import TENSORFLOW_VARIABLES


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
        for name, value in TENSORFLOW_VARIABLES.items():
            os.environ.setdefault(name, value)
        import tensorflow as tf

        tf.constant(0)

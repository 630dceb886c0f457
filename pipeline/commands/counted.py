"""Shows how far a command is in many files."""

import time
from typing import TextIO

EVERY_SECONDS = 5.0


class Counted:
    """Prints how many files are done, their rate and the time that is left, every five seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._first, self._start, self._told = 0, 0.0, 0.0

    def __call__(self, done: int, total: int) -> None:
        """Called after each file."""
        now = time.monotonic()
        if not self._start:  # The time before was for loading.
            self._first, self._start, self._told = done, now, now
        if now - self._told < EVERY_SECONDS:
            return
        self._told = now
        rate = (done - self._first) / (now - self._start)
        left = (total - done) / max(rate, 1e-9)
        print(f"{done:,} of {total:,} files, {rate:,.0f} files/s, {left:,.0f} s left", file=self._stream, flush=True)

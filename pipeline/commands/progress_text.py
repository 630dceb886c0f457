"""How far a command is in many files, as a line."""

import time
from collections.abc import Mapping
from typing import Any, TextIO

from restem.visible import say

EVERY_SECONDS = 5.0


def progress_text(event: Mapping[str, Any]) -> str:
    """The progress as a line: "1,200 of 5,000 images, 3 unreadable, 85 images/s, about 1 min left"."""
    speed = (event["done"] - event["kept"]) / max(event["seconds"], 1e-9)
    left = (event["total"] - event["done"]) / max(speed, 1e-9)
    failed = f", {event['failed']:,} unreadable" if event["failed"] else ""
    time_left = f"{left:.0f} s" if left < 90 else f"{left / 60:.0f} min" if left < 5400 else f"{left / 3600:.1f} h"
    rate = f"{speed:,.0f}" if speed >= 10 else f"{speed:.1f}"
    return f"{event['done']:,} of {event['total']:,} images{failed}, {rate} images/s, about {time_left} left"


class Counted:
    """Prints how many files are done, their rate and the time that is left, every five seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._kept, self._start, self._told = 0, 0.0, 0.0

    def __call__(self, done: int, total: int) -> None:
        """Called after each file."""
        now = time.monotonic()
        if not self._start:  # The time before was for loading.
            self._kept, self._start, self._told = done, now, now
        if now - self._told < EVERY_SECONDS:
            return
        self._told = now
        event = {"done": done, "total": total, "failed": 0, "kept": self._kept, "seconds": now - self._start}
        say(progress_text(event), file=self._stream, flush=True)

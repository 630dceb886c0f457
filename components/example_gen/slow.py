"""Names the file that is being read when it takes long, because its decoder, a C library, cannot be interrupted."""

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType

_LOG = logging.getLogger("restem")
SECONDS = 60.0  # between two lines about the same file


class SlowFiles:
    """Logs what is being read every minute that it takes; a thread of its own looks at the clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reading: tuple[str, float] | None = None
        self._stop = threading.Event()

    def __enter__(self) -> "SlowFiles":
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()

    def reading(self, path: str) -> None:
        """Says what is read from now on; empty if nothing is."""
        self._reading = (path, self._clock()) if path else None

    def sentence(self) -> str | None:
        """What to say now, if anything."""
        now = self._reading
        seconds = 0.0 if now is None else self._clock() - now[1]
        return None if now is None or seconds < SECONDS else f"reading {now[0]} takes long: {seconds:.0f} s so far"

    def _watch(self) -> None:
        while not self._stop.wait(SECONDS):
            if (sentence := self.sentence()) is not None:
                _LOG.warning("%s", sentence)

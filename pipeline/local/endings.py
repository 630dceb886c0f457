"""What a worker process does before it ends because its parent asked for it, or died."""

from collections.abc import Callable

at_end: list[Callable[[], None]] = []

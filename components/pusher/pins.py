"""Pins: a file `pinned-<version>` beside the versions keeps one of them. Model servers ignore such names.

A file for each version, so that two people who pin at the same time do not undo each other's pin.
"""

import re

from restem import files
from restem.files import entries

PIN = re.compile(r"^pinned-(\d+)$")
MAX_REASON = 200  # characters


def read_pins(destination: str) -> dict[int, str]:
    """The pinned versions in a folder, each with the first line of its file: why."""
    found: dict[int, str] = {}
    for name in entries(destination):
        match = PIN.fullmatch(name) if name.isascii() else None
        if match is None:
            continue
        try:
            text = files.read(f"{destination.rstrip('/')}/{name}").decode("utf-8", errors="replace").strip()
        except OSError:  # a folder, or a file that was just removed or may not be read: the name counts
            text = ""
        found[int(match[1])] = text.splitlines()[0][:MAX_REASON] if text else ""
    return found


def pin(destination: str, number: int, reason: str) -> None:
    """Pins a version."""
    files.write(f"{destination.rstrip('/')}/pinned-{number}", f"{reason}\n".encode())


def unpin(destination: str, number: int) -> bool:
    """Removes a version's pin; False if it has none."""
    path = f"{destination.rstrip('/')}/pinned-{number}"
    if not files.exists(path):
        return False
    files.remove(path)
    return True

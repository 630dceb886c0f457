"""Real damage to files."""

from pathlib import Path

# The weights of a SavedModel.
DATA = "variables/variables.data-00000-of-00001"


def flip(path: Path) -> None:
    """Changes bytes in the middle; the length stays the same."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = bytes(255 - byte for byte in content[middle : middle + 8])
    path.write_bytes(bytes(content))

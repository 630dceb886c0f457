"""Fingerprints of source code and checkpoints, so that a step is not taken from the cache when they changed."""

import hashlib
from pathlib import Path

_COMPONENTS = Path(__file__).parent
SUFFIXES = {".py", ".html", ".css"}


def code_fingerprint(*rooms: str) -> str:
    """The fingerprint of the sources of some rooms: Python, and the page's template and style.

    TFX's cache compares a step's inputs and properties, not the code behind `preprocessing_fn` or `run_fn`
    (tensorflow/tfx issue 2247), so the steps carry this as a property.

    Args:
      *rooms: names of folders in `components/`, "images" for instance.

    Returns:
      16 hexadecimal digits; the same for the same sources on every machine.
    """
    digest = hashlib.sha256()
    for room in sorted(rooms):
        for source in sorted(path for path in (_COMPONENTS / room).rglob("*") if path.suffix in SUFFIXES):
            digest.update(source.relative_to(_COMPONENTS).as_posix().encode())
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def file_fingerprint(path: str) -> str | None:
    """The fingerprint of a file's content: a checkpoint that was replaced must not be taken for the old one.

    Args:
      path: a local file, or anything else.

    Returns:
      16 hexadecimal digits; none where there is no such file here (`imagenet`, a path on another machine).
    """
    if not Path(path).is_file():
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]

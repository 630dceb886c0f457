"""A fingerprint of this project's own source code, so that a step whose code changed is not taken from the cache."""

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

"""Digests of the Python packages with which something was computed."""

import hashlib
from importlib.metadata import distributions
from pathlib import Path

# Beside the code in the repository; an installed package does not have it.
LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"


def lock_digest() -> str | None:
    """The SHA-256 of requirements.lock, as 64 hexadecimal digits; None if the code does not run from the repository."""
    return hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.is_file() else None


def packages_digest() -> str:
    """The SHA-256 of all installed packages: the sorted lines "name==version", with names in lower case."""
    found = {f"{each.metadata['Name'].lower()}=={each.version}" for each in distributions()}
    return hashlib.sha256("\n".join(sorted(found)).encode("utf-8")).hexdigest()

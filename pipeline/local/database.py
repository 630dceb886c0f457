"""The metadata database of a root: whether it is whole, and how to start a new one."""

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from restem.errors import RestemError

DATABASE = "metadata.sqlite"
# What SQLite keeps next to a database that is being written.
BESIDE = ("", "-journal", "-wal", "-shm")


def check_database(root: Path) -> str | None:
    """Refuses a damaged database.

    Args:
        root: the run's folder.

    Returns:
        What must be said of a database that is empty; otherwise None.

    Raises:
        RestemError: it is damaged.
    """
    database = root / DATABASE
    if not database.is_file():
        return None
    if not database.stat().st_size:
        return f"{database} is empty (0 bytes): no earlier result is known, so every step is computed again"
    problem = damage(database)
    if problem is None:
        return None
    raise RestemError(
        "the metadata database of this folder is damaged",
        where=str(database),
        expected="the SQLite database that TFX wrote",
        given=problem,
        remedy="Its list of earlier runs and results is lost, not the pushed models. Restore a copy, or run: restem "
        f"repair --root {root}. It sets this file aside, and the next run starts a new one",
    )


def damage(database: Path) -> str | None:
    """What is wrong with a database; None if SQLite can read all of it, and all its texts are UTF-8."""
    try:
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                return found.splitlines()[-1]
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                for _ in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - names from the database itself
                    pass
    except sqlite3.Error as error:
        return str(error)
    return None


def set_aside(root: Path) -> Path | None:
    """Renames a root's database, so that the next run starts a new one; returns its new name, or None without one."""
    database = root / DATABASE
    if not database.is_file():
        return None
    kept = root / f"{DATABASE}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    for suffix in BESIDE:
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{database}{suffix}", f"{kept}{suffix}")
    return kept

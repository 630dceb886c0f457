"""A folder for the temporary files of a worker process: nothing of it stays, however the worker or the command ends.

TensorFlow, Beam and TFX write files into the system's temporary folder and remove them when their process ends, which a
killed process does not. A command that is killed itself cannot remove its folder. The next one does: the lock of
such a folder is free.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "restem-work-"
LOCK = ".lock"
NEW_SECONDS = 3600.0  # a folder without a lock has just been made, unless it is older


@contextlib.contextmanager
def temporary_folder() -> Iterator[tuple[Path, int]]:
    """A new folder, and the descriptor of its lock, which the processes that use the folder must inherit."""
    remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder, lock
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_leftovers() -> None:
    """Removes the folders of this user that no process uses any more. Symbolic links are not followed."""
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_uid == os.getuid():
                        _remove_if_free(Path(entry.path))


def _remove_if_free(folder: Path) -> None:
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        if time.time() - folder.lstat().st_mtime > NEW_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:  # in use
        return
    finally:
        os.close(lock)

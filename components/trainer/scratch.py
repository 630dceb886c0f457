"""A training's temporary files: what is larger than memory, and read in any order.

They have no name. So the system frees them when the process ends, even if it is killed: nothing is left over, and no
half file is ever taken for a whole one. A training that goes on writes them again.
"""

import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import tensorflow as tf

from restem.errors import RestemError
from restem.exhausted import MIB, filled_the_disk
from restem.files import existing_folder
from restem.storage import is_remote

# What the disk must still have free after it, for the checkpoints and the model. A tenth of what the file takes, too.
LEFT_FREE = 2**28
IN_MEMORY = ("tmpfs", "ramfs")
MOUNTS = Path("/proc/self/mountinfo")

log = logging.getLogger("restem")


class Rows:
    """Strings of bytes in a file, read in any order, by several threads at once."""

    def __init__(self, file: BinaryIO, begins: np.ndarray, sizes: np.ndarray) -> None:
        """Args:
        file: with the strings.
        begins, sizes: of each string, in bytes, int64 [count].
        """
        self._file, self._begins, self._sizes = file, begins, sizes

    def read(self, positions: tf.Tensor) -> tf.Tensor:
        """The strings [count] at these positions, int64 [count]."""
        return tf.ensure_shape(tf.numpy_function(self._read, [positions], tf.string), [None])

    def _read(self, positions: np.ndarray) -> np.ndarray:
        file = self._file.fileno()
        begins, sizes = self._begins[positions].tolist(), self._sizes[positions].tolist()
        return np.array([os.pread(file, size, begin) for begin, size in zip(begins, sizes, strict=True)], object)


class Scratch:
    """The disk space of one training step; its files are freed at the end of `with`, or with the object."""

    def __init__(self, folder: str | Path | None, *, required: bool = False) -> None:
        """Args:
        folder: where the files go, if it is on this machine and its disk has room; otherwise the system's folder for
          temporary files, if that is not in memory.
        required: what does not fit is refused.
        """
        self._folders = [] if folder is None or is_remote(str(folder)) else [existing_folder(Path(folder))]
        self._folders.append(Path(tempfile.gettempdir()))
        self._required = required
        self._files = ExitStack()

    def __enter__(self) -> "Scratch":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._files.close()

    def rows(self, what: str, strings: Iterable[bytes], sizes: np.ndarray, order: np.ndarray) -> Rows | None:
        """Writes strings to a file.

        Args:
          what: they are, in the plural, for the log.
          strings: in any order.
          sizes: in bytes, int64 [count], in their order.
          order: where the string at each position stands among them, int64 [count].

        Returns:
          The strings; None if no disk has room for them, which is logged.

        Raises:
          RestemError: no disk has room, and the file is required.
        """
        size = int(sizes.sum())
        folder = self._with_room(size)
        if folder is None:
            self._refuse(what, size)
            return None
        log.info("%s: a copy of %s MiB, to read them in any order, in %s", what, f"{size / MIB:,.0f}", folder)
        file = self._files.enter_context(tempfile.TemporaryFile(prefix="restem-", dir=folder))  # noqa: SIM115
        try:
            for one in strings:
                file.write(one)
            file.flush()
        except OSError as error:
            if not filled_the_disk(error):
                raise
            file.close()
            self._refuse(what, size)
            return None
        begins = np.cumsum(sizes) - sizes
        return Rows(file, begins[order], sizes[order])

    @contextmanager
    def array(self, what: str, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
        """A float32 array of this shape in a file, which is freed at the end of `with`.

        If no disk has room it is in memory, which is logged.

        Args:
          what: it has, in the plural, for the log.
          shape: of the array.

        Raises:
          OSError: the disk became full meanwhile.
        """
        size = 4 * math.prod(shape)
        folder = self._with_room(size)
        if folder is None:
            log.warning("%s: they are kept in memory", self._too_large(what, size))
            yield np.empty(shape, np.float32)
            return
        log.info("%s: %s MiB in %s", what, f"{size / MIB:,.0f}", folder)
        with tempfile.TemporaryFile(prefix="restem-", dir=folder) as file:
            _take(file, size, folder)
            yield np.memmap(file, np.float32, "w+", shape=shape)

    def _with_room(self, size: int) -> Path | None:
        wanted = size + max(LEFT_FREE, size // 10)
        return next((folder for folder in self._usable() if shutil.disk_usage(folder).free >= wanted), None)

    def _usable(self) -> Sequence[Path]:
        return [folder for folder in self._folders if os.access(folder, os.W_OK) and not is_in_memory(folder)]

    def _too_large(self, what: str, size: int) -> str:
        free = [f"{folder} has {shutil.disk_usage(folder).free / MIB:,.0f} MiB free" for folder in self._usable()]
        room = " and ".join(free) or "there is no disk for temporary files"
        return f"{what} take {size / MIB:,.0f} MiB and {room}"

    def _refuse(self, what: str, size: int) -> None:
        told = self._too_large(what, size)
        if self._required:
            raise RestemError(
                f"several workers must read the images in one order, from a copy on the disk of each: {told}",
                where="train.workers",
                remedy="Give the workers larger disks, or name a folder with room in the environment variable TMPDIR",
            )
        log.warning(
            "%s: too little for a copy that can be read in any order. They are read in the order of the examples' "
            "files and shuffled in parts: another Beam runner or parallelism would give other weights. Free some "
            "space, or name a folder with room in the environment variable TMPDIR",
            told,
        )


def _take(file: BinaryIO, size: int, folder: Path) -> None:
    """Gives a file its space now: where a disk is full, writing to mapped memory kills the process."""
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None


def is_in_memory(folder: Path) -> bool:
    """Whether a folder's files take memory, as those of many systems' /tmp do; no where the system does not say."""
    try:
        device, mounts = os.stat(folder).st_dev, MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    wanted = f"{os.major(device)}:{os.minor(device)}"
    # Each line: identity, parent, device, root, mount point, options, any number of tags, "-", the file system's type.
    return any(
        line.split()[2] == wanted and line.partition(" - ")[2].split(" ")[0] in IN_MEMORY for line in mounts if line
    )

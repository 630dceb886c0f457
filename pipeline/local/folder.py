"""The run's folder on disk, its lock, and the files that the run needs before it starts."""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from restem.errors import RestemError, check_visible
from restem.pipeline.config import Config, with_values


class RootTaken(RestemError):
    """Another run is using the same root."""

    exit_code = 1


@dataclass(frozen=True)
class RunFolder:
    """The folder given by --root. Paths in it are absolute."""

    root: Path

    @classmethod
    def of(cls, config: Config, root: str | Path | None = None) -> "RunFolder":
        """`root`, or runs/<name> under the current folder.

        Raises:
            RestemError: its path has control characters, which patterns of files and lists of paths do not survive.
        """
        path = (Path(os.path.expanduser(root)) if root else Path("runs") / config.name).resolve()
        check_visible(str(path), where="--root")
        return cls(path)

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def data(self) -> Path:
        """Where embedded images are written as files."""
        return self.root / "data"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of trainings, unless train.checkpoint.folder names another place."""
        return self.root / "checkpoints"

    def trained(self, step: str) -> None:
        """Removes the checkpoints of a step's trainings: it has ended, and its results are recorded."""
        from restem.trainer.variables import CHECKPOINTS_OF

        if name := CHECKPOINTS_OF.get(step):
            for path in self.checkpoints.glob(f"{name}[.-]*"):
                shutil.rmtree(path, ignore_errors=True)

    def new_log(self) -> Path:
        """Creates an empty log file for this run, named after the start time."""
        self.logs.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for number in range(1, 1000):
            path = self.logs / (f"{stamp}.log" if number == 1 else f"{stamp}-{number}.log")
            with contextlib.suppress(FileExistsError):
                path.touch(exist_ok=False)
                return path
        raise RestemError("no log file can be created", where=str(self.logs))

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Locks the root for this process and all that inherit the yielded file descriptor.

        The kernel releases the lock when the last of these processes ends, for any reason.

        Raises:
            RootTaken: another process holds the lock; the message gives its id and start time.
            RestemError: the folder cannot be created or written to.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            remedy = "Choose another folder with --root"
            raise RestemError(
                "the run's folder cannot be written to", where=str(self.root), given=error.strerror, remedy=remedy
            ) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
                raise RootTaken(
                    "another run is using this folder",
                    where=str(self.root),
                    given=holder or None,
                    remedy="Wait until it ends, or choose another folder with --root",
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()}, started {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode(), 0)
            yield descriptor
        finally:
            os.close(descriptor)


def training_environment(config: Config, folder: RunFolder) -> dict[str, str]:
    """The environment variables that tell the training steps where their checkpoints go."""
    from restem.trainer.variables import checkpoint_variables

    checkpoint = config.train.checkpoint
    return checkpoint_variables(checkpoint.folder or str(folder.checkpoints), checkpoint.every)


def resolved(config: Config, folder: RunFolder) -> Config:
    """The configuration for the pipeline: embedded images are replaced by the folders that `prepare` writes."""
    from restem.example_gen.embedded import embedded_folder

    config = with_values(config, data={"path": embedded_folder(config.data.path, folder.data)})
    if config.pretrain.path is None:
        return config
    return with_values(config, pretrain={"path": embedded_folder(config.pretrain.path, folder.data)})


def prepare(config: Config, folder: RunFolder) -> Config:
    """Writes the embedded images of the configuration to disk and returns `resolved(config, folder)`."""
    from restem.example_gen.embedded import write_embedded

    for path in (config.data.path, config.pretrain.path):
        if path is not None:
            write_embedded(path, folder.data)
    return resolved(config, folder)

"""Too little memory in a training: told apart from a full disk, and explained."""

import errno
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from restem.errors import RestemError
from restem.files import existing_folder

# What TensorFlow's allocators, XLA, cuDNN and CUDA say. The class of the error does not tell: ResourceExhaustedError
# also stands for a full disk, a quota, and too many open files, and XLA uses InternalError as well.
MEMORY = re.compile(r"\bOOM\b|out of memory|OUT_OF_MEMORY|ALLOC_FAILED|failed to allocate", re.IGNORECASE)
FULL = re.compile(
    "|".join(re.escape(os.strerror(code)) for code in (errno.ENOSPC, errno.EDQUOT)) + "|database or disk is full"
)
PATH = re.compile(r"/[^\s;:,'\"]+")
MIB = 2**20


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that there is too little memory, on this machine or on its GPU."""
    if isinstance(error, MemoryError):
        return True
    names = {kind.__name__ for kind in type(error).__mro__}  # TensorFlow's, which need not be loaded here
    return bool(names & {"ResourceExhaustedError", "InternalError"} and MEMORY.search(str(error)))


def filled_the_disk(error: BaseException) -> bool:
    """Whether the error says that a disk is full, or a quota on it used up."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    # TensorFlow, SQLite and Beam's workers raise their own errors with these words.
    return FULL.search(str(error)) is not None


def full_disk(error: BaseException) -> str:
    """The end of a message about a full disk: which disk it is, if the error names a path, and what is free there."""
    named = getattr(error, "filename", None)
    found = [named] if isinstance(named, str) else PATH.findall(str(error))
    for path in found:
        folder = existing_folder(Path(path))
        if folder != folder.parent:
            return f"The disk of {folder} is full ({shutil.disk_usage(folder).free / MIB:,.0f} MiB free)"
    return "The disk is full"


@contextmanager
def memory_errors_explained(phase: str, batch_size: int, size: Sequence[int]) -> Iterator[None]:
    """Within it, a lack of memory becomes an error that says what to change.

    Args:
      phase: "head", "stem", "all" or "pretrain".
      batch_size: images in a step.
      size: of an image: height, width, channels.

    Raises:
      RestemError: there is too little memory for a step.
    """
    try:
        yield
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        raise out_of_memory(phase, batch_size, size, device_memory()) from error


def out_of_memory(phase: str, batch_size: int, size: Sequence[int], device: str) -> RestemError:
    """The error for a step that does not fit.

    How much a step needs is not known before it fits: the proposal is the next smaller power of two.
    """
    image = " x ".join(str(side) for side in size[:2])
    smaller = 1 << max(batch_size - 1, 1).bit_length() - 1
    remedy = f"Try train.batch_size: {smaller}" if batch_size > 1 else "A smaller image.size needs less"
    return RestemError(
        f"there is too little memory for a training step{device}",
        where=f"phase {phase}",
        given=f"a batch size of {batch_size} with images of {image} pixels",
        remedy=f"{remedy}; whether it fits is known only when it runs"
        + (". A smaller image.size, and on a GPU train.precision: auto, need less as well" if batch_size > 1 else ""),
    )


def device_memory() -> str:
    """The memory that TensorFlow has used at most on the GPU, as the end of a sentence; empty without one."""
    import tensorflow as tf

    if not tf.config.list_logical_devices("GPU"):
        return ""
    try:
        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    except (ValueError, tf.errors.OpError):  # a device that does not count
        return ""
    return f" (up to {peak / MIB:,.0f} MiB were in use on the GPU)"

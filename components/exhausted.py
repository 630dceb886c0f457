"""Too little memory, or a full disk: told apart by what the errors of all libraries say."""

import errno
import os
import re
import shutil
from pathlib import Path

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

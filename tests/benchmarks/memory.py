"""Peak memory of this process."""

import re
import resource
from pathlib import Path


def peak_bytes() -> int:
    """Since the process began its program: `ru_maxrss` also counts the process that started it, before exec."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"^VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"), re.MULTILINE)[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS, in bytes

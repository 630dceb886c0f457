"""How much memory this machine, or this container, has left."""

import contextlib
from pathlib import Path


def meminfo(system: Path = Path("/")) -> dict[str, int]:
    """The kernel's figures by name, in bytes; empty where it is not Linux.

    Args:
        system: the folder with `proc`.
    """
    try:
        lines = (system / "proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if len(line.split()) > 1}


def available_memory(system: Path = Path("/")) -> int | None:
    """Bytes that a new process can take, with the swap; None where the system does not say.

    Args:
        system: the folder with `proc` and `sys`.
    """
    found = meminfo(system)
    if not found:
        return None
    limits = [found["MemAvailable"] + found.get("SwapFree", 0)] if "MemAvailable" in found else []
    group = system / "sys/fs/cgroup"
    with contextlib.suppress(OSError, ValueError):  # no limit of a container is "max"
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
        state = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        cache = next((int(line.split()[1]) for line in state if line.startswith("inactive_file ")), 0)
        limits.append(max(limit - used + cache, 0))
    return min(limits, default=None)

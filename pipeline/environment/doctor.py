"""Checks what this machine has and what is missing; each finding has a remedy."""

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from restem.files import existing_folder
from restem.pipeline.environment import TENSORFLOW_VARIABLES
from restem.processor import ONEDNN, describe_processor

MIN_GLIBC = (2, 38)  # what TFX 1.21's Linux wheels are linked against
MIN_FREE_BYTES = 2 * 2**30
PYTHONS = ((3, 11), (3, 13))
PACKAGES = ("tfx", "tensorflow", "keras", "apache-beam", "ml-metadata", "tensorflow-transform")


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    group: str  # "pipeline", "devices", "kubeflow" or "flink"
    name: str
    value: str
    ok: bool
    remedy: str | None = None

    def to_dict(self) -> dict:
        """For JSON."""
        return asdict(self)


def examine(folder: Path, *, deep: bool = False) -> list[Finding]:
    """All findings, in the order in which they are shown.

    Args:
        folder: where runs would be written; the free space of its disk is measured.
        deep: also ask TensorFlow for its devices, in a separate process (ten seconds).
    """
    return [*_pipeline(folder), *_devices(deep), *_kubeflow(), *_flink()]


def can_run(findings: list[Finding]) -> bool:
    """Whether the pipeline itself can run here."""
    return all(finding.ok for finding in findings if finding.group == "pipeline")


def _pipeline(folder: Path) -> list[Finding]:
    version = sys.version_info[:2]
    findings = [
        Finding(
            "pipeline",
            "Python",
            f"{platform.python_version()} ({sys.executable})",
            PYTHONS[0] <= version <= PYTHONS[1],
            "Use Python 3.11 (or 3.12, 3.13): PYTHON=python3.11 make setup",
        ),
        _c_library(),
    ]
    findings += [_package(name, "make setup installs it") for name in PACKAGES]
    folder = existing_folder(folder)
    free = shutil.disk_usage(folder).free
    findings.append(
        Finding(
            "pipeline",
            "free disk",
            f"{free / 2**30:.1f} GiB at {folder}",
            free >= MIN_FREE_BYTES,
            "A run needs at least 2 GiB: free some space, or choose another disk with --root",
        )
    )
    return [_without_remedy_if_ok(finding) for finding in findings]


def _c_library() -> Finding:
    name, version = platform.libc_ver()
    if sys.platform != "linux":
        return Finding("pipeline", "C library", f"{platform.system()} {platform.release()}", True)
    ok = name == "glibc" and tuple(int(part) for part in version.split(".")[:2]) >= MIN_GLIBC
    remedy = "TFX's wheels need glibc 2.38: make setup adds it to the virtual environment"
    private = _private_c_library()
    return Finding("pipeline", "C library", f"{name or 'unknown'} {version}{private}", ok, remedy)


def _private_c_library() -> str:
    """A note with the path if the C library in use belongs to the virtual environment."""
    try:
        with open("/proc/self/maps", encoding="utf-8") as maps:
            loaded = {line.split()[-1] for line in maps if "/libc.so.6" in line}
    except OSError:
        return ""
    return next((f" (the virtual environment's own, {path})" for path in loaded if path.startswith(sys.prefix)), "")


def _package(name: str, remedy: str, group: str = "pipeline") -> Finding:
    try:
        return Finding(group, name, importlib.metadata.version(name), True, remedy)
    except importlib.metadata.PackageNotFoundError:
        return Finding(group, name, "not installed", False, remedy)


def _devices(deep: bool) -> list[Finding]:
    findings = [Finding("devices", "processors", f"{len(_usable_processors())} of {os.cpu_count()}", True)]
    onednn = {**TENSORFLOW_VARIABLES, **os.environ}[ONEDNN] not in ("0", "false")  # as in the process of a run
    findings.append(Finding("devices", "instruction sets", describe_processor(onednn=onednn), True))
    memory = _memory_bytes()
    if memory:
        findings.append(Finding("devices", "memory", f"{memory / 2**30:.1f} GiB", True))
    names = _lines(["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"])
    remedy = "Training runs on the CPU. To use a GPU, install NVIDIA's driver, so that nvidia-smi shows the GPU"
    findings.append(Finding("devices", "GPU", "; ".join(names) or "none found by nvidia-smi", bool(names), remedy))
    if names and importlib.util.find_spec("nvidia") is None:
        remedy = "Install TensorFlow's CUDA libraries: .venv/bin/python -m pip install 'tensorflow[and-cuda]~=2.21.0'"
        findings.append(Finding("devices", "CUDA libraries", "not in this environment", False, remedy))
    if deep:
        code = "import tensorflow as tf; print(*[d.name for d in tf.config.list_physical_devices()], sep='\\n')"
        seen = _lines([sys.executable, "-c", code], timeout_seconds=120)
        findings.append(
            Finding(
                "devices",
                "TensorFlow sees",
                ", ".join(seen) or "nothing: it could not be loaded",
                bool(seen),
                "Run: .venv/bin/python -c 'import tensorflow', and read its last line",
            )
        )
    return [_without_remedy_if_ok(finding) for finding in findings]


def _usable_processors() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _memory_bytes() -> int | None:
    """The memory of the machine, or the limit of this container if that is less."""
    limits = []
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    with contextlib.suppress(ValueError, OSError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(limits, default=None)


def _kubeflow() -> list[Finding]:
    engines = [name for name in ("docker", "podman") if shutil.which(name)]
    findings = [
        _package("kfp", "pip install 'restem[kubeflow]'; needed by restem compile", "kubeflow"),
        _package("kfp-kubernetes", "pip install 'restem[kubeflow]'; needed by restem compile", "kubeflow"),
        _package("kfp-server-api", "pip install 'restem[kubeflow]'; needed by restem kubeflow", "kubeflow"),
        _package("cronsim", "pip install 'restem[kubeflow]'; needed by restem kubeflow schedule", "kubeflow"),
        _program("kubectl", "See https://kubernetes.io/docs/tasks/tools; needed to inspect the cluster", "kubeflow"),
        Finding(
            "kubeflow",
            "container engine",
            ", ".join(engines) or "neither docker nor podman",
            bool(engines),
            "Install docker or podman, on this or another machine, to build the image that the steps run in",
        ),
    ]
    return [_without_remedy_if_ok(finding) for finding in findings]


def _flink() -> list[Finding]:
    findings = [
        _program("java", "Install a Java 11 or 17 runtime (Debian: apt-get install openjdk-17-jre-headless)", "flink"),
        _program(
            "flink",
            "Install Flink 1.19 from https://flink.apache.org, or pip install apache-flink-libraries==1.19.*",
            "flink",
        ),
    ]
    if not findings[1].ok and importlib.util.find_spec("pyflink"):
        findings[1] = Finding("flink", "flink", "in the package apache-flink-libraries", True)
    return [_without_remedy_if_ok(finding) for finding in findings]


def _program(name: str, remedy: str, group: str) -> Finding:
    path = shutil.which(name)
    return Finding(group, name, path or "not found", path is not None, remedy)


def _lines(command: list[str], timeout_seconds: float = 10) -> list[str]:
    """The lines of a program's output; empty if it is missing, fails or hangs."""
    if not shutil.which(command[0]):
        return []
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_seconds)  # noqa: S603 - our own
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def _without_remedy_if_ok(finding: Finding) -> Finding:
    return Finding(finding.group, finding.name, finding.value, True) if finding.ok else finding

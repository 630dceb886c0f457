"""An environment in which the project is installed from its wheel, for the tests that start it as its users do."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def build_wheel(folder: Path) -> Path:
    """Builds the wheel from a copy of what is committed, so that nothing is left beside the sources."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    for name in ("components", "pipeline", "schemas"):
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder, source], check=True
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, environment: Path) -> Path:
    """Makes a virtual environment with that wheel in it; the other packages are those of the environment of the tests.

    Returns:
        The folder of its commands.
    """
    ours = Path(sys.prefix)
    commands = environment / "bin"
    commands.mkdir(parents=True)
    # A copy, not `venv`: this interpreter may have been given a C library of its own.
    shutil.copy(ours / "bin" / "python", commands)
    shutil.copy(ours / "pyvenv.cfg", environment)
    packages = environment / Path(sysconfig.get_path("purelib")).relative_to(ours)
    packages.mkdir(parents=True)
    # As a line in a file: the .pth files over there, this project's own among them, are not read.
    (packages / "other-packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    uv = [ours / "bin" / "uv", "pip", "install", "--quiet", "--python", commands / "python", "--offline"]
    subprocess.run([*uv, "--no-deps", wheel], check=True)
    return commands

"""An environment with the project installed from its wheel, for tests that start it the way users do."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def build_wheel(folder: Path) -> Path:
    """Builds the wheel from a copy of the sources, so that no build files are left in the repository."""
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
    """Makes a virtual environment with the wheel; it shares all other packages with the tests' environment.

    Returns:
        The folder with its commands.
    """
    ours = Path(sys.prefix)
    commands = environment / "bin"
    commands.mkdir(parents=True)
    # A copy instead of `venv`, because this interpreter may have its own C library.
    shutil.copy(ours / "bin" / "python", commands)
    shutil.copy(ours / "pyvenv.cfg", environment)
    packages = environment / Path(sysconfig.get_path("purelib")).relative_to(ours)
    packages.mkdir(parents=True)
    # Through a .pth file, Python does not read the .pth files in that folder, including this project's.
    (packages / "other-packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    uv = [ours / "bin" / "uv", "pip", "install", "--quiet", "--python", commands / "python", "--offline"]
    subprocess.run([*uv, "--no-deps", wheel], check=True)
    return commands

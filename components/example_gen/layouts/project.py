"""Notices that a folder of images is rather the parent folder of a software project."""

import os
from collections import Counter
from collections.abc import Sequence

from restem.errors import RestemError
from restem.example_gen.dataset import first_few

# Folders of software projects; no class of images is likely to have one of these names.
_FOLDERS = frozenset(
    (
        *("src", "doc", "docs", "tests", "lib", "libs", "bin", "build", "dist", "include", "scripts", "tools", "env"),
        *("notebooks", "examples", "node_modules", "venv", "__pycache__", "site-packages", "vendor", "target"),
        *("config", "configs", "logs", "checkpoints", "runs", "outputs"),
    )
)
_FILES = frozenset(
    (
        *("setup.py", "setup.cfg", "pyproject.toml", "package.json", "makefile", "cmakelists.txt", "cargo.toml"),
        *("go.mod", "requirements.txt", "environment.yml", "dockerfile", "pom.xml", "build.gradle", "gemfile"),
    )
)
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".npy", ".dcm", ".jp2", ".ppm", ".pgm")


def looks_like_project(path: str, tops: Sequence[str], files: Sequence[str], where: str) -> None:
    """Questions folders that are named like a project's.

    Args:
      path: the folder.
      tops: the folders at the top that have files.
      files: all files, relative.
      where: the key, for the message.

    Raises:
      RestemError: at least two folders are named like a project's, or one and a file such as setup.py next to it.
    """
    named = [name for name in tops if name.lower() in _FOLDERS]
    marked = [name for name in files if "/" not in name and name.lower() in _FILES]
    if not named or (len(named) < 2 and not marked) or (not marked and 2 * len(named) <= len(tops)):
        return
    raise RestemError(
        f"this looks like the folder of a software project, not of images: {first_few([f'{one}/' for one in named])}"
        f"{f' and {first_few(marked)}' if marked else ''} would be {'classes' if len(named) > 1 else 'a class'}",
        where=where,
        expected="a folder of images for each class",
        given=first_few([f"{name}/" for name in tops]),
        remedy=f"Set data.path to the folder of images{_suggested(path, files)}; if these are classes indeed, set "
        "data.folders: class",
    )


def _suggested(path: str, files: Sequence[str]) -> str:
    """The folder above the folders with the most images, to be named in the message."""
    counts = Counter(
        name.rpartition("/")[0].rpartition("/")[0] for name in files if "/" in name and name.lower().endswith(_IMAGES)
    )
    best = next((folder for folder, _ in counts.most_common() if folder), None)
    return f", perhaps {os.path.join(path, best)}" if best else ""

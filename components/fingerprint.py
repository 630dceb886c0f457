"""Fingerprints of source code and checkpoints, so that a step is not taken from the cache when they changed."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_COMPONENTS = Path(__file__).parent
_BESIDE = {".html", ".css"}  # what a module may read from its own folder


def code_fingerprint(*modules: str) -> str:
    """The fingerprint of the sources that some modules import, directly and through each other.

    TFX's cache compares a step's inputs and properties, not the code behind `preprocessing_fn` or `run_fn`
    (tensorflow/tfx issue 2247), so the steps carry this as a property.

    Args:
      *modules: names below `restem`, "trainer.module" for instance.

    Returns:
      16 hexadecimal digits; the same for the same sources on every machine.
    """
    digest = hashlib.sha256()
    for source in sources(*modules):
        digest.update(source.relative_to(_COMPONENTS).as_posix().encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def sources(*modules: str) -> list[Path]:
    """The files of `components` that some modules consist of: their own, all that these import, and pages and styles.

    Imports inside functions count as well: a step imports there what is heavy.

    Raises:
      ModuleNotFoundError: a name is not one of a module.
    """
    found: set[Path] = set()
    waiting = [("restem", *name.split(".")) for name in modules]
    for name in waiting:
        if _file(name) is None:
            raise ModuleNotFoundError(".".join(name))
    while waiting:
        name = waiting.pop()
        # A module's packages are imported before it; a name imported from a module is not a module.
        for length in range(1, len(name) + 1):
            file = _file(name[:length])
            if file is not None and file not in found:
                found.add(file)
                package = name[:length] if file.name == "__init__.py" else name[: length - 1]
                waiting += _imports(file.read_bytes(), package)
    beside = {other for file in found for other in file.parent.iterdir() if other.suffix in _BESIDE}
    return sorted(found | beside)


def _file(name: tuple[str, ...]) -> Path | None:
    """The file of a module or package below `components`; none where there is none of that name."""
    if name[1:2] == ("schemas",):
        return None  # in a folder of its own in the repository; the steps that read it say so in a property
    path = _COMPONENTS.joinpath(*name[1:])
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else None


@cache
def _imports(source: bytes, package: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """What a module of that package imports of `restem`: modules, or names in them."""
    return tuple(name for name in _imported(ast.parse(source), package) if name[0] == "restem")


def _imported(tree: ast.Module, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = (*above, *(node.module.split(".") if node.module else ()))
            yield from ((*module, alias.name) for alias in node.names)


def file_fingerprint(path: str) -> str | None:
    """The fingerprint of a file's content: a checkpoint that was replaced must not be taken for the old one.

    Args:
      path: a local file, or anything else.

    Returns:
      16 hexadecimal digits; none where there is no such file here (`imagenet`, a path on another machine).
    """
    if not Path(path).is_file():
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]

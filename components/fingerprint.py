"""Fingerprints of source code and checkpoints, so that a step is not taken from the cache after they change."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_COMPONENTS = Path(__file__).parent
_BESIDE = {".html", ".css", ".jinja"}  # files that a module may read from its folder


def code_fingerprint(*modules: str) -> str:
    """The fingerprint of some modules and of all sources that they import, directly or indirectly.

    TFX's cache compares a step's inputs and properties, not the code behind `preprocessing_fn` or `run_fn`
    (tensorflow/tfx issue 2247), so each step has this fingerprint as a property.

    Args:
      *modules: names inside `restem`, for example "trainer.module".

    Returns:
      16 hexadecimal digits; the same sources give the same digits on every machine.
    """
    digest = hashlib.sha256()
    for source in sources(*modules):
        digest.update(source.relative_to(_COMPONENTS).as_posix().encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def sources(*modules: str) -> list[Path]:
    """The files of some modules, of everything in `components` that they import, and the templates next to them.

    Imports inside functions count too, because steps import heavy packages there.

    Raises:
      ModuleNotFoundError: there is no module with that name.
    """
    found: set[Path] = set()
    seen: set[tuple[str, ...]] = set()  # most modules are imported dozens of times
    waiting = [("restem", *name.split(".")) for name in modules]
    for name in waiting:
        if _file(name) is None:
            raise ModuleNotFoundError(".".join(name))
    while waiting:
        name = waiting.pop()
        # Python imports a module's packages first. An imported name may be a function or class, not a module.
        for length in range(1, len(name) + 1):
            if name[:length] in seen:
                continue
            seen.add(name[:length])
            file = _file(name[:length])
            if file is not None and file not in found:
                found.add(file)
                package = name[:length] if file.name == "__init__.py" else name[: length - 1]
                waiting += _imports(file.read_bytes(), package)
    beside = {other for file in found for other in file.parent.iterdir() if other.suffix in _BESIDE}
    return sorted(found | beside)


def _file(name: tuple[str, ...]) -> Path | None:
    """The file of a module or package in `components`; None if there is none with that name."""
    if name[1:2] == ("schemas",):
        return None  # a separate folder of the repository; steps that read it have its hash as a property
    path = _COMPONENTS.joinpath(*name[1:])
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else None


@cache
def _imports(source: bytes, package: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The modules of `restem`, or names in them, that a module in that package imports."""
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
    """The fingerprint of a file's content, so that a replaced checkpoint is not mistaken for the old one.

    Args:
      path: a local file, or anything else.

    Returns:
      16 hexadecimal digits; None if this is not a local file (`imagenet`, a path on another machine).
    """
    if not Path(path).is_file():
        return None
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    if Path(path).name == "model.weights.h5":
        # A preset of KerasHub has the settings and the preprocessing of its weights in files beside them.
        for name in ("config.json", "image_converter.json", "preprocessor.json"):
            beside = Path(path).with_name(name)
            digest.update(beside.read_bytes() if beside.is_file() else b"")
    return digest.hexdigest()[:16]

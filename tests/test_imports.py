"""Who may import whom: no circles, and nothing imports upwards."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
# From below to above: a room imports itself and those before it in this list, none behind it.
ROOMS = (
    "schemas",
    "components",
    "components.errors",
    "components.fingerprint",
    "components.processor",
    "components.section",
    "components.storage",
    "components.tfrecords",
    "components.stem",
    "components.images",
    "components.example_gen",
    "components.transform",
    "components.trainer",
    "components.evaluator",
    "components.pusher",
    "components.baseline",
    "components.report",
    "pipeline",
    "pipeline.environment",
    "pipeline.errors",
    "pipeline.config",
    "pipeline.preflight",
    "pipeline.pipeline",
    "pipeline.datasets",
    "pipeline.kubeflow",
    "pipeline.kubeflow.container",
    "pipeline.kubeflow.compiler",
    "pipeline.kubeflow.client",
    "pipeline.local",
    "pipeline.local_runner",
    "pipeline.kubeflow_runner",
    "pipeline.commands",
    "pipeline.cli",
)


def find_modules() -> dict[str, Path]:
    found = {}
    for top in ("schemas", "components", "pipeline"):
        for file in (REPOSITORY / top).rglob("*.py"):
            parts = file.relative_to(REPOSITORY).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = find_modules()


def imports(name: str) -> set[str]:
    """The modules that a module imports, inside its functions too."""
    package = name.split(".") if MODULES[name].name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            whole = {f"{module}.{alias.name}" for alias in node.names}
            found |= (whole & set(MODULES)) or {module}
    return (found & set(MODULES)) - {name}


def room(name: str) -> str:
    return max((room for room in ROOMS if f"{name}.".startswith(f"{room}.")), key=len)


def test_there_are_no_circles():
    TopologicalSorter({name: imports(name) for name in MODULES}).prepare()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_nothing_imports_upwards(name):
    upwards = {other for other in imports(name) if ROOMS.index(room(other)) > ROOMS.index(room(name))}
    assert not upwards


def test_every_room_is_there():
    assert {room(name) for name in MODULES} == set(ROOMS)

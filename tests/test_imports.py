"""Who may import whom: no circles, and nothing imports upwards."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
# From below to above: a room imports itself and those before it in this list, none behind it.
ROOMS = (
    "restem.schemas",
    "restem",
    "restem.errors",
    "restem.fingerprint",
    "restem.processor",
    "restem.run_record",
    "restem.section",
    "restem.storage",
    "restem.tfrecords",
    "restem.yaml_dialect",
    "restem.stem",
    "restem.images",
    "restem.example_gen",
    "restem.transform",
    "restem.trainer",
    "restem.evaluator",
    "restem.pusher",
    "restem.baseline",
    "restem.report",
    "restem.pipeline",
    "restem.pipeline.environment",
    "restem.pipeline.errors",
    "restem.pipeline.config",
    "restem.pipeline.preflight",
    "restem.pipeline.pipeline",
    "restem.pipeline.datasets",
    "restem.pipeline.kubeflow",
    "restem.pipeline.kubeflow.container",
    "restem.pipeline.kubeflow.compiler",
    "restem.pipeline.kubeflow.client",
    "restem.pipeline.local",
    "restem.pipeline.local_runner",
    "restem.pipeline.kubeflow_runner",
    "restem.pipeline.commands",
    "restem.pipeline.cli",
    "restem.__main__",
)


def find_modules() -> dict[str, Path]:
    found = {}
    for package, folder in (("restem", "components"), ("restem.pipeline", "pipeline"), ("restem.schemas", "schemas")):
        for file in (REPOSITORY / folder).rglob("*.py"):
            parts = (package, *file.relative_to(REPOSITORY / folder).with_suffix("").parts)
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

"""Which package may import which: no cycles, and no imports of higher packages."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
# From low to high: a package may import itself and the packages before it in this list, but none after it.
PACKAGES = (
    "restem.schemas",
    "restem",
    "restem.visible",
    "restem.errors",
    "restem.installed",
    "restem.fingerprint",
    "restem.processor",
    "restem.environment",
    "restem.storage",
    "restem.files",
    "restem.exhausted",
    "restem.checksums",
    "restem.record_files",
    "restem.run_record",
    "restem.model_files",
    "restem.closer_record",
    "restem.section",
    "restem.tfrecords",
    "restem.yaml_dialect",
    "restem.stem",
    "restem.images",
    "restem.example_gen",
    "restem.transform",
    "restem.trainer",
    "restem.tuner",
    "restem.evaluator",
    "restem.notify",
    "restem.track",
    "restem.pusher",
    "restem.baseline",
    "restem.start",
    "restem.convert",
    "restem.report",
    "restem.pipeline",
    "restem.pipeline.environment",
    "restem.pipeline.errors",
    "restem.pipeline.config",
    "restem.pipeline.imagenet",
    "restem.pipeline.preflight_network",
    "restem.pipeline.preflight_machine",
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
    """The modules that a module imports, including imports inside functions."""
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


def package_of(name: str) -> str:
    return max((package for package in PACKAGES if f"{name}.".startswith(f"{package}.")), key=len)


def test_there_are_no_cycles():
    TopologicalSorter({name: imports(name) for name in MODULES}).prepare()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_nothing_imports_upwards(name):
    upwards = {other for other in imports(name) if PACKAGES.index(package_of(other)) > PACKAGES.index(package_of(name))}
    assert not upwards


def test_the_list_matches_the_packages():
    assert {package_of(name) for name in MODULES} == set(PACKAGES)

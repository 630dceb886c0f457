"""Fixtures that tests of several rooms share, and which tests share a process."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marker in the same hook
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """A file's tests stay in one process, for their fixtures' sake; so do the files that look at the one demo."""
    of_the_demo = {item.path for item in items if "demo" in item.fixturenames}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("demo" if item.path in of_the_demo else str(item.path)))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A pushed model's folder, made once; see tests/tiny_model.py."""
    from tests.tiny_model import export_tiny

    return export_tiny(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def put(tiny_model, tmp_path) -> Callable[..., Path]:
    """Copies the tiny model to `<destination>/<version>` in the test's folder; returns that."""

    def put(version: int | str, destination: str = "serving") -> Path:
        return Path(shutil.copytree(tiny_model, tmp_path / destination / str(version)))

    return put

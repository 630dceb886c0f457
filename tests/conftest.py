"""Fixtures for the tests of several packages."""

import gc
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Collects tests without collecting garbage: the imports make a million objects that stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """The folder of a pushed model, exported once; see tests/tiny_model.py."""
    from tests.tiny_model import export_tiny

    return export_tiny(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def put(tiny_model, tmp_path) -> Callable[..., Path]:
    """put(version, destination): copies the tiny model to `<destination>/<version>` in the test's folder; its path."""

    def put(version: int | str, destination: str = "serving") -> Path:
        return Path(shutil.copytree(tiny_model, tmp_path / destination / str(version)))

    return put

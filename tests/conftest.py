"""Fixtures that tests of several rooms share, and which tests share a process."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling


class FilesApart(LoadFileScheduling):
    """A file's tests share a process, for their fixtures' sake; so do the two files that look at the one demo."""

    DEMO = ("tests/e2e/test_demo.py", "tests/e2e/test_kubeflow.py")

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "demo" if file in self.DEMO else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesApart:
    """pytest-xdist's own groups (loadgroup) are lost on pytest 9.2, whose node ids cannot be set."""
    return FilesApart(config, log)


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

"""A root with nights, and its configuration."""

import pytest

from restem.pipeline.config import Config, load_config
from tests.pipeline.conftest import MINIMAL
from tests.pipeline.local.nights import Nights


@pytest.fixture
def nights(tmp_path) -> Nights:
    return Nights(tmp_path / "root")


@pytest.fixture
def config(write):
    def config(retention: str, more: str = "") -> Config:
        return load_config(write(f"{MINIMAL}retention: {retention}\n{more}"))

    return config

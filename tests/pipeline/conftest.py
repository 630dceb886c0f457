"""A small folder of images, and configurations written from text."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# Runs the command line, and fails if it loaded a module that takes seconds to load.
LIGHT = """
import sys
import restem.pipeline.cli as cli
try:
    cli.main()
finally:
    heavy = {'tensorflow', 'tfx', 'keras', 'apache_beam'} & set(sys.modules)
    assert not heavy, heavy
"""

REPOSITORY = Path(__file__).parents[2]
MINIMAL = "data: {path: images}\nimage: {size: 32}\n"


@pytest.fixture(autouse=True)
def workers_find_the_tests(monkeypatch):
    """Lets worker processes import functions of the tests."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))


@pytest.fixture
def write(tmp_path) -> Callable[..., Path]:
    """Writes a configuration into the test's folder, next to `images/`."""

    def write(text: str = MINIMAL, name: str = "own.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def images(tmp_path) -> Path:
    """Two classes of grey 20 x 30 images: 30 cats, 10 dogs."""
    rng = np.random.default_rng(0)
    for name, count in (("cat", 30), ("dog", 10)):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, (20, 30)).astype(np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "images"

"""README.md gives the measured results of the demo, and links in the documentation point to existing files."""

import re
from pathlib import Path

import pytest

from tests.benchmarks import demo

REPOSITORY = Path(__file__).parents[1]
README = REPOSITORY / "README.md"
FOLDERS = ("components", "pipeline", "schemas", "tests")
PAGES = sorted([*REPOSITORY.glob("*.md"), *(page for top in FOLDERS for page in (REPOSITORY / top).rglob("*.md"))])
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def test_the_demos_range_is_the_measured_one():
    assert demo.summary(demo.read()) in " ".join(README.read_text(encoding="utf-8").split())


def test_every_measured_run_of_the_demo_was_approved_beyond_chance():
    """With the margin that tests/e2e/test_demo.py requires on this machine."""
    rows = demo.read()
    assert [(one["setting"], one["seed"]) for one in rows] == demo.RUNS
    for one in rows:
        assert one["approved"], one
        assert one["pushed"], one
        assert one["low"] > 0.05, one


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_point_to_existing_files(page):
    assert [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()] == []


def test_the_readme_links_to_every_page():
    linked = {README.parent / link for link in LINK.findall(README.read_text(encoding="utf-8"))}
    assert set(PAGES) - linked <= {README, REPOSITORY / "CHANGELOG.md"}

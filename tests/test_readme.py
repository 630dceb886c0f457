"""What README.md says of the demo is what was measured."""

from pathlib import Path

from tests.benchmarks import demo

README = Path(__file__).parents[1] / "README.md"


def test_the_demos_range_is_the_measured_one():
    assert demo.summary(demo.read()) in " ".join(README.read_text(encoding="utf-8").split())


def test_every_measured_run_of_the_demo_was_approved_beyond_chance():
    """With the margin that tests/e2e/test_demo.py asks of this machine."""
    rows = demo.read()
    assert [(one["setting"], one["seed"]) for one in rows] == demo.RUNS
    for one in rows:
        assert one["approved"], one
        assert one["pushed"], one
        assert one["low"] > 0.05, one

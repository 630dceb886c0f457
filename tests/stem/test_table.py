import json
from pathlib import Path

import keras
import pytest

from restem.stem import StemSpec, table

from .conftest import precision
from .networks import network


@pytest.fixture
def few_rows(monkeypatch):
    monkeypatch.setattr(table, "ROWS", table.ROWS[1:2] + table.ROWS[7:8])
    monkeypatch.setattr(table, "load_backbone", lambda name, weights: network("V2" in name))


def test_table_and_figures(few_rows, tmp_path, capsys):
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    page.write_text(f"before\n{table.START}\nold\n{table.END}\nafter\n", encoding="utf-8")
    with precision(keras.config.floatx()):
        table.main(["--write", str(page), "--json", str(figures)])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| 3 → 1 (grey) | exact |" in text
    assert "| kernel 7 → 5, least squares | approximate |" in text
    entries = json.loads(figures.read_text(encoding="utf-8"))
    assert len(entries) == 4
    assert all(set(e) == {"name", "value", "unit", "compared_with"} for e in entries)
    assert all(e["value"] <= 1e-10 for e in entries if "exact" in e["name"])


def test_rows_are_valid_and_the_readme_contains_the_table():
    assert len({change for change, _ in table.ROWS}) == len(table.ROWS)
    for _, fields in table.ROWS:
        StemSpec(**fields)
    page = Path(table.__file__).with_name("README.md").read_text(encoding="utf-8")
    for change, _ in table.ROWS:
        assert f"| {change} | " in page, f"{change!r} is not in the table: run python -m restem.stem.table --write ..."

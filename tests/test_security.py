"""SECURITY.md names tests that exist, and exceptions of the audit have reasons."""

import ast
import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PAGE = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)((?:::\w+)+)`")


def named_in(path: Path) -> set[str]:
    """The tests of a file as pytest names them, without parameters."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(f"::{node.name}")
        elif isinstance(node, ast.ClassDef):
            found |= {f"::{node.name}::{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return found


def test_every_test_that_the_page_names_exists():
    named = NAMED.findall(PAGE)
    assert [f"{file}{name}" for file, name in named if name not in named_in(REPOSITORY / file)] == []
    assert len(named) == PAGE.count(".py::"), "a name that is not written as the others"


def test_every_threat_has_a_test():
    rows = [line.strip().strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 10
    assert [row[0] for row in rows if len(row) != 4 or not NAMED.search(row[3])] == []


def test_every_exception_of_the_audit_has_a_reason():
    lines = (REPOSITORY / "pipeline/environment/audit-exceptions.txt").read_text(encoding="utf-8").splitlines()
    exceptions = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in exceptions if not re.fullmatch(r"[A-Z]+-[\w-]+ +# .{20,}", line)] == []
    assert bool(exceptions) != ("there are none" in PAGE)

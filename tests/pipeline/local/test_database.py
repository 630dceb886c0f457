"""A damaged metadata database is named before anything runs, and can be set aside."""

import sqlite3

import pytest
from click.testing import CliRunner

from restem.errors import RestemError
from restem.pipeline.commands import restem
from restem.pipeline.local.database import DATABASE, check_database, damage
from restem.pipeline.local.past_runs import read_runs


@pytest.fixture
def root(tmp_path):
    with sqlite3.connect(tmp_path / DATABASE) as connection:
        connection.execute("CREATE TABLE Artifact (id INTEGER PRIMARY KEY, uri TEXT)")
        connection.executemany("INSERT INTO Artifact (uri) VALUES (?)", [(f"/results/{i}" * 9,) for i in range(2000)])
    connection.close()
    return tmp_path


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def other(content: bytes) -> bytes:
    return b"not a database, but a text." * 100


def flipped(content: bytes) -> bytes:
    """A text that is no longer UTF-8."""
    return content.replace(b"/results/777", b"/res\xff\xfets/777")


def page(content: bytes) -> bytes:
    return content[:8192] + bytes(4096) + content[12288:]


@pytest.mark.parametrize("how", [cut, other, flipped, page])
def test_damage_is_one_paragraph_with_the_remedy(root, how):
    database = root / DATABASE
    assert check_database(root) is None
    database.write_bytes(how(database.read_bytes()))
    for use in (check_database, read_runs):
        with pytest.raises(RestemError, match="damaged") as caught:
            use(root)
        assert f"restem repair --root {root}" in str(caught.value)
        assert "not the pushed models" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
    damaged = database.read_bytes()
    done = CliRunner().invoke(restem, ["repair", "--root", str(root)])
    assert done.exit_code == 0
    (kept,) = root.glob(f"{DATABASE}.damaged-*")
    assert kept.read_bytes() == damaged
    assert not database.exists()
    assert check_database(root) is None


def test_an_empty_database_is_said(root, tmp_path):
    (root / DATABASE).write_bytes(b"")
    assert "every step is computed again" in check_database(root)
    assert check_database(tmp_path / "new") is None


def test_a_whole_database_is_kept(root, tmp_path):
    done = CliRunner().invoke(restem, ["repair", "--root", str(root)])
    assert isinstance(done.exception, RestemError)
    assert damage(root / DATABASE) is None
    assert CliRunner().invoke(restem, ["repair", "--root", str(root), "--yes"]).exit_code == 0
    with pytest.raises(RestemError, match="no metadata database"):
        CliRunner().invoke(restem, ["repair", "--root", str(tmp_path / "other")], catch_exceptions=False)

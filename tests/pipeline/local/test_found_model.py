"""Which model a command means, and whether it is one of this project's."""

import dataclasses
import json
from pathlib import Path

import pytest

from restem.errors import RestemError
from restem.pipeline.local.found_model import find_model
from restem.run_record import write_model
from tests.pipeline.local.test_past_runs import RECORD, Root


def write_version(folder: Path) -> Path:
    """The files of a model, without a graph."""
    (folder / "variables").mkdir(parents=True)
    (folder / "assets.extra").mkdir()
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        (folder / name).write_bytes(b"x")
    (folder / "assets.extra" / "classes.json").write_text('["cat", "dog"]')
    write_model(folder / "assets.extra", RECORD)
    return folder


def test_the_newest_complete_version_is_meant(tmp_path):
    for number in (3, 20, 100):
        write_version(tmp_path / "models" / str(number))
    (tmp_path / "models" / "100" / "saved_model.pb").unlink()
    assert find_model(str(tmp_path / "models")).path == tmp_path / "models" / "20"
    assert find_model(str(tmp_path / "models" / "3")).path == tmp_path / "models" / "3"


@pytest.mark.parametrize(
    "damage", ["no record", "no classes", "one class", "baseline", "text", "brackets", "no variables"]
)
def test_a_model_of_somebody_else_needs_trust(tmp_path, damage):
    folder = write_version(tmp_path / "models" / "5")
    extra = folder / "assets.extra"
    if damage == "no record":
        (extra / "model.json").unlink()
    elif damage == "no classes":
        (extra / "classes.json").unlink()
    elif damage == "one class":
        (extra / "classes.json").write_text(json.dumps(["cat", "cat"]))
    elif damage == "baseline":
        write_model(extra, dataclasses.replace(RECORD, role="baseline"))
    elif damage in ("text", "brackets"):
        (extra / "model.json").write_text("words" if damage == "text" else "[" * 100_000)
    else:
        (folder / "variables" / "variables.index").unlink()
    for name in (folder, folder.parent):
        with pytest.raises(RestemError, match=r"not a model that restem wrote.*can read and write files.*--trust"):
            find_model(str(name))
        assert find_model(str(name), trust=True).path == folder


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_a_folder_without_a_model_is_one_sentence(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "file":
        path.touch()
    elif kind == "empty":
        path.mkdir()
    with pytest.raises(RestemError, match="there is no pushed model") as caught:
        find_model(str(path))
    assert len(str(caught.value).splitlines()) == 1
    assert [one.name for one in tmp_path.iterdir()] == ([] if kind == "missing" else ["x"])


@pytest.fixture
def root(tmp_path, monkeypatch) -> Root:
    root = Root(tmp_path / "root")
    steps = {"Trainer": ["model_run", "model"]}
    monkeypatch.setattr("tests.pipeline.local.test_past_runs.MORE_OUTPUTS", steps)
    root.run("2026-11-25T03:00:00.000001")
    root.run("2026-11-26T03:00:00.000001", blessed=False)
    for day in (25, 26):
        write_version(root.path / "pipeline/Trainer/model" / f"2026-11-{day}T03:00:00.000001" / "Format-Serving")
    return root


def test_a_run_means_its_newest_approved_version(root):
    found = find_model(str(root.path))
    assert (found.path.parts[-2], found.warning) == ("2026-11-25T03:00:00.000001", "")
    write_version(root.path / "serving" / "pets" / "1700000000")
    assert find_model(str(root.path)).path == root.path / "serving" / "pets" / "1700000000"


def test_a_refused_model_is_used_with_a_warning(root):
    found = find_model(f"{root.path}@2026-11-26")
    assert found.path.parts[-2] == "2026-11-26T03:00:00.000001"
    assert "NOT approved" in found.warning
    (root.path / "pipeline/Evaluator/blessing/2026-11-25T03:00:00.000001/BLESSED").unlink()
    found = find_model(str(root.path))
    assert (found.path.parts[-2], "NOT approved" in found.warning) == ("2026-11-26T03:00:00.000001", True)

"""`restem verify` on versions, folders of versions and runs, without TensorFlow."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from restem.errors import RestemError
from restem.model_files import MANIFEST
from restem.pipeline.commands import restem
from restem.pipeline.local.results import place, record
from restem.pipeline.local.verification import verify
from restem.pusher.push import push
from tests.damage import DATA
from tests.pipeline.local.test_found_model import write_version
from tests.pipeline.local.test_past_runs import Root


def run(*arguments) -> tuple[int, str]:
    done = CliRunner().invoke(restem, ["verify", *map(str, arguments)], standalone_mode=False)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.return_value, done.output


@pytest.fixture
def version(tmp_path) -> Path:
    pushed = push(str(write_version(tmp_path / "model")), str(tmp_path / "serving"), at_least=5, run="night-1")
    return Path(pushed.path)


def test_a_version_or_the_newest_one_is_compared_with_its_manifest(version, tmp_path):
    write_version(version.parent / "4")
    for name in (version, version.parent):
        code, shown = run(name)
        assert (code, shown.splitlines()[0]) == (0, f"{version}: all 5 files are those that were pushed")
        assert "night-1" in shown
    (version / DATA).write_bytes(b"y")
    (version / "saved_model.pb").unlink()
    (version / "variables" / "more").touch()
    for name in (version, version.parent):  # also without saved_model.pb it is the newest
        code, shown = run(name)
        assert code == 1
        for line in (f"  changed    {DATA}", "  missing    saved_model.pb", "  additional variables/more"):
            assert line in shown.splitlines()
    code, shown = run(version, "--json")
    told = json.loads(shown)
    assert (code, told["differs"], told["changed"], told["run"]) == (1, True, [DATA], "night-1")


def test_a_damaged_manifest_is_a_difference(version):
    (version / MANIFEST).write_text("{}")
    code, shown = run(version)
    assert code == 1
    assert f"  changed    {MANIFEST} (manifest.json lacks fingerprint, files)" in shown


def test_what_cannot_be_checked_is_a_mistake_with_a_sentence(tmp_path):
    write_version(tmp_path / "old" / "7")
    (tmp_path / "empty").mkdir()
    for name, expected in {
        "old": r"old/7: this version has no manifest.*an older version of Restem pushed.*restem rollback, writes one",
        "old/7": "this version has no manifest",
        "empty": "there is no version of a model in this folder",
        "nowhere": "there is no such folder",
    }.items():
        with pytest.raises(RestemError, match=expected) as caught:
            run(tmp_path / name)
        assert getattr(caught.value, "exit_code", 2) == 2


def test_of_a_run_its_version_and_the_results_of_its_steps_are_checked(tmp_path):
    root = Root(tmp_path / "root")
    root.run("2026-11-25T03:00:00.000001")
    assert not verify(str(root.path)).differs  # it pushed nothing, and has no checksums
    push(str(write_version(tmp_path / "model")), str(root.path / "serving" / "pets"))
    trained = root.path / "pipeline/Trainer/model_run/2026-11-25T03:00:00.000001"
    record(str(trained))
    assert place(str(trained)).is_file()
    code, shown = run(root.path)
    assert code == 0
    assert "all 5 files are those that were pushed" in shown
    assert "1 of 7 results of its steps are as they were written" in shown
    (trained / "model.json").write_text("{}")
    for name in (root.path, f"{root.path}@2026-11-25"):
        code, shown = run(name)
        assert code == 1
        assert "  changed    model.json" in shown
    (trained / "model.json").unlink()
    results = json.loads(run(root.path, "--json")[1])["results"]
    (told,) = (each for each in results if each["missing"])
    assert (told["step"], told["output"], told["missing"]) == ("Trainer", "model_run", ["model.json"])

"""What `restem clean` keeps and removes in a root with a metadata database as TFX writes it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from restem.errors import RestemError
from restem.pipeline.local import removal
from restem.pipeline.local.clean import clean, clean_after_run, plan_clean
from restem.pipeline.local.folder import RunFolder
from restem.pipeline.local.lineage import read_lineage
from restem.pipeline.local.past_runs import find_runs
from tests.pipeline.conftest import LIGHT
from tests.pipeline.local.nights import ALL, EXPLAINING, NOW, STEPS, killed_at, release, remove


def test_what_kept_runs_made_read_or_took_from_the_cache_stays(nights, config):
    first, second = nights.run(), nights.run()
    third = nights.run(cached_from=first)
    fourth = nights.run(cached_from=first)
    planned = plan_clean(config("{runs: 2}"), RunFolder(nights.root), now=NOW)
    assert list(planned.runs) == [fourth, third]
    done = remove(nights, config("{runs: 2}"))
    assert done.problems == ()
    assert done.removed == planned.remove
    assert done.bytes == planned.bytes
    shared = {"ImageExampleGen/examples", "ImageExampleGen/quarantine", "StatisticsGen/statistics"}
    shared |= {"Trainer/model", "Trainer/model_run"}
    assert nights.there(first) == shared
    assert nights.there(second) == set()
    assert nights.there(third) == nights.there(fourth) == ALL
    for start in (first, second, third, fourth):
        # TFX's cache takes no result in that state.
        assert nights.deleted(start) == ALL - nights.there(start)
    assert sorted(path.name for path in (nights.root / "logs").iterdir()) == [
        "20261103-030000.log",
        "20261104-030000.log",
    ]
    again = plan_clean(config("{runs: 2}"), RunFolder(nights.root), now=NOW)
    assert again.remove == ()
    assert remove(nights, config("{runs: 2}")).removed == ()


def test_without_retention_everything_stays(nights, config):
    nights.run(upto="Trainer")
    start = nights.run()
    assert plan_clean(config("{}"), RunFolder(nights.root), now=NOW).remove == ()
    assert clean_after_run(config("{}"), RunFolder(nights.root)) is None
    assert remove(nights, config("{versions: 2}")).removed == ()
    assert nights.there(start) == ALL


def test_unfinished_runs_stay_until_one_finishes(nights, config):
    killed = [nights.run(upto="Trainer") for _ in range(3)]
    # The next run goes on with the results of the newest ones.
    assert {item.kind for item in remove(nights, config("{runs: 2}")).removed} >= {"result", "unfinished"}
    assert [len(nights.there(start)) for start in killed] == [0, 3, 3]
    assert len(list((nights.root / "pipeline" / "Trainer" / "model").iterdir())) == 2
    finished = nights.run()
    remove(nights, config("{runs: 2}"))
    assert [len(nights.there(start)) for start in killed] == [0, 0, 0]
    assert nights.there(finished) == ALL
    assert len(list((nights.root / "pipeline" / "Trainer" / "model").iterdir())) == 1


def test_a_released_version_keeps_what_explains_it_as_long_as_it_stays(nights, config, put):
    runs = [nights.run() for _ in range(4)]
    for number, start in zip((100, 200, 300), runs, strict=False):
        release(put, number, start)
    done = remove(nights, config("{runs: 1, versions: 2}"))
    assert {item.path.rpartition("/")[2] for item in done.removed if item.kind == "version"} == {"100"}
    assert [nights.there(start) for start in runs] == [set(), EXPLAINING, EXPLAINING, ALL]
    assert [run.start for run in find_runs(str(nights.root))] == runs[1:]
    explained, gone = find_runs(f"{nights.root}@{runs[1]}")[0], find_runs(f"{nights.root}@{runs[0]}")[0]
    assert Path(explained.output("Report", "report"), "file").is_file()
    with pytest.raises(RestemError, match="result report of the step Report was removed"):
        gone.output("Report", "report")


def test_lists_of_refused_files_may_stay_longer(nights, config):
    runs = [nights.run() for _ in range(4)]
    remove(nights, config("{runs: 1, quarantine: 3}"))
    assert [nights.there(start) for start in runs[:3]] == [set(), *[{"ImageExampleGen/quarantine"}] * 2]


def test_runs_of_other_configurations_and_what_the_database_does_not_know_stay(nights, config):
    other = nights.run(name="other")
    mine = [nights.run(), nights.run()]
    unknown = nights.root / "pipeline" / "Trainer" / "model" / "99"  # of a database that restem repair set aside
    nights.write(unknown)
    (nights.root / "pipeline" / "Trainer" / "model" / "notes").mkdir()
    planned = plan_clean(config("{runs: 1}"), RunFolder(nights.root), now=NOW)
    assert planned.runs == {mine[1]: "the newest", other: "of the configuration other"}
    remove(nights, config("{runs: 1}"))
    assert [nights.there(start) for start in (other, *mine)] == [ALL, set(), ALL]
    assert unknown.is_dir()
    assert (nights.root / "pipeline" / "Trainer" / "model" / "notes").is_dir()
    assert (nights.root / "logs" / "20261101-030000.log").exists()


def test_symbolic_links_are_never_followed(nights, config, tmp_path):
    old, _ = nights.run(), nights.run()
    outside = tmp_path / "outside"
    nights.write(outside)
    results = nights.store.get_artifacts_by_id([nights.made[old]["Trainer"][key] for key in ("model", "model_run")])
    model, record = (Path(result.uri) for result in results)
    shutil.rmtree(model)
    model.symlink_to(outside)  # a result that is a link
    (record / "linked").symlink_to(outside)  # a link inside a result
    planned = plan_clean(config("{runs: 1}"), RunFolder(nights.root), now=NOW)
    assert [item.reason for item in planned.kept if item.path == str(model)] == [
        "a symbolic link, which is never followed"
    ]
    assert remove(nights, config("{runs: 1}")).problems == ()
    assert model.is_symlink()
    assert not record.exists()
    assert (outside / "file").is_file()


@pytest.mark.parametrize("linked", ["pipeline", "logs"])
def test_a_linked_folder_of_results_or_logs_is_left_alone(nights, config, tmp_path, linked):
    old, new = nights.run(), nights.run()
    (nights.root / linked).rename(tmp_path / "elsewhere")
    (nights.root / linked).symlink_to(tmp_path / "elsewhere")
    done = remove(nights, config("{runs: 1}"))
    assert done.problems == ()
    assert nights.there(new) == ALL
    assert nights.there(old) == (ALL if linked == "pipeline" else set())
    assert len(list((tmp_path / "elsewhere").iterdir())) == (len(STEPS) if linked == "pipeline" else 2)


@pytest.mark.parametrize("moment", [0, 1, 2, 20, 34, 50, 66, 67, 69, 71, 74])
def test_after_a_kill_at_any_moment_the_next_cleaning_finishes(nights, config, moment):
    runs = [nights.run() for _ in range(3)]
    with killed_at(moment):
        remove(nights, config("{runs: 1}"))
        pytest.fail("it was over before")
    assert nights.there(runs[2]) == ALL
    for start in runs[:2]:
        # What is no longer there, or only in part, is marked.
        assert ALL - nights.there(start) <= nights.deleted(start)
    assert remove(nights, config("{runs: 1}")).problems == ()
    assert [nights.there(start) for start in runs] == [set(), set(), ALL]
    assert list(nights.root.glob("*/removing-*")) == []
    assert plan_clean(config("{runs: 1}"), RunFolder(nights.root), now=NOW).remove == ()


def test_a_folder_without_our_mark_and_one_that_cannot_be_removed_are_left(nights, config, monkeypatch):
    nights.run(), nights.run()
    foreign = nights.root / "pipeline" / "removing-1700000000-0123456789abcdef"
    nights.write(foreign)

    def denied(path):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(removal.shutil, "rmtree", denied)
        done = clean_after_run(config("{runs: 1}"), RunFolder(nights.root))
    (problem,) = done.problems
    assert problem.endswith("cannot be removed: Permission denied")
    assert remove(nights, config("{runs: 1}")).problems == ()
    assert [path.name for path in (nights.root / "pipeline").glob("removing-*")] == [foreign.name]
    assert (foreign / "file").exists()


def test_a_root_that_was_moved_or_copied_is_cleaned_where_it_is(nights, config, tmp_path):
    nights.run(), nights.run()
    copy = Path(shutil.copytree(nights.root, tmp_path / "copy"))
    clean(config("{runs: 1}"), RunFolder(copy), now=NOW)
    assert [len(list((root / "pipeline/Trainer/model").iterdir())) for root in (nights.root, copy)] == [2, 1]
    assert sum(result.removed for result in read_lineage(copy).results.values()) == len(ALL)


def test_a_version_that_the_configuration_names_stays(nights, config, put):
    for number in (100, 200, 300, 400):
        release(put, number, "unknown")
    serving = nights.root / "serving" / "own"
    nights.write(serving / "removing-1700000000-0123456789abcdef")  # a removal that was killed
    named = config("{versions: 2}", f"evaluate: {{baseline: {serving / '100'}}}\n")
    remove(nights, named)
    assert sorted(path.name for path in serving.iterdir()) == ["100", "300", "400"]


def test_the_command_says_what_would_go_and_removes_it_with_yes(nights, config, tmp_path):
    nights.run(), nights.run()
    config("{runs: 1}")

    def restem(*arguments):
        command = [sys.executable, "-c", LIGHT, "clean", "--config", "own.yaml", "--root", "root", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    shown = restem()
    assert shown.returncode == 0, shown.stderr
    assert "10 results, 1 log and 6 working folders, 16.0 kB would go" in shown.stdout
    assert "run 2026-11-02T03:00:00: the newest" in shown.stdout
    assert "--yes removes it" in shown.stdout
    with RunFolder(nights.root).locked():
        refused = restem("--yes")
    assert refused.returncode == 1
    assert "another run is using this folder" in refused.stderr
    assert len(list((nights.root / "pipeline/Trainer/model").iterdir())) == 2
    done = restem("--yes", "--json")
    told = json.loads(done.stdout)
    assert (told["freed"], told["problems"]) == (told["bytes"], [])
    assert len(told["removed"]) == len(told["remove"]) == 17
    assert {run["reason"] for run in told["runs"]} == {"the newest"}
    assert len(list((nights.root / "pipeline/Trainer/model").iterdir())) == 1
    assert os.listdir(nights.root / "pipeline/Trainer/model_run") != []

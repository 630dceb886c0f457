"""The list of versions, rollbacks and prunings, and a server that loads the newest version meanwhile."""

import json
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from restem.errors import RestemError
from restem.model_files import CARD, RELEASE, fingerprint
from restem.pusher import push as push_module
from restem.pusher.kserve import MANIFEST, write_manifest
from restem.pusher.prune import LOADING_SECONDS, plan, prune
from restem.pusher.push import push
from restem.pusher.registry import read_registry, the_served
from restem.pusher.release import Release, read_release, withdrawal, withdrawn_models
from restem.pusher.rollback import rollback
from restem.pusher.versions import versions
from restem.record_files import seconds_of, time_text
from restem.run_record import EXTRA, MadeOf, read_model, write_model
from tests.pusher.test_push import bucket as bucket  # the fixture, with its file system

NOW = 1_800_000_000


@pytest.fixture
def release(put, tmp_path):
    """release(number, model, ...): a pushed version whose model differs from that of other letters."""

    def release(number: int, model: str = "a", made: str | None = None, **values) -> Path:
        folder = put(number)
        record = read_model(folder / EXTRA)
        made_of = None if made is None else MadeOf(settings=f"{made:0>64}", images="1" * 64)
        write_model(folder / EXTRA, replace(record, backbone=f"ResNet{model}", made_of=made_of, code="c0de"))
        told = {"pipeline": "own", "run": f"run-{number}", "pushed_at": time_text(number), **values}
        (folder / RELEASE).write_bytes(Release(**told).to_bytes())
        (folder / CARD).write_text(f"card of {number}")
        return folder

    return release


@pytest.fixture
def serving(tmp_path) -> str:
    return str(tmp_path / "serving")


def listed(serving, now=NOW):
    return read_registry(serving, now=now)


def numbers(serving):
    return [version.number for version in versions(serving)]


def test_the_list_says_what_each_version_is(release, put, serving, tmp_path):
    figures = {"candidate": {"accuracy": 0.9}, "baseline": {"accuracy": 0.8}}
    release(NOW - 100, made="2", figures=figures, reason="Approved.", baseline="the stock network")
    (release(NOW - 50, "b") / "variables" / "variables.index").unlink()
    (tmp_path / "serving" / "kserve").mkdir()
    foreign = tmp_path / "serving" / "7"
    foreign.mkdir()
    (foreign / "saved_model.pb").write_bytes(b"x")
    os.symlink(str(NOW - 100), tmp_path / "serving" / "8")
    half, served, link, other = listed(serving)
    assert (served.number, served.served, served.ours, served.problem) == (NOW - 100, True, True, None)
    assert served.pushed_at == time_text(NOW - 100)
    assert (served.data, served.code, served.release.run) == ("1" * 16, "c0de", f"run-{NOW - 100}")
    assert served.release.figures == figures
    assert (half.served, half.problem) == (False, "variables/variables.index is missing")
    assert (link.number, link.ours, link.problem) == (8, False, "it is a symbolic link")
    assert (other.number, other.ours, other.pushed_at) == (7, False, None)
    assert other.problem == "it was not pushed by restem: assets.extra/model.json is missing"
    assert listed(str(tmp_path / "nowhere")) == []


def test_a_foreign_model_with_the_largest_number_is_the_served_one(release, serving, tmp_path):
    release(5)
    (tmp_path / "serving" / "6").mkdir()
    (tmp_path / "serving" / "6" / "saved_model.pb").write_bytes(b"x")
    assert the_served(listed(serving)).number == 6
    assert rollback(serving).origin == 5


def test_a_version_without_a_release_record_or_with_a_damaged_one(put, serving):
    put(NOW - 5)
    (entry,) = listed(serving)
    assert (entry.ours, entry.problem, entry.release, entry.pushed_at) == (True, None, None, time_text(NOW - 5))
    (Path(entry.path) / RELEASE).write_text("{")
    (entry,) = listed(serving)
    assert (entry.served, entry.problem) == (True, "assets.extra/release.json is damaged: it is not valid JSON")


def test_a_rollback_is_a_new_version_that_names_its_origin(release, serving):
    old, new = release(100, "a", reason="Approved: a."), release(200, "b")
    done = rollback(serving)
    assert (done.origin, done.replaced, done.withdrawn) == (100, 200, (200,))
    assert numbers(serving) == [done.version.number, 200, 100]
    assert fingerprint(done.version.path) == fingerprint(str(old)) != fingerprint(str(new))
    written = read_release(f"{done.version.path}/{EXTRA}")
    assert (written.reason, written.run) == ("Approved: a.", "run-100")
    assert (written.origin.version, written.origin.pushed_at, written.origin.replaced) == (100, time_text(100), 200)
    assert (Path(done.version.path) / CARD).read_text() == "card of 100"
    assert [path.name for path in Path(serving).iterdir() if not path.name.isdigit()] == []
    served = the_served(listed(serving, now=seconds_of(written.pushed_at)))
    assert (served.number, served.origin) == (done.version.number, written.origin)


def test_what_was_rolled_back_is_not_pushed_again_until_someone_asks(release, serving):
    release(50, "z"), release(100, "a", made="a"), release(200, "b", made="b")
    first = rollback(serving)
    bad = f"{serving}/200"
    assert withdrawal(serving, bad).version == 200
    assert withdrawal(serving, f"{serving}/100") is None
    # Trained again on the same images with the same settings and code: other weights, the same release.
    again = release(900, "b", made="b")
    (again / "saved_model.pb").write_bytes(b"other weights")
    shutil.move(again, f"{serving}/../again")
    assert withdrawal(serving, f"{serving}/../again").version == 200
    # The list outlives the version itself, and later pushes.
    shutil.rmtree(bad)
    model = release(901, "c", withdrawn=withdrawn_models(serving))
    assert [each.version for each in withdrawn_models(serving)] == [200]
    shutil.rmtree(model)
    # A second rollback goes further back; what was rolled back is taken only by its number.
    release(300, "b", made="b")
    second = rollback(serving)
    assert (second.origin, set(second.withdrawn)) == (50, {200, first.version.number})
    third = rollback(serving, 300)
    assert (third.origin, third.replaced) == (300, second.version.number)
    assert withdrawal(serving, f"{serving}/300") is None
    assert withdrawal(serving, f"{serving}/50").version == second.version.number


def test_a_rollback_that_is_impossible_says_why(release, put, serving, tmp_path):
    with pytest.raises(RestemError, match="no version is served"):
        rollback(serving)
    release(100, "a")
    with pytest.raises(RestemError, match="no version to go back to"):
        rollback(serving)
    release(200, "a")  # the same model
    with pytest.raises(RestemError, match=r"no version to go back to.*given 100"):
        rollback(serving)
    with pytest.raises(RestemError, match="already the served one"):
        rollback(serving, 200)
    with pytest.raises(RestemError, match=r"no such version.*one of 200, 100, given 150"):
        rollback(serving, 150)
    (tmp_path / "serving" / "50").mkdir()
    with pytest.raises(RestemError, match="version 50 cannot be released: it was not pushed by restem"):
        rollback(serving, 50)
    (put(60) / "saved_model.pb").unlink()
    with pytest.raises(RestemError, match=r"version 60 cannot be released: saved_model\.pb is missing"):
        rollback(serving, 60)
    assert numbers(serving) == [200, 100, 60, 50]


def test_a_rollback_during_a_pruning_of_its_origin_changes_nothing(release, serving, monkeypatch):
    release(100, "a"), release(200, "b")

    def vanished(source, target):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(push_module.files, "copy", vanished)
    with pytest.raises(RestemError, match=r"version 100 cannot be copied; nothing has changed. Given No such"):
        rollback(serving)
    assert sorted(path.name for path in Path(serving).iterdir()) == ["100", "200"]


def test_the_kserve_manifest_follows(release, serving):
    release(100, "a"), release(200, "b")
    write_manifest(serving, versions(serving)[0], name="own", storage_uri="pvc://claim/own")
    done = rollback(serving)
    assert done.manifest == f"{serving}/kserve/{MANIFEST}"
    text = Path(done.manifest).read_text()
    assert f"restem/version: '{done.version.number}'" in text
    assert "storageUri: pvc://claim/own" in text
    assert "name: own" in text


def test_pruning_keeps_what_a_server_may_load(release, serving):
    for number in (100, 200, 300, 400):
        release(number, str(number))
    planned = plan(listed(serving), 2, now=NOW)
    assert ([entry.number for entry in planned.remove], planned.kept) == ([200, 100], ())
    assert planned.bytes == sum(entry.bytes for entry in listed(serving) if entry.number < 300)
    # 200 was the newest until 300 was pushed.
    just_after = plan(listed(serving), 2, now=300 + LOADING_SECONDS - 1)
    assert [entry.number for entry in just_after.remove] == [100]
    assert just_after.kept[0][0].number == 200
    assert numbers(serving) == [400, 300, 200, 100]
    assert [entry.number for entry in prune(planned)] == [100, 200]
    assert numbers(serving) == [400, 300]
    assert sorted(path.name for path in Path(serving).iterdir()) == ["300", "400"]
    assert prune(planned) == ()  # another process was first
    for few in (1, 0, -3):
        with pytest.raises(RestemError, match="at least 2: the served one"):
            plan(listed(serving), few, now=NOW)


def test_pruning_touches_only_this_projects_own_folders(release, put, serving, tmp_path):
    for number in (400, 500, 600):
        release(number, str(number))
    outside = tmp_path / "outside"
    shutil.copytree(release(1), outside)
    shutil.rmtree(f"{serving}/1")
    os.symlink(outside, f"{serving}/1")  # a version that is a link
    foreign = tmp_path / "serving" / "2"
    foreign.mkdir()
    (foreign / "saved_model.pb").write_bytes(b"x")
    (put(3) / EXTRA / "model.json").write_text("{}")
    inside = release(4, "4")
    os.symlink(outside, inside / "linked")  # a link inside a version
    planned = plan(listed(serving), 2, now=NOW)
    assert {entry.number for entry in planned.remove} == {4, 400}
    prune(planned)
    assert numbers(serving) == [600, 500, 3, 2, 1]
    assert (outside / "saved_model.pb").exists()


def test_a_folder_that_cannot_be_removed_yet_is_hidden_and_removed_later(release, serving, monkeypatch):
    """On NFS, files that a server has open keep their folder."""
    for number in (100, 200, 300):
        release(number, str(number))

    def busy(folder):
        raise OSError(39, "Directory not empty")

    with monkeypatch.context() as patched:
        patched.setattr(push_module.files, "remove_folder", busy)
        assert [entry.number for entry in prune(plan(listed(serving), 2, now=NOW))] == [100]
    assert numbers(serving) == [300, 200]
    (left,) = Path(serving).glob("removing-*")
    push_module.remove_leftovers(serving, now=int(left.name.split("-")[1]) + push_module.LEFTOVER_SECONDS)
    assert not left.exists()


def test_a_folder_that_may_not_be_changed_is_an_error(release, serving, monkeypatch):
    for number in (100, 200, 300):
        release(number, str(number))

    def denied(source, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(push_module.files, "rename", denied)
    with pytest.raises(RestemError, match=r"serving/100: the version cannot be removed\. Given Permission denied"):
        prune(plan(listed(serving), 2, now=NOW))
    with pytest.raises(RestemError, match="version 200 cannot be copied; nothing has changed"):
        rollback(serving)
    assert sorted(path.name for path in Path(serving).iterdir()) == ["100", "200", "300"]


def test_an_incomplete_newer_version_is_left_alone(release, serving):
    for number in (100, 200, 300):
        release(number, str(number))
    (release(400, "d") / "saved_model.pb").unlink()
    planned = plan(listed(serving), 2, now=NOW)
    assert [entry.number for entry in planned.remove] == [100]


def test_in_a_bucket(bucket, release, serving, tmp_path):
    for number in (100, 200, 300):
        release(number, str(number))
    shutil.copytree(serving, tmp_path / "bucket" / "serving")
    remote = "bucket://x/serving"
    done = rollback(remote, 200)
    assert numbers(remote) == [done.version.number, 300, 200, 100]
    assert fingerprint(done.version.path) == fingerprint(f"{remote}/200")
    planned = plan(listed(remote), 2, now=NOW)
    assert [entry.number for entry in planned.remove] == [200, 100]
    (tmp_path / "bucket" / "serving" / f"pushing-{NOW}-100").write_text("")
    planned = plan(listed(remote), 2, now=NOW)
    assert [(entry.number, reason) for entry, reason in planned.kept] == [(100, "it is being written")]
    prune(planned)
    assert numbers(remote) == [done.version.number, 300, 100]


def test_a_server_loads_the_newest_version_while_versions_come_and_go(release, serving, tiny_model):
    """A server lists the versions, chooses the newest, and loads it, again and again, as TensorFlow Serving does.

    It may be one version behind when it has chosen: so the version before the served one stays.
    """
    import tensorflow as tf

    release(100, "a"), release(200, "b")
    loaded: list[int] = []
    failures: list[str] = []
    stop, progress = threading.Event(), threading.Condition()

    def serve() -> None:
        while not stop.is_set():
            chosen = max(int(name) for name in os.listdir(serving) if name.isdigit())
            try:
                model = tf.saved_model.load(f"{serving}/{chosen}")
                assert set(model.signatures) == {"serving_default", "serving_lenient", "serve_examples"}
            except Exception as error:
                failures.append(f"{chosen}: {error}")
            with progress:
                loaded.append(chosen)
                progress.notify()

    server = threading.Thread(target=serve)
    server.start()
    removed = 0
    try:
        for turn in range(12):
            before = len(loaded)
            rollback(serving, versions(serving)[1].number)  # the two models take turns
            removed += len(prune(plan(listed(serving), 2, now=NOW, loading_seconds=0)))
            # The load that was going on has ended, and another one begins after this change.
            with progress:
                assert progress.wait_for(lambda before=before: len(loaded) > before, timeout=120), f"turn {turn}"
    finally:
        stop.set()
        server.join()
    assert failures == []
    assert removed == 12
    assert len(set(loaded)) > 6
    assert len(numbers(serving)) == 2


def test_push_carries_no_old_notes_over(release, serving, tmp_path):
    """A model that was adopted from a version has that version's notes beside it."""
    model = release(100)
    version = push(str(model), str(tmp_path / "other"), notes={RELEASE: b"{}"})
    assert json.loads(Path(version.path, RELEASE).read_text()) == {}
    assert not Path(version.path, CARD).exists()
    assert fingerprint(version.path) == fingerprint(str(model))

"""The manifest of a version, and what its readers do with a version that is not what it says."""

import hashlib
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from restem.baseline.choice import choose
from restem.environment import lock_digest, packages_digest
from restem.errors import RestemError
from restem.model_files import CARD, MANIFEST, RELEASE, fingerprint
from restem.pipeline.local.found_model import find_model
from restem.pusher import push as module
from restem.pusher.manifest import changes, read_manifest, refuse_changed
from restem.pusher.push import push
from restem.pusher.rollback import rollback
from restem.pusher.versions import versions
from restem.run_record import EXTRA, Environment, MadeOf, read_model, write_model
from restem.start.choice import choose_start
from tests.damage import DATA, flip
from tests.pusher.test_push import Bucket, bucket, names  # noqa: F401 - a fixture
from tests.start.test_start import custom
from tests.tiny_model import CLASSES

NOTES = {RELEASE: b'{"pipeline": "own"}', CARD: b"# the card"}


@pytest.fixture
def model(tiny_model, tmp_path) -> Path:
    """The model of a run, with a complete record."""
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    made = MadeOf(settings="s" * 64, images="i" * 64)
    about = replace(read_model(folder / EXTRA), config=custom(), made_of=made, code="c" * 16)
    write_model(folder / EXTRA, replace(about, environment=Environment(lock_digest(), packages_digest())))
    return folder


@pytest.fixture
def pushed(model, tmp_path) -> Path:
    return Path(push(str(model), str(tmp_path / "serving"), notes=NOTES, run="night-1").path)


def test_the_manifest_has_every_file_and_what_the_version_was_made_of(model, pushed, tmp_path):
    document = json.loads((pushed / MANIFEST).read_text())
    files = {path.relative_to(pushed).as_posix(): path for path in pushed.rglob("*") if path.is_file()}
    assert document["files"].keys() == files.keys() - {MANIFEST}
    for name, told in document["files"].items():
        content = files[name].read_bytes()
        assert told == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert (document["run"], document["fingerprint"], document["version"]) == ("night-1", fingerprint(str(model)), 1)
    lock = Path(__file__).parents[2] / "requirements.lock"
    assert document["made_of"] == {
        "data": "i" * 64,
        "configuration": hashlib.sha256(json.dumps(custom(), sort_keys=True).encode()).hexdigest(),
        "code": "c" * 16,
        "lock": hashlib.sha256(lock.read_bytes()).hexdigest(),
        "packages": packages_digest(),
    }
    again = push(str(model), str(tmp_path / "other"), notes=NOTES, run="night-1")
    assert (Path(again.path) / MANIFEST).read_bytes() == (pushed / MANIFEST).read_bytes()
    refuse_changed(str(pushed))


def damage(pushed: Path) -> None:
    flip(pushed / DATA)
    (pushed / EXTRA / "stem.json").unlink()
    (pushed / "variables" / "more").write_text("x")


def test_each_file_that_differs_is_named(pushed):
    damage(pushed)
    found = changes(str(pushed), read_manifest(str(pushed)))
    assert asdict(found) == {
        "changed": (DATA,),
        "missing": (f"{EXTRA}/stem.json",),
        "additional": ("variables/more",),
    }
    with pytest.raises(RestemError, match=f"{DATA} is changed, {EXTRA}/stem.json is missing, variables/more is addit"):
        refuse_changed(str(pushed))


def test_a_changed_version_is_neither_the_baseline_nor_the_start_nor_loaded_nor_released_again(pushed):
    """One byte of the weights differs. There is an older version, which would do."""
    serving, good = str(pushed.parent), shutil.copytree(pushed, pushed.parent / "5")
    readers = [
        lambda: choose("latest_approved", serving, CLASSES).path,
        lambda: choose(serving, None, CLASSES).path,
        lambda: choose_start(custom(), serving, CLASSES, ()).path,
        lambda: str(find_model(serving).path),
    ]
    assert {read() for read in readers} == {str(pushed)}
    content = bytearray((pushed / DATA).read_bytes())
    content[-1] ^= 1
    (pushed / DATA).write_bytes(content)
    differs = f"{pushed}: the files of this version are not those that were pushed.*{DATA} is changed"
    for read in readers:
        with pytest.raises(RestemError, match=differs):
            read()
    assert find_model(serving, trust=True).path == pushed
    shutil.copytree(good, pushed.parent / str(int(pushed.name) + 1))
    with pytest.raises(RestemError, match=differs):
        rollback(serving, int(pushed.name))


def test_the_owner_may_complete_the_model_card(pushed):
    (pushed / CARD).write_text("# the card, completed")
    assert changes(str(pushed), read_manifest(str(pushed))).changed == (CARD,)
    refuse_changed(str(pushed))


def test_a_version_without_a_manifest_is_believed_and_a_damaged_manifest_is_not(put, pushed):
    refuse_changed(str(put(5)))
    (pushed / MANIFEST).write_text("{")
    with pytest.raises(RestemError, match=r"manifest cannot be used.*manifest.json is damaged"):
        refuse_changed(str(pushed))


def test_a_file_that_changes_while_it_is_copied_is_not_pushed(model, tmp_path, monkeypatch):
    real = module.files.copy

    def copy(source, target):
        real(source, target)
        if source.endswith(DATA):
            flip(Path(target))

    monkeypatch.setattr(module.files, "copy", copy)
    with pytest.raises(RestemError, match=f"nothing is pushed.*{DATA} is changed"):
        push(str(model), str(tmp_path / "serving"))
    assert names(tmp_path / "serving") == []


def test_the_manifest_is_the_last_file_of_a_version(model, tmp_path, monkeypatch):
    """So a version that was killed half-way has none."""
    real = module._check

    def check(folder, content):
        real(folder, content)
        assert not Path(folder, MANIFEST).exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_check", check)
    with pytest.raises(KeyboardInterrupt):
        push(str(model), str(tmp_path / "serving"))


def test_a_version_in_a_bucket_has_a_manifest(bucket, model, tmp_path):  # noqa: F811
    version = push(str(model), "bucket://x/serving", notes=NOTES)
    assert not changes(version.path, read_manifest(version.path))
    flip(Path(Bucket.local(version.path)) / DATA)
    with pytest.raises(RestemError, match=f"{DATA} is changed"):
        choose("latest_approved", "bucket://x/serving", CLASSES)


def test_a_rollback_has_the_run_of_its_origin(pushed):
    shutil.copytree(pushed, pushed.parent / "5")
    (pushed / EXTRA / "classes.json").write_text(json.dumps(CLASSES) + "\n")  # another model
    (pushed / MANIFEST).unlink()
    (pushed.parent / "5" / RELEASE).write_text('{"run": "night-1"}')
    (pushed.parent / "5" / MANIFEST).unlink()
    back = rollback(str(pushed.parent)).version
    assert versions(str(pushed.parent))[0] == back
    written = read_manifest(back.path)
    assert (written.run, written.made_of.data) == ("night-1", "i" * 64)
    assert not changes(back.path, written)

"""Buckets through TensorFlow's own file systems: one in memory (ram://), and one that does not answer."""

import os

import pytest

from restem import files
from restem.baseline.choice import choose
from restem.files import StorageError
from restem.model_files import SAVED_MODEL
from restem.pusher.push import push
from restem.pusher.registry import read_registry
from restem.pusher.versions import versions
from restem.start.choice import choose_start
from restem.trainer.checkpoint import Checkpoints
from tests.rights import without_root_rights

SILENT = "gs://bucket/serving"


@pytest.fixture
def silent(monkeypatch):
    """Google's storage, behind a proxy that does not exist: names in .invalid never do (RFC 2606)."""
    for name in ("https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://proxy.invalid:9")
    monkeypatch.setenv("no_proxy", "")


@pytest.fixture
def bucket(request):
    folder = f"ram://{request.node.name}"
    for name in ("serving/5/saved_model.pb", "serving/5/variables/variables.index", "serving/pinned-5"):
        files.write(f"{folder}/{name}", b"x" * len(name))
    return folder


def test_a_bucket_is_read_like_a_folder(bucket, tmp_path):
    for name in ("serving/5/saved_model.pb", "serving/5/variables/variables.index", "serving/pinned-5"):
        files.write(f"{tmp_path}/{name}", b"x" * len(name))
    for top in (bucket, str(tmp_path)):
        assert files.entries(f"{top}/serving") == ["5", "pinned-5"]
        assert files.file_sizes(f"{top}/serving/") == {
            "5/saved_model.pb": 24,
            "5/variables/variables.index": 35,
            "pinned-5": 16,
        }
        assert files.is_folder(f"{top}/serving/5")
        assert not files.is_folder(f"{top}/serving/5/{SAVED_MODEL}")
        assert files.exists(f"{top}/serving/5/{SAVED_MODEL}")
        assert [version.number for version in versions(f"{top}/serving")] == [5]
        files.remove(f"{top}/serving/pinned-5")
        assert files.entries(f"{top}/serving") == ["5"]


def test_what_is_not_there_is_not_there(bucket, tmp_path):
    for top in (bucket, str(tmp_path)):
        assert files.entries(f"{top}/other") == []
        assert files.file_sizes(f"{top}/other") == {}
        assert not files.is_folder(f"{top}/other")
        assert not files.exists(f"{top}/other")
        with pytest.raises(FileNotFoundError):
            files.read(f"{top}/other")


def test_a_folder_that_cannot_be_read_is_no_empty_one(tmp_path):
    for name in ("5/saved_model.pb", "5/variables/variables.index"):
        files.write(f"{tmp_path}/{name}", b"x")
    folders = (tmp_path, tmp_path / "5", tmp_path / "5" / "variables")
    for folder, forbidden in zip(folders, (0o755, 0o755, 0), strict=True):
        folder.chmod(forbidden)
    with without_root_rights():
        for ask in (files.file_sizes, lambda path: choose("latest_approved", os.path.dirname(path), ["a", "b"])):
            with pytest.raises(PermissionError):
                ask(f"{tmp_path}/5")
        for ask in (files.entries, lambda path: files.exists(f"{path}/x"), lambda path: files.is_folder(f"{path}/x")):
            with pytest.raises(PermissionError):
                ask(f"{tmp_path}/5/variables")
    folders[-1].chmod(0o755)


def test_a_loop_of_links_is_nothing_and_a_name_that_is_too_long_an_error(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert not files.is_folder(f"{tmp_path}/loop")
    assert files.file_sizes(str(tmp_path)) == {}
    with pytest.raises(OSError, match="File name too long"):
        files.is_folder(f"{tmp_path}/{'x' * 300}")


@pytest.mark.parametrize(
    "ask",
    [
        files.entries,
        files.is_folder,
        files.exists,
        files.file_sizes,
        files.read,
        versions,
        lambda path: read_registry(path, now=0.0),
        lambda path: push("/nowhere", path),
        lambda path: choose("latest_approved", path, ["a", "b"]),
        lambda path: choose(path, None, ["a", "b"]),
        lambda path: Checkpoints(path, "a", 60).load(),
        lambda path: choose_start({"model": {"weights": "latest_approved"}}, path, ["a", "b"], []),
    ],
)
def test_no_answer_is_not_the_answer_no(silent, ask):
    with pytest.raises(StorageError, match=r"gs://bucket/serving.*: the storage does not answer, or refuses") as caught:
        ask(SILENT)
    assert caught.value.exit_code == 1

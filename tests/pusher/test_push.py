import errno
import os
import threading
import time

import pytest
from tfx.dsl.io import fileio, filesystem_registry
from tfx.dsl.io.plugins.local import LocalFilesystem

from restem.files import file_sizes
from restem.model_files import fingerprint
from restem.pusher import push as module
from restem.pusher.push import LEFTOVER_SECONDS, _held, next_number, only_one, push, remove_leftovers
from restem.pusher.versions import newest_if_same, versions

NOW = 1_700_000_000


class Bucket(LocalFilesystem):
    """A bucket for TFX's fileio: bucket://x is a local folder. Written files are recorded in order."""

    SUPPORTED_SCHEMES = ["bucket://"]  # noqa: RUF012
    root = ""
    written = []  # noqa: RUF012

    @classmethod
    def local(cls, path):
        return cls.root + path.removeprefix("bucket://x")

    @classmethod
    def open(cls, name, mode="r"):
        if "w" in mode:
            cls.written.append(name)
        return LocalFilesystem.open(cls.local(name), mode)

    @classmethod
    def listdir(cls, path):
        """Adds a trailing slash to folders, like buckets do."""
        folder = cls.local(path)
        return [name + "/" * os.path.isdir(f"{folder}/{name}") for name in os.listdir(folder)]

    @classmethod
    def walk(cls, top, topdown=True, onerror=None):
        for folder, folders, files in LocalFilesystem.walk(cls.local(top)):
            yield folder.replace(cls.local(top), top, 1), folders, files

    @classmethod
    def copy(cls, src, dst, overwrite=False):
        with cls.open(src, "rb") as source, cls.open(dst, "wb") as target:
            target.write(source.read())

    @classmethod
    def rename(cls, src, dst, overwrite=False):
        raise AssertionError("renaming in a bucket copies")


for method in ("exists", "isdir", "makedirs", "remove", "rmtree", "stat"):
    real = getattr(LocalFilesystem, method)
    setattr(Bucket, method, classmethod(lambda cls, path, real=real: real(cls.local(path))))
filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(Bucket, priority=1)


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """An empty bucket."""
    (tmp_path / "bucket").mkdir()
    monkeypatch.setattr(Bucket, "root", str(tmp_path / "bucket"))
    monkeypatch.setattr(Bucket, "written", [])
    return Bucket


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_pushed_version_is_the_model_file_by_file(tiny_model, tmp_path):
    before = int(time.time())
    version = push(str(tiny_model), str(tmp_path / "new" / "serving"))
    assert before <= version.number <= time.time()
    assert names(tmp_path / "new" / "serving") == [str(version.number)]
    assert fingerprint(version.path) == fingerprint(str(tiny_model))
    assert newest_if_same(str(tmp_path / "new" / "serving"), str(tiny_model)) == version


def test_a_new_version_is_greater_than_all_existing_ones(put, tiny_model, tmp_path):
    ahead = int(time.time()) + 1_000_000
    put(ahead)
    put(3)
    assert next_number(str(tmp_path / "serving"), now=NOW) == ahead + 1
    assert push(str(tiny_model), str(tmp_path / "serving")).number == ahead + 1
    assert push(str(tiny_model), str(tmp_path / "serving"), at_least=ahead + 10).number == ahead + 10


def test_a_killed_push_leaves_no_version(tiny_model, tmp_path, monkeypatch):
    """At any of its files."""
    real = module.files.copy
    for survived in range(len(file_sizes(str(tiny_model)))):
        copied = []

        def copy(src, dst, copied=copied, survived=survived):
            if len(copied) == survived:
                raise KeyboardInterrupt
            copied.append(dst)
            real(src, dst)

        monkeypatch.setattr(module.files, "copy", copy)
        with pytest.raises(KeyboardInterrupt):
            push(str(tiny_model), str(tmp_path))
        assert versions(str(tmp_path)) == []
        assert not any(name.isdigit() for name in names(tmp_path))


def test_one_process_at_a_time_decides_and_pushes(tmp_path):
    (tmp_path / "serving").mkdir()
    order = []

    def other():
        with only_one(f"{tmp_path}/serving"):
            order.append("other")

    with only_one(f"{tmp_path}/serving"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]
    with only_one("gs://bucket/serving"):  # nothing is asked of a bucket
        pass


def test_leftovers_of_processes_that_ended_are_removed(put, tmp_path):
    serving = tmp_path / "serving"
    put(5), put(f"pushing-{NOW - LEFTOVER_SECONDS - 1}-abc"), put(f"pushing-{NOW - 60}-abc"), put("pushing-mine")
    with _held(f"{serving}/pushing-{NOW - 60}-def"):
        remove_leftovers(str(serving), now=NOW)
        assert names(serving) == ["5", f"pushing-{NOW - 60}-def", "pushing-mine"]
    remove_leftovers(str(serving), now=NOW)
    assert names(serving) == ["5", "pushing-mine"]


def test_where_folders_cannot_be_locked_age_decides(put, tmp_path, monkeypatch):
    def not_supported(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(module.fcntl, "flock", not_supported)
    serving = tmp_path / "serving"
    put(f"pushing-{NOW - LEFTOVER_SECONDS - 1}-abc"), put(f"pushing-{NOW - 60}-abc")
    remove_leftovers(str(serving), now=NOW)
    assert names(serving) == [f"pushing-{NOW - 60}-abc"]
    assert push(str(serving / f"pushing-{NOW - 60}-abc"), str(tmp_path / "other")).number >= NOW


def test_a_push_that_fills_the_disk_leaves_nothing(tiny_model, tmp_path, monkeypatch):
    real = module.files.copy

    def copy(source, target):
        if source.endswith("variables.index"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(module.files, "copy", copy)
    with pytest.raises(OSError, match="No space left"):
        push(str(tiny_model), str(tmp_path / "serving"))
    assert names(tmp_path / "serving") == []


def test_a_number_that_another_pusher_took_first_is_not_reused(put, tiny_model, tmp_path, monkeypatch):
    calls = []

    def next_number(destination, *, now):
        calls.append(now)
        return 7 if len(calls) == 1 else 8

    put(7)
    monkeypatch.setattr(module, "next_number", next_number)
    assert push(str(tiny_model), str(tmp_path / "serving")).number == 8
    assert names(tmp_path / "serving") == ["7", "8"]


def test_a_rename_that_fails_for_another_reason_is_an_error(tiny_model, tmp_path, monkeypatch):
    def rename(src, dst):
        raise PermissionError("no")

    monkeypatch.setattr(module.files, "rename", rename)
    with pytest.raises(PermissionError):
        push(str(tiny_model), str(tmp_path))


def test_in_a_bucket_saved_model_pb_comes_last(bucket, tiny_model):
    version = push(str(tiny_model), "bucket://x/serving/")
    assert version.path == f"bucket://x/serving/{version.number}"
    assert bucket.written[-1] == f"{version.path}/saved_model.pb"
    assert len(bucket.written) == len(file_sizes(str(tiny_model))) + 2  # the mark and the manifest
    assert fileio.listdir("bucket://x/serving") == [f"{version.number}/"]
    assert newest_if_same("bucket://x/serving", str(tiny_model)) == version


def test_leftovers_of_a_killed_push_in_a_bucket_are_removed(bucket, tiny_model, tmp_path, monkeypatch):
    real = module.files.copy

    def copy(src, dst):
        if dst.endswith("saved_model.pb"):
            raise KeyboardInterrupt
        real(src, dst)

    monkeypatch.setattr(module.files, "copy", copy)
    with pytest.raises(KeyboardInterrupt):
        push(str(tiny_model), "bucket://x/serving")
    (half,) = versions("bucket://x/serving")
    remove_leftovers("bucket://x/serving", now=time.time())
    assert versions("bucket://x/serving") == [half]
    remove_leftovers("bucket://x/serving", now=time.time() + LEFTOVER_SECONDS + 2)
    assert names(tmp_path / "bucket" / "serving") == []


def test_the_mark_of_a_finished_push_removes_no_version(bucket, tiny_model):
    version = push(str(tiny_model), "bucket://x/serving")
    fileio.open(f"bucket://x/serving/pushing-{NOW}-{version.number}", "w").close()
    remove_leftovers("bucket://x/serving", now=time.time())
    assert fileio.listdir("bucket://x/serving") == [f"{version.number}/"]


def test_only_identical_files_are_the_same_model(put, tiny_model, tmp_path):
    model, serving = str(tiny_model), str(tmp_path / "serving")
    assert newest_if_same(serving, model) is None
    old, new = put(5), put(6)
    assert newest_if_same(serving, model).number == 6
    content = bytearray((new / "saved_model.pb").read_bytes())
    content[0] ^= 1
    (new / "saved_model.pb").write_bytes(bytes(content))
    assert newest_if_same(serving, model) is None  # the older version is equal, but a server does not serve it
    assert fingerprint(str(old)) == fingerprint(model) != fingerprint(str(new))

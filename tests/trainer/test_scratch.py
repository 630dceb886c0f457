import os
from collections import namedtuple

import numpy as np
import pytest
import tensorflow as tf

from restem.errors import RestemError
from restem.exhausted import full_disk
from restem.trainer import scratch as module
from restem.trainer.scratch import Rows, Scratch, is_in_memory
from tests.small_disk import small_disk

STRINGS = [b"a", b"", b"ccc" * 1000, b"\0\xff"]
SIZES = np.array([len(one) for one in STRINGS])
ORDER = np.array([2, 0, 3, 1])
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def disks(monkeypatch, tmp_path):
    """disks(run=, temporary=): the free MiB of the run's folder and of the system's for temporary files."""
    run, temporary = tmp_path / "run", tmp_path / "temporary"
    run.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(module.tempfile, "tempdir", str(temporary))

    def set_disks(**free):
        monkeypatch.setattr(module.shutil, "disk_usage", lambda path: Usage(0, 0, free[path.name] * 2**20))
        return run

    return set_disks


def open_files(folder):
    found = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return [path for path in found if path.startswith(str(folder))]


def test_strings_are_read_in_any_order(tmp_path):
    with Scratch(tmp_path / "not yet") as scratch:
        rows = scratch.rows("images", STRINGS, SIZES, ORDER)
        assert isinstance(rows, Rows)
        read = tf.data.Dataset.from_tensor_slices([3, 0, 2, 1, 0]).batch(2).map(rows.read, num_parallel_calls=4)
        wanted = [STRINGS[ORDER[position]] for position in (3, 0, 2, 1, 0)]
        assert list(read.unbatch().as_numpy_iterator()) == wanted


def test_the_file_has_no_name_and_its_space_is_free_at_the_end(tmp_path):
    with Scratch(tmp_path) as scratch:
        rows = scratch.rows("images", STRINGS, SIZES, ORDER)
        assert len(open_files(tmp_path)) == 1
        assert list(tmp_path.iterdir()) == []
    assert open_files(tmp_path) == []
    with pytest.raises(ValueError, match="closed file"):
        rows.read(tf.constant([0]))


def test_the_disk_with_room_is_taken(disks, caplog):
    caplog.set_level("INFO", "restem")
    run = disks(run=300, temporary=300)
    with Scratch(run) as scratch:
        assert scratch.rows("images", STRINGS, SIZES, ORDER) is not None
        assert open_files(run)
    disks(run=200, temporary=300)
    with Scratch(run) as scratch:
        assert scratch.rows("images", STRINGS, SIZES, ORDER) is not None
        assert open_files(run.parent / "temporary")
    with Scratch("gs://bucket/run") as scratch:
        assert scratch.rows("images", STRINGS, SIZES, ORDER) is not None
        assert open_files(run.parent / "temporary")
    assert "images: a copy of 0 MiB, to read them in any order, in" in caplog.text


def test_no_room_is_said_and_refused_where_workers_must_agree(disks, caplog):
    run = disks(run=200, temporary=100)
    assert Scratch(run).rows("training images", STRINGS, SIZES, ORDER) is None
    assert "run has 200 MiB free" in caplog.text
    assert "temporary has 100 MiB free" in caplog.text
    assert "read in the order of the examples' files" in caplog.text
    with pytest.raises(RestemError, match=r"train\.workers.*training images take 0 MiB.*TMPDIR"):
        Scratch(run, required=True).rows("training images", STRINGS, SIZES, ORDER)


def test_a_disk_that_is_full_in_the_middle_is_as_one_without_room(disks, caplog):
    run = disks(run=300, temporary=300)

    def strings():
        yield STRINGS[0]
        raise OSError(28, os.strerror(28))

    assert Scratch(run).rows("images", strings(), SIZES, ORDER) is None
    assert open_files(run) == []
    assert "another Beam runner or parallelism would give other weights" in caplog.text


def test_an_array_takes_the_disk_with_room_and_leaves_nothing(disks, caplog):
    caplog.set_level("INFO", "restem")
    run = disks(run=200, temporary=300)
    with Scratch(run) as scratch:
        with scratch.array("the features", (3, 4)) as found:
            assert isinstance(found, np.memmap)
            assert found.shape == (3, 4)
            assert found.dtype == np.float32
            assert open_files(run.parent / "temporary")
            found[:] = 7
        del found
        assert open_files(run.parent) == []
    assert f"the features: 0 MiB in {run.parent / 'temporary'}" in caplog.text
    disks(run=200, temporary=200)
    with Scratch(run).array("the features", (3, 4)) as found:
        assert not isinstance(found, np.memmap)
        assert found.shape == (3, 4)
    assert "the features take 0 MiB and run has 200 MiB free" in caplog.text.replace(f"{run.parent}/", "")
    assert "they are kept in memory" in caplog.text


def test_folders_in_memory_are_not_taken(tmp_path, monkeypatch, caplog):
    device = os.stat(tmp_path).st_dev
    line = "36 35 {}:{} / /tmp rw,noatime shared:1 - {} none rw\n"
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(module, "MOUNTS", mounts)
    for system, expected in (("tmpfs", True), ("ext4", False)):
        mounts.write_text(line.format(os.major(device), os.minor(device), system))
        assert is_in_memory(tmp_path) is expected
    mounts.write_text(line.format(os.major(device), os.minor(device), "tmpfs"))
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    assert Scratch(tmp_path).rows("images", STRINGS, SIZES, ORDER) is None
    assert "there is no disk for temporary files" in caplog.text
    mounts.unlink()
    assert not is_in_memory(tmp_path)


@pytest.fixture
def small(tmp_path):
    with small_disk(tmp_path / "small", 4) as folder:
        yield folder


def test_a_real_file_system_in_memory(small):
    assert is_in_memory(small)


def test_a_disk_that_fills_before_an_array_has_its_space_is_an_error_and_not_a_killed_process(small, monkeypatch):
    monkeypatch.setattr(module, "is_in_memory", lambda folder: False)
    monkeypatch.setattr(module, "LEFT_FREE", 0)
    with Scratch(small).array("the features", (2**18, 3)) as found:
        found[:] = 1
    del found  # it is mapped as long as it is referred to
    # Another program takes the space after it was looked at.
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: Usage(0, 0, 2**40))
    with pytest.raises(OSError, match="No space left") as caught, Scratch(small).array("they", (2**20, 2)):
        pass
    assert full_disk(caught.value).startswith(f"The disk of {small} is full")

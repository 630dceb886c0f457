"""Data in a storage that only Beam can read (tests/example_gen/memory.py replaces gs://)."""

import json

import pytest
from apache_beam.io.filesystem import BeamIOError

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.content import content, refuse
from restem.example_gen.dataset import ImageFile
from restem.example_gen.listing import fingerprint, list_data
from restem.images.header import UnreadableImage

from .conftest import image_bytes, read_examples
from .memory import MemoryFileSystem


@pytest.fixture
def files(monkeypatch):
    """The files in the storage."""
    files: dict[str, bytes] = {}
    monkeypatch.setattr(MemoryFileSystem, "FILES", files)
    return files


def test_a_folder_is_a_common_prefix_of_names(files):
    for name in ("a/1.png", "a/deep/2.png", "b/3.png", "b/.hidden.png", ".git/x/1.png", "README", "c/"):
        files[f"mem://bucket/images/{name}"] = name.encode()
    files["mem://bucket/images2/a/9.png"] = b""
    path = "mem://bucket/images"
    listing = list_data(path, DataConfig(path=path))
    assert [file.path for file in listing.files] == ["a/1.png", "a/deep/2.png", "b/3.png"]
    assert (listing.classes, [one.path for one in listing.refused]) == (("a", "b", "c"), ["README"])
    assert storage.read(storage.join(listing.folder, listing.files[2].path)) == b"b/3.png"
    with pytest.raises(RestemError, match="there is no such folder"):
        list_data("mem://bucket/nothing", DataConfig(path="mem://bucket/nothing"))


def test_spans_are_found(files):
    for day in (2, 10):
        for name in ("a/1.png", "b/2.png"):
            files[f"mem://bucket/day-{day}/v1/{name}"] = bytes([day])
    path = "mem://bucket/day-{SPAN}/v{VERSION}"
    config = DataConfig(path=path)
    listing = list_data(path, config)
    assert ([file.path for file in listing.files], listing.spans) == (["day-10/v1/a/1.png", "day-10/v1/b/2.png"], (10,))
    before = fingerprint(path, config)
    files["mem://bucket/day-10/v1/b/3.png"] = b""
    assert fingerprint(path, config) != before


def test_files_are_read_up_to_the_limit_and_refused_with_a_reason(files):
    files["mem://b/large"] = bytes(100)
    large, gone = ImageFile("large", "a", "train"), ImageFile("gone", "a", "train")
    assert content("mem://b", large, 100) == bytes(100)
    with pytest.raises(UnreadableImage, match="The file has 100 bytes"):
        content("mem://b", large, 99)
    with pytest.raises(UnreadableImage, match="cannot be read: there is no mem://b/gone"):
        content("mem://b", gone, 99)
    assert [refuse("mem://b", file, "why").bytes for file in (large, gone)] == [100, -1]


@pytest.mark.parametrize("error", [BeamIOError("503 backend error"), ConnectionResetError(104, "reset by peer")])
def test_a_storage_that_fails_is_not_a_file_that_cannot_be_read(files, monkeypatch, error):
    files["mem://b/one"] = b"x"

    def fails(self, path, mime_type=None, compression_type=None):
        raise error

    monkeypatch.setattr(MemoryFileSystem, "open", fails)
    with pytest.raises(RestemError, match=r"mem://b/one: the storage failed while .*(503|reset).*Run again"):
        content("mem://b", ImageFile("one", "a", "train"), 100)


def test_a_manifest_in_a_storage_becomes_examples(run, files, tmp_path):
    """The whole step: driver, listing, and reading by a worker that gets only URLs."""
    rows = ["path,label,split"]
    for index in range(8):
        files[f"mem://bucket/scans/{index}.png"] = image_bytes(seed=index)
        rows.append(f"scans/{index}.png,{'ab'[index % 2]},{'test' if index < 2 else 'train'}")
    rows += ["scans/gone.png,a,train", "mem://other/9.png,b,train"]
    files["mem://other/9.png"] = image_bytes(seed=9)
    files["mem://bucket/all.csv"] = "\n".join(rows).encode()
    data = DataConfig(path="mem://bucket/all.csv", max_quarantined=0.2, allow_outside=True)
    done = run(tmp_path, None, data, validate=False)
    found = {one["path"].decode(): one for one in read_examples(done.uris["ImageExampleGen.examples"], "train")}
    assert sorted(found) == ["mem://other/9.png", *(f"scans/{index}.png" for index in range(2, 8))]
    assert found["scans/3.png"]["image_bytes"] == image_bytes(seed=3)
    (line,) = (done.uris["ImageExampleGen.quarantine"] / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"] == "The file cannot be read: there is no mem://bucket/scans/gone.png."


def test_the_fingerprint_of_a_manifest_in_a_storage_covers_the_files(files):
    names = ("scans/1.png", "scans/deep/2.png", "scans-b/3.png", "top.png", "mem://other/4.png", "scans/gone.png")
    for name in names[:-1]:
        files[storage.join("mem://bucket", name)] = b"."
    files["mem://bucket/scans/unnamed.png"] = b"."
    path = "mem://bucket/all.csv"
    files[path] = "\n".join(["path,label", *(f"{name},{'ab'[i % 2]}" for i, name in enumerate(names))]).encode()
    config = DataConfig(path=path, allow_outside=True)
    before = fingerprint(path, config)
    files["mem://bucket/scans/unnamed.png"] = b".."
    assert fingerprint(path, config) == before
    seen = {before}
    for name in names:
        files[storage.join("mem://bucket", name)] = b".."
        seen.add(fingerprint(path, config))
    assert len(seen) == 1 + len(names)

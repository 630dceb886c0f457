"""A table names files: only those in the data folder are read, unless the user allows others."""

import csv
import os
from pathlib import Path

import pytest

from restem import storage
from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.content import content, with_size
from restem.example_gen.layouts.inside import LINKED, DataFolder
from restem.example_gen.listing import fingerprint, list_data
from restem.visible import visible
from tests.example_gen.memory import MemoryFileSystem


@pytest.fixture
def write(tmp_path):
    """write(names): writes data/all.csv with 40 images in data/, and then these names; returns its path."""
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "private").mkdir()
    for index in range(40):
        (tmp_path / "data" / "images" / f"{index}.png").touch()
        (tmp_path / "private" / f"{index}.png").touch()

    def write(names=(), inside: int = 40) -> str:
        names = [*(f"images/{index}.png" for index in range(inside)), *names]
        rows = "".join(f"{name},{'ab'[index % 2]}\n" for index, name in enumerate(names))
        (tmp_path / "data" / "all.csv").write_text(f"path,label\n{rows}")
        return str(tmp_path / "data" / "all.csv")

    return write


def listed(path: str, **options):
    return list_data(path, DataConfig(path=path, **options))


NAMES = ["../private/0.png", "images/../../private/0.png", "{}/private/0.png", "file://{}/private/0.png"]


@pytest.mark.parametrize("name", [*NAMES, "..\\private\\0.png", "../PRIVATE/0.png", "../private/0"])
def test_a_row_outside_is_quarantined_and_the_key_is_named(write, tmp_path, name):
    path = write([name.format(tmp_path)])
    listing = listed(path)
    assert (len(listing.files), len(listing.refused)) == (40, 1)
    assert listing.refused[0].reason == (
        "Line 42: it is outside the data folder: set data.allow_outside: true to read such files."
    )
    assert with_size(listing.folder, listing.refused[0]).bytes == -1, "nothing outside is looked at"
    assert [note for note in listing.notes if "1 file is not read, such as " in note and "data.allow_outside" in note]
    allowed = listed(path, allow_outside=True)
    assert (len(allowed.files), allowed.refused) == (41, ())
    assert fingerprint(path, DataConfig(path=path)) != fingerprint(path, DataConfig(path=path, allow_outside=True))


def test_a_table_of_other_files_is_refused_with_their_number_and_the_keys(write, tmp_path):
    private = tmp_path / "private"
    path = write([f"{private}/{index}.png" for index in range(40)], inside=10)
    with pytest.raises(RestemError) as caught:
        listed(path)
    told = str(caught.value)
    assert told.startswith(f"data.path ({path}): 40 of 50 files are outside the data folder.")
    assert f"'{private}/0.png'" in told
    assert "and 35 more; the first is in line 12" in told
    assert "If you trust the table, set data.allow_outside: true" in told
    assert len(listed(path, max_quarantined=0.9).refused) == 40
    assert len(listed(path, allow_outside=True).files) == 50
    path = write([f"{private}/{index}.png" for index in range(40)], inside=0)
    both = rf"set data\.images_folder to the folder that they are in \({private}\), or set data\.allow_outside: true"
    with pytest.raises(RestemError, match=both):
        listed(path)
    assert len(listed(path, images_folder=str(private)).files) == 40
    assert len(listed(path, images_folder="../private").files) == 40


def test_names_below_the_table_and_the_images_folder_are_read(write, tmp_path, monkeypatch):
    """As written, absolute, with '..' that stays inside, under another name of the folder, and from the current one."""
    data = tmp_path / "data"
    (tmp_path / "same").symlink_to(data, target_is_directory=True)
    path = write(["images/../images/./39.png", f"{data}/images/38.png", f"{tmp_path}/same/images/37.png"], inside=30)
    listing = listed(path)
    assert (len(listing.files), listing.refused) == (33, ())
    assert len(listed(f"{tmp_path}/same/all.csv").files) == 33
    monkeypatch.chdir(data)
    assert len(listed("all.csv").files) == 33
    (tmp_path / "private" / "in.csv").write_text("path,label\n0.png,a\n1.png,b\n")
    assert len(listed(f"{tmp_path}/private/in.csv", images_folder="../data/images").files) == 2
    (data / "day-7").mkdir()
    (data / "day-7" / "all.csv").write_text("path,label\n../images/0.png,a\n../images/1.png,b\n")
    assert len(listed(f"{data}/day-{{SPAN}}/all.csv").files) == 2


def test_links_out_of_the_folder_need_their_own_key(write, tmp_path):
    data = tmp_path / "data"
    (data / "linked").symlink_to(tmp_path / "private", target_is_directory=True)
    (data / "one.png").symlink_to(tmp_path / "private" / "1.png")
    (data / "two.png").symlink_to(data / "images" / "39.png")
    names = ["linked/2.png", "one.png", "two.png"]
    path = write(names, inside=39)
    listing = listed(path)
    reasons = {one.path: one.reason for one in listing.refused}
    assert set(reasons) == {"linked/2.png", "one.png"}
    assert all("data.follow_links: true" in reason for reason in reasons.values())
    assert len(listed(path, follow_links=True).files) == 42
    assert len(listed(path, allow_outside=True).files) == 42
    (tmp_path / "same").symlink_to(data, target_is_directory=True)
    write([f"{data}/one.png"], inside=39)
    assert [one.reason for one in listed(f"{tmp_path}/same/all.csv").refused] == [f"Line 41: {LINKED}."]
    assert len(listed(f"{tmp_path}/same/all.csv", follow_links=True).files) == 40
    path = write(names, inside=3)
    with pytest.raises(RestemError, match=r"2 of 6 files are links that lead out of .* set data\.follow_links: true"):
        listed(path)
    (data / "all.csv").write_text((data / "all.csv").read_text() + "../private/3.png,a\n")
    with pytest.raises(RestemError, match=r"3 of 7 files are outside .* set data\.allow_outside: true"):
        listed(path)
    assert len(listed(path, follow_links=True, max_quarantined=0.5).refused) == 1, "links are not other rows"


def test_a_bucket_is_the_folder_of_its_tables(monkeypatch, tmp_path):
    names = ["a/0.png", "../other/1.png", "mem://bucket/images/2.png"]
    foreign = ["mem://other/3.png", "/etc/passwd", "file:///etc/passwd", "mem://bucket.other/5.png"]
    rows = "".join(f"{name},{'ab'[index % 2]}\n" for index, name in enumerate([*names, *foreign]))
    table = f"path,label\n{rows}".encode()
    monkeypatch.setattr(MemoryFileSystem, "FILES", {"mem://bucket/tables/all.csv": table})
    listing = listed("mem://bucket/tables/all.csv", max_quarantined=0.9)
    assert len(listing.files) == 3
    reasons = {one.path: one.reason for one in listing.refused}
    # A file of this machine that two rows name is refused once for each.
    assert set(reasons) == {"mem://other/3.png", "/etc/passwd", "mem://bucket.other/5.png"}
    assert all("data.allow_outside: true" in reason for reason in reasons.values())
    monkeypatch.setattr(storage, "status", lambda path: pytest.fail(f"{path} was asked for"))
    assert [with_size(listing.folder, one).bytes for one in listing.refused] == [-1] * 4
    (tmp_path / "all.csv").write_bytes(b"path,label\nmem://bucket/0.png,a\nmem://bucket/1.png,b\n")
    with pytest.raises(RestemError, match=r"data\.images_folder .*\(mem://bucket\)"):
        listed(f"{tmp_path}/all.csv")
    assert len(listed(f"{tmp_path}/all.csv", images_folder="mem://bucket").files) == 2


def test_odd_names_are_only_names(tmp_path):
    """Of files and of classes: options, line breaks, commands of a terminal, HTML, paths."""
    names = ["-rf.png", "--out=x.png", "two\nlines.png", "\x1b[2J.png", "$(touch hacked).png", "~.png", "{SPAN}.png"]
    labels = ["../../etc", "-rf", "a\nb", "\x1b]0;title\x07", "<script>", "--root=/", "/etc/passwd"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    with (tmp_path / "all.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *zip(names, labels, strict=True)])
    listing = listed(f"{tmp_path}/all.csv")
    assert listing.refused == ()
    assert {content(listing.folder, file, 100).decode() for file in listing.files} == set(names)
    assert set(listing.classes) == {visible(label) for label in labels}
    assert all(name.isprintable() for name in listing.classes)


@pytest.mark.parametrize("folder", ["/", "/data", "data", "."])
def test_the_folder_may_be_written_in_any_way(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    inside = DataFolder(folder, [folder], follow_links=False)
    assert inside.problem("x.png") == ""
    assert bool(inside.problem(f"{os.path.abspath(folder).rstrip('/')}2/x.png")) == (folder != "/")
    assert bool(inside.problem("/etc/passwd")) == (folder != "/")


def test_the_key_is_for_tables(tmp_path):
    with pytest.raises(ValueError, match="allow_outside is only for a manifest"):
        DataConfig(path=str(tmp_path), allow_outside=True)
    other = DataConfig(path="a.csv", allow_outside=True).elsewhere
    assert (other("b.csv").allow_outside, other("folder").allow_outside) == (True, False)

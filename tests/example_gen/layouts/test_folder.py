import os
import subprocess
import sys
import unicodedata
from collections import Counter

import pytest

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import TEST, TRAIN, Listing
from restem.example_gen.layouts.folder import fingerprint, list_images
from restem.example_gen.listing import check_listing, list_data
from restem.example_gen.splits import hash_chooses
from tests.rights import folder_for_everybody, without_root_rights

CONFIG = DataConfig(path="unused", test_share=0.25)


def listed(folder: str) -> Listing:
    return list_images(folder, folder, CONFIG)


@pytest.fixture
def make(tmp_path):
    """make("cat/1.png", ...): creates empty files in a new folder; a name that ends in / is a folder."""

    def write(*names: str):
        for name in names:
            path = tmp_path / name
            if name.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        return str(tmp_path)

    return write


def many(folder: str, count: int = 40) -> list[str]:
    return [f"{folder}/{index}.png" for index in range(count)]


def test_a_folder_for_each_class(make):
    listing = check_listing(make(*many("dog"), *many("cat"), "cat/deeper/x.png"), CONFIG)
    assert (listing.classes, listing.given_splits, listing.refused) == (("cat", "dog"), False, ())
    assert Counter(file.label for file in listing.files) == {"cat": 41, "dog": 40}
    assert [file.path for file in listing.files] == sorted(file.path for file in listing.files)


def test_train_and_test_folders_decide_the_split(make):
    listing = check_listing(make("Train/cat/1.png", "Train/dog/2.png", "test/cat/3.png"), CONFIG)
    assert (listing.classes, listing.given_splits) == (("cat", "dog"), True)
    assert {file.path: file.split for file in listing.files} == {
        "Train/cat/1.png": TRAIN,
        "Train/dog/2.png": TRAIN,
        "test/cat/3.png": TEST,
    }


def test_the_hash_keeps_the_share_and_does_not_move_files(make):
    before = {file.path: file.split for file in list_data(make(*many("a", 300), *many("b", 300)), CONFIG).files}
    after = {file.path: file.split for file in list_data(make(*many("c", 300), "a/new.png"), CONFIG).files}
    assert before == {path: after[path] for path in before}
    # 600 draws of 0.25: a standard deviation of 10.6 images.
    assert abs(sum(split == TEST for split in before.values()) - 150) < 43


def test_the_split_is_the_same_on_every_machine():
    names = [f"class/{index}.png" for index in range(12)]
    assert "".join("T" if hash_chooses(name, 0.5) else "." for name in names) == "T.TTTT....T."
    composed, decomposed = (unicodedata.normalize(form, "café/é.png") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert hash_chooses(composed, 0.5) == hash_chooses(decomposed, 0.5)


def test_class_names_are_unicode_normalised(make):
    decomposed = unicodedata.normalize("NFD", "café")
    listing = listed(make(f"{decomposed}/1.png", "tea/1.png"))
    assert listing.classes == (unicodedata.normalize("NFC", "café"), "tea")
    # The path is not changed, so that the file is found.
    assert listing.files[0].path == f"{decomposed}/1.png"


def test_hidden_files_are_skipped(make):
    listing = listed(make("a/1.png", "b/1.png", ".git/x", "a/.DS_Store", "a/Thumbs.db", "__MACOSX/a/1.png"))
    assert ([file.path for file in listing.files], listing.refused) == (["a/1.png", "b/1.png"], ())


def test_every_other_file_is_refused_with_its_reason(make, tmp_path):
    folder = make("a/1.png", "b/1.png", "README.md")
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "a" / "itself.png").symlink_to(tmp_path / "a" / "itself.png")
    os.mkfifo(tmp_path / "b" / "pipe.png")
    (tmp_path / "b" / os.fsdecode(b"caf\xe9.png")).touch()
    listing = listed(folder)
    assert [file.path for file in listing.files] == ["a/1.png", "b/1.png"]
    reasons = {one.path: one.reason for one in listing.refused}
    assert set(reasons) == {"README.md", "a/gone.png", "a/itself.png", "b/pipe.png", "b/caf\\udce9.png"}
    assert "outside the class folders" in reasons["README.md"]
    assert "neither a file nor a folder" in reasons["b/pipe.png"]
    assert "not valid UTF-8" in reasons["b/caf\\udce9.png"]


@pytest.fixture
def linked(make, tmp_path):
    """Links: to a file and a folder outside, to a folder inside, and to a folder that contains the link."""
    folder = make("a/1.png", "b/1.png", "b/more/3.png")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "2.png").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "inside").symlink_to(tmp_path / "b" / "more", target_is_directory=True)
    (tmp_path / "b" / "linked").symlink_to(outside, target_is_directory=True)
    (tmp_path / "b" / "one.png").symlink_to(outside / "2.png")
    return folder


def test_links_out_of_the_folder_are_followed_only_if_asked(linked):
    inside = ["a/1.png", "a/inside/3.png", "b/1.png", "b/more/3.png"]
    listing = listed(linked)
    assert [file.path for file in listing.files] == inside
    reasons = {one.path: one.reason for one in listing.refused}
    assert set(reasons) == {"a/up", "b/linked", "b/one.png"}
    assert reasons["a/up"] == "It is a link to a folder that contains it."
    assert all("data.follow_links: true" in reasons[name] for name in ("b/linked", "b/one.png"))

    followed = CONFIG.model_copy(update={"follow_links": True})
    listing = list_images(linked, linked, followed)
    assert [file.path for file in listing.files] == sorted([*inside, "b/linked/2.png", "b/one.png"])
    assert [one.path for one in listing.refused] == ["a/up"]
    assert fingerprint(linked, linked, CONFIG) != fingerprint(linked, linked, followed)


def test_a_folder_of_links_names_the_key(tmp_path):
    (tmp_path / "real" / "cat").mkdir(parents=True)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "cat").symlink_to(tmp_path / "real" / "cat", target_is_directory=True)
    with pytest.raises(RestemError, match=r"data\.follow_links: true"):
        listed(str(tmp_path / "links"))


def test_control_characters_in_names_are_shown_as_escapes(make):
    listing = listed(make("ca\x1b[31mt/1.png", "do\ng/1.png", "do\ng/\u202egnp.exe", "loose\x1b[0m.png"))
    assert listing.classes == (r"ca\x1b[31mt", r"do\ng")
    assert {file.label for file in listing.files} == set(listing.classes)
    # The path is not changed, so that the file is found; where it is refused, it is only shown.
    assert "ca\x1b[31mt/1.png" in {file.path for file in listing.files}
    assert [one.path for one in listing.refused] == [r"loose\x1b[0m.png"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "the folder is empty"),
        (["1.png", "2.png"], r"there are no class folders.*2 files without such a folder, among them 1.png, 2.png"),
        (many("cat"), r"only one class.*given cat"),
        ([*many("cat"), "dog/"], r"no images to train on: dog\..*Add images to it, or remove it"),
        (["train/cat/1.png", "train/dog/2.png"], r"train/ without test/.*Create test/ next to it"),
        (["test/cat/1.png", "test/dog/2.png"], "test/ without train/"),
        (["train/cat/1.png", "train/dog/2.png", "test/"], "no images to test with"),
        (["train/cat/1.png", "test/cat/2.png", "test/dog/3.png"], r"train on: dog\..*dog: 0 for training, 1 for"),
        (
            ["train/a/1.png", "train/b/1.png", "test/a/1.png", "extra/a/1.png"],
            r"other folders .*: extra/\..*Move",
        ),
        (["train/1.png", "test/1.png"], r"there are no class folders \(in test, train\)"),
        (
            ["archive/real/cat/1.png", "archive/real/dog/1.png", "archive/LICENSE"],
            r"to that folder.*archive/real",
        ),
    ],
)
def test_unsuitable_data_are_refused(make, names, message):
    folder = make(*names)
    with pytest.raises(RestemError, match=message) as caught:
        check_listing(folder, CONFIG)
    assert f"data.path ({folder})" in str(caught.value)


def test_a_class_with_all_images_in_the_test_split_is_explained(make):
    tested = next(name for name in many("rare") if hash_chooses(name, CONFIG.test_share))
    with pytest.raises(RestemError, match="a hash of their paths decides"):
        check_listing(make(*many("cat"), *many("dog"), tested), CONFIG.model_copy(update={"split": "hash"}))


def test_a_missing_folder_and_a_file_are_refused(tmp_path):
    with pytest.raises(RestemError, match="there is no such folder"):
        check_listing(str(tmp_path / "none"), CONFIG)
    (tmp_path / "file").touch()
    with pytest.raises(RestemError, match="a file, not a folder"):
        check_listing(str(tmp_path / "file"), CONFIG)


def test_a_file_that_may_be_read_now_is_read():
    """Its refusal would come from the cache: permissions change neither size nor time."""
    with folder_for_everybody() as folder:
        file = folder / "a" / "1.png"
        file.parent.mkdir()
        file.write_bytes(b"x")
        file.chmod(0)
        with without_root_rights():
            before = fingerprint(str(folder), str(folder), CONFIG)
        file.chmod(0o644)
        with without_root_rights():
            assert fingerprint(str(folder), str(folder), CONFIG) != before


def test_the_fingerprint_misses_no_change(make, tmp_path):
    folder = make("a/1.png", "a/2.png", "b/3.png")
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    seen = [fingerprint(folder, folder, CONFIG)]
    assert fingerprint(folder, folder, CONFIG) == seen[0]

    def changed():
        seen.append(fingerprint(folder, folder, CONFIG))
        return len(set(seen)) == len(seen)

    (tmp_path / "a" / "2.png").rename(tmp_path / "b" / "2.png")  # TFX's fingerprint does not change.
    assert changed()
    os.utime(tmp_path / "a" / "1.png", ns=(10**18, 10**18 + 1))  # Within the second.
    assert changed()
    (tmp_path / "a" / "1.png").write_bytes(b"x")
    os.utime(tmp_path / "a" / "1.png", ns=(10**18, 10**18))
    assert changed()
    (tmp_path / "b" / "3.png").unlink()
    assert changed()
    make("b/4.png")
    assert changed()


def test_no_heavy_packages_are_imported():
    code = (
        "import sys, restem.example_gen.layouts.folder, restem.example_gen.embedded;"
        "print([m for m in ('tensorflow', 'tfx', 'apache_beam', 'keras', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Folders in the arrangements that people have: understood, or refused with both readings and the key."""

import pytest

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import TEST, TRAIN, VAL
from restem.example_gen.layouts.arrangement import split_named
from restem.example_gen.listing import check_listing


@pytest.fixture
def make(tmp_path):
    """make("cat", "dog/train"): four empty images in each folder; names with a dot are files."""

    def write(*names: str) -> str:
        for name in names:
            files = [name] if "." in name else [f"{name}/{index}.png" for index in range(4)]
            for file in files:
                (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / file).touch()
        return str(tmp_path)

    return write


def both(first: str, second: str, *classes: str) -> list[str]:
    return [f"{top}/{name}" for top in (first, second) for name in classes]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *[(name, TRAIN) for name in ("train", "Training", "TRAIN", "train_set", "training-images", "Train Data")],
        *[(name, VAL) for name in ("val", "Valid", "validation", "dev", "validation_set")],
        *[(name, TEST) for name in ("test", "Testing", "holdout", "test_images", "TestSet")],
        *[(name, None) for name in ("cat", "data", "set", "trainer", "seg_train", "test tube", "devil")],
    ],
)
def test_names_of_splits(name, split):
    assert split_named(name) == split


@pytest.mark.parametrize(
    ("folders", "classes", "splits"),
    [
        (both("Training", "Testing", "glioma", "no tumor"), ("glioma", "no tumor"), {TRAIN, TEST}),
        (
            [*both("Train", "Valid", "cat", "dog"), "Test/cat", "Test/dog"],
            ("cat", "dog"),
            {TRAIN, VAL, TEST},
        ),
        ([*both("train", "dev", "cat", "dog"), "holdout/cat", "holdout/dog"], ("cat", "dog"), {TRAIN, VAL, TEST}),
        (both("cat", "dog", "train", "test"), ("cat", "dog"), {TRAIN, TEST}),
        (both("cat", "dog", "Training", "val", "TEST"), ("cat", "dog"), {TRAIN, VAL, TEST}),
        (["cat/images", "dog/images"], ("cat", "dog"), {TRAIN, TEST}),
        (["cat/a", "dog/b"], ("cat", "dog"), {TRAIN, TEST}),
        (["cat", "dog", "cat/left", "dog/left"], ("cat", "dog"), {TRAIN, TEST}),
        (["train_station", "test_tube", "bus"], ("bus", "test_tube", "train_station"), {TRAIN, TEST}),
    ],
)
def test_arrangements_that_are_understood(make, folders, classes, splits):
    folder = make(*folders)
    listing = check_listing(folder, DataConfig(path=folder))
    assert (listing.classes, set(listing.splits)) == (classes, splits)
    assert listing.refused == ()
    if listing.given_splits:  # the split is the one in the folder's name
        for file in listing.files:
            assert file.split in {split_named(part) for part in file.path.split("/")[:2]}
            assert file.label in file.path.split("/")[:2]


MVTEC = [
    f"{thing}/{part}"
    for thing in ("bottle", "cable")
    for part in ("train/good", "test/good", "test/broken", "ground_truth/broken")
]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (both("north", "south", "cat", "dog"), r"north, south all have .*: any/class .*cat, dog.*: class .*north, sou"),
        (both("images", "masks", "cat", "dog"), r"any/class .*: class "),
        (both("seg_train", "seg_test", "cat", "dog"), r"split/class .*seg_test/ is test.*: class "),
        (["bus", "car", "train"], r"train/ without test/.*: class .*train is a class: bus, car, train.*split/class"),
        (["val", "cat", "dog"], r": class .*split/class"),
        (["cat/train", "cat/test", "dog"], r"inside cat.*class/split.*: class "),
        (
            MVTEC,
            r"class/split .*bottle, cable, without ground_.*any/split/class .*broken, good.*data\.path.*bottle",
        ),
        (
            ["train/good", "test/good", "ground_truth/good"],
            r"other folders next to train/ and test/: ground_truth/.*data.exclude: \['ground_truth/\*'\]",
        ),
        (
            [*both("train", "test", "cat", "dog"), "Testing/cat"],
            r"several folders are the same split.*Testing/ \(test\)",
        ),
        (["train/cat", "train/dog", "test"], r"test/ has 4 files, but no class folders.*data\.path to .*/train"),
        (
            ["training_set/training_set/cat", "training_set/training_set/dog", "test_set/test_set/cat"],
            r"split/any/class .*cat, dog",
        ),
        (["src", "doc", "tests"], r"software project.*doc/, src/, tests/ would be classes.*data.folders: class"),
        (["src", "pyproject.toml", "data/cat", "data/dog"], r"software project.*src/.*perhaps .*/data;"),
    ],
)
def test_two_readings_are_shown_with_the_key(make, folders, message):
    folder = make(*folders)
    with pytest.raises(RestemError, match=f"(?s){message}") as caught:
        check_listing(folder, DataConfig(path=folder))
    assert (
        "data.folders" in str(caught.value)
        or "data.exclude" in str(caught.value)
        or "data.path to" in str(caught.value)
    )


@pytest.mark.parametrize(
    ("folders", "keys", "classes", "splits"),
    [
        (both("north", "south", "cat", "dog"), {"folders": "any/class"}, ("cat", "dog"), {TRAIN, TEST}),
        (both("north", "south", "cat", "dog"), {"folders": "class"}, ("north", "south"), {TRAIN, TEST}),
        (both("seg_train", "seg_test", "cat", "dog"), {"folders": "split/class"}, ("cat", "dog"), {TRAIN, TEST}),
        (["bus", "train"], {"folders": "class"}, ("bus", "train"), {TRAIN, TEST}),
        (["src", "doc"], {"folders": "class"}, ("doc", "src"), {TRAIN, TEST}),
        (
            [name.replace("train/good", "train/broken") for name in MVTEC] + MVTEC,
            {"folders": "any/split/class", "exclude": ["*/ground_truth/*"]},
            ("broken", "good"),
            {TRAIN, TEST},
        ),
        (MVTEC, {"folders": "class/split", "exclude": ["*/ground_truth/*"]}, ("bottle", "cable"), {TRAIN, TEST}),
    ],
)
def test_the_key_chooses(make, folders, keys, classes, splits):
    folder = make(*folders)
    listing = check_listing(folder, DataConfig(path=folder, **keys))
    assert (listing.classes, set(listing.splits)) == (classes, splits)


@pytest.mark.parametrize("pattern", ["", "classes", "split", "class/class", "split/split/class", "class/"])
def test_a_wrong_pattern_is_refused(pattern):
    with pytest.raises(ValueError, match=r"data\.folders|folders"):
        DataConfig(path="x", folders=pattern)


def test_patterns_choose_files_and_the_number_of_others_is_said(make):
    folder = make("cat", "dog", "masks", "cat/0_mask.gif", "dog/notes/x.txt")
    listing = check_listing(folder, DataConfig(path=folder, include=["*.png"], exclude=["masks/*"]))
    assert listing.classes == ("cat", "dog")
    assert len(listing) == 8
    assert any("6 files are left out by data.include and data.exclude" in note for note in listing.notes)
    with pytest.raises(RestemError, match=r"folder is empty.*14 files are left out by data\.exclude"):
        check_listing(folder, DataConfig(path=folder, exclude=["*"]))

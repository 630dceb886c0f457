"""Folders as people have them: what is the class, what is the split, and when the user is asked."""

import pytest

from restem.errors import RestemError
from restem.example_gen.dataset import TEST, TRAIN, VAL
from restem.example_gen.layouts.levels import Levels, find_levels, plain


def levels(*files: str, class_level: int | None = None) -> Levels:
    folders = {"/".join(name.split("/")[:depth]) for name in files for depth in range(1, name.count("/") + 1)}
    return find_levels(sorted(folders), files, class_level, "data.path (/images)")


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("Training", "Testing"), {"Training": TRAIN, "Testing": TEST}),
        (("TRAIN", "Valid", "Test"), {"TRAIN": TRAIN, "Valid": VAL, "Test": TEST}),
        (("train", "val", "test"), {"train": TRAIN, "val": VAL, "test": TEST}),
        (("training", "dev", "holdout"), {"training": TRAIN, "dev": VAL, "holdout": TEST}),
    ],
)
def test_split_folders_in_every_spelling(names, splits):
    above = levels(*(f"{name}/{label}/1.png" for name in names for label in ("cat", "dog")))
    assert above == Levels(label=1, split=0, splits=splits)
    below = levels(*(f"{label}/{name}/1.png" for name in names for label in ("cat", "dog")))
    assert below == Levels(label=0, split=1, splits=splits)


def test_one_name_of_a_split_is_a_class_unless_it_is_certain():
    assert levels("testing/1.png", "other/1.png") == Levels()
    assert levels("dev/1.png", "holdout/1.png") == Levels()
    with pytest.raises(RestemError, match=r"there is train/ without test/.*data\.class_level: 1"):
        levels("train/1.png", "plane/1.png")
    assert levels("train/1.png", "plane/1.png", class_level=1) == Levels()


def test_sub_folders_of_the_same_names_are_asked_about():
    files = [f"{site}/{label}/{i}.png" for site in ("ulm", "bonn") for label in ("ill", "well") for i in range(3)]
    with pytest.raises(RestemError) as caught:
        levels(*files)
    assert "data.class_level: 1 for the classes bonn, ulm, or data.class_level: 2 for the classes ill, well" in str(
        caught.value
    )
    assert levels(*files, class_level=1) == Levels(label=0)
    assert levels(*files, class_level=2) == Levels(label=1)


def test_mvtec_is_asked_about_or_refused():
    """bottle/{train/good, test/broken, ground_truth/broken}, and the folder above it."""
    one = ["train/good/1.png", "test/good/1.png", "test/broken/1.png", "ground_truth/broken/1.png"]
    with pytest.raises(RestemError, match=r"other folders next to test/, train/: ground_truth/.*data\.exclude"):
        levels(*one)
    with pytest.raises(RestemError, match="all 2 folders \\(bottle, cable\\) contain the same folders"):
        levels(*(f"{what}/{name}" for what in ("bottle", "cable") for name in one))


@pytest.mark.parametrize(
    "files",
    [
        ["cat/1.png", "dog/1.png"],
        ["cat/a/1.png", "cat/2.png", "dog/a/1.png"],  # some images lie directly in their class
        ["cat/a/1.png", "dog/a/1.png"],  # one sub-folder of the same name says nothing
        ["cat/p1/1.png", "cat/p2/1.png", "dog/p3/1.png", "dog/p4/1.png"],  # patients
        ["one/a/1.png", "one/b/1.png"],
    ],
)
def test_other_folders_are_classes(files):
    assert levels(*files) == Levels()


def test_the_parent_folder_of_a_project_is_questioned():
    with pytest.raises(RestemError, match=r"look like those of a software project: doc, src, tests"):
        levels("src/1.png", "doc/2.png", "tests/3.png")
    assert levels("src/1.png", "cat/2.png", "dog/2.png") == Levels()
    assert levels("src/1.png", "doc/2.png", "tests/3.png", class_level=1) == Levels()


def test_names_that_people_take_for_the_same():
    assert plain("T-Shirt") == plain("t shirt") == plain("tshirt") != plain("shirt")

"""data.classes: the classes as a contract."""

import pytest
from PIL import Image
from pydantic import ValidationError

from restem.errors import RestemError
from restem.example_gen.classes import ClassChange, listed_change
from restem.example_gen.component import ImageExampleGen
from restem.example_gen.config import DataConfig
from restem.example_gen.listing import check_listing


@pytest.fixture
def folder(tmp_path):
    for name in ("cat", "dog", "e\u0301lan"):
        (tmp_path / name).mkdir()
        for number in range(10):
            Image.new("L", (4, 4), number).save(tmp_path / name / f"{number}.png")
    return str(tmp_path)


def listing(folder, **settings):
    return check_listing(folder, DataConfig(path=folder, **settings))


def test_all_listed_classes_are_there(folder):
    # The file system has the name as two characters; the list has it as one.
    assert listing(folder, classes=("dog", "cat", "\u00e9lan")).notes == listing(folder).notes


def test_a_missing_class_stops_the_run(folder):
    with pytest.raises(RestemError, match=r"the class fox of data\.classes has no images.*allow_class_changes: true"):
        listing(folder, classes=("cat", "dog", "fox", "\u00e9lan"))
    found = listing(folder, classes=("cat", "dog", "fox", "\u00e9lan"), allow_class_changes=True)
    assert "Class fox of data.classes without images." in found.notes


def test_a_new_class_is_trained_on_and_named(folder):
    found = listing(folder, classes=("cat", "dog"))
    assert len(found.classes) == 3
    assert "New class \u00e9lan, not in data.classes." in found.notes


def test_a_change_in_words():
    change = ClassChange("version 7", ("a", "b"), ("c",))
    assert change.sentence == "New classes a, b, not in version 7. Class c of version 7 without images."
    assert ClassChange.from_dict({"reference": "version 7", "added": ["a", "b"], "missing": ["c"]}) == change
    assert listed_change(DataConfig(path="/images"), ["a"]) is None


def test_a_list_is_complete_and_has_no_name_twice(folder):
    with pytest.raises(ValidationError, match="classes has duplicate names"):
        DataConfig(path=folder, classes=("cat", "dog", "cat"))


def test_allowing_a_change_reads_the_images_again_only_if_they_are_compared_here(folder):
    def settings(**values):
        return ImageExampleGen(DataConfig(path=folder, **values)).exec_properties["settings"]

    assert settings() == settings(allow_class_changes=True)
    listed = {"classes": ("cat", "dog")}
    assert settings(**listed) != settings(**listed, allow_class_changes=True)

"""What the names of files and classes tell."""

import re

import pytest

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import TEST, TRAIN, ImageFile, Listing, Refused, has_control, text_of
from restem.example_gen.listing import check_listing
from restem.example_gen.names import group_pattern, questions, recurring_numbers, wanted


def listing(*paths: str, splits: dict[str, str] | None = None, refused: tuple[Refused, ...] = ()) -> Listing:
    files = tuple(
        ImageFile(path, path.split("/")[0], (splits or {}).get(path, TEST if i % 3 == 0 else TRAIN))
        for i, path in enumerate(paths)
    )
    return Listing("/images", tuple(sorted({file.label for file in files})), files, refused, False)


def config(**values) -> DataConfig:
    return DataConfig(path="/images", **values)


CONTROL = ["a\x1b[31mred", "a\nb", "\u202egnp.exe", "a\u2028b", "\x07", "a\x9bm"]


@pytest.mark.parametrize("name", CONTROL)
def test_control_characters_are_quarantined_and_never_shown(name):
    found = wanted(listing("cat/1.png", f"cat/{name}.png", f"{name}/1.png"), config())
    assert found.classes == ("cat",)
    assert [file.path for file in found.files] == ["cat/1.png"]
    for one in found.refused:
        assert "control characters" in one.reason
        assert not has_control(one.path)
        assert one.path == text_of(one.path).replace("\\\\", "\\")


def test_other_writing_stays_as_it_is():
    for name in (
        "\u0645\u06cc\u200c\u0646\u0648\u06cc\u0633",
        "\u00e9lan",
        "\u732b",
        "\U0001f469\u200d\U0001f52c",
        "a b",
    ):
        assert text_of(name) == name
        assert not has_control(name)


def test_patterns_leave_files_out_and_say_how_many():
    everything = listing("cat/1.jpg", "cat/1.png", "dog/2.jpg", "masks/3.png", refused=(Refused("cat/x.txt", "text"),))
    found = wanted(everything, config(exclude=("*.png", "*.txt")))
    assert [file.path for file in found.files] == ["cat/1.jpg", "dog/2.jpg"]
    assert (found.classes, found.refused) == (("cat", "dog"), ())
    assert found.notes == ("3 files are left out by data.include and data.exclude.",)
    found = wanted(everything, config(include=("cat/*",)))
    assert [file.path for file in found.files] == ["cat/1.jpg", "cat/1.png"]
    with pytest.raises(RestemError, match=r"no file is left.*cat/1\.jpg"):
        wanted(everything, config(include=("*.tiff",)))


def test_classes_are_merged_as_asked():
    found = wanted(listing("Cat/1.png", "cat/2.png", "dog/3.png"), config(merge_labels={"Cat": "cat"}))
    assert (found.classes, [file.label for file in found.files]) == (("cat", "dog"), ["cat", "cat", "dog"])
    with pytest.raises(RestemError, match=r"no such class.*given horse"):
        wanted(listing("cat/2.png", "dog/3.png"), config(merge_labels={"horse": "cat"}))


def test_classes_that_look_the_same_are_named():
    (told,) = questions(listing("T-Shirt/1.png", "t shirt/2.png", "shoe/3.png", "shoe/4.png", "t shirt/5.png",
                                "T-Shirt/6.png", "shoe/7.png"))[:1]  # fmt: skip
    assert "T-Shirt, t shirt differ only in case" in told
    assert "data.merge_labels: {'t shirt': 'T-Shirt'}" in told


def test_photographs_and_masks_side_by_side_are_questioned():
    pairs = [f"cat/{i}.{ending}" for i in range(20) for ending in ("jpg", "png")]
    (told,) = (one for one in questions(listing(*pairs, "dog/1.jpg", "dog/2.jpg")) if "masks" in one)
    assert told.startswith("20 images have the same name as another one with another ending, such as cat/0 with jpg")
    assert not [one for one in questions(listing("cat/1.jpg", "dog/1.png", "dog/2.jpg")) if "masks" in one]


def test_classes_without_test_images_are_named():
    splits = {f"cat/{i}.png": TEST if i == 0 else TRAIN for i in range(3)} | {"dog/1.png": TRAIN}
    (told,) = questions(listing(*splits, splits=splits))
    assert told.startswith("This class has no test image")
    assert told.endswith(": dog.")


def test_numbers_that_recur_in_training_and_testing_are_questioned():
    names = [f"ill/person{number}_virus_{i}.jpeg" for number in range(10) for i in range(3)]
    splits = {name: TEST if i % 3 == 0 else TRAIN for i, name in enumerate(names)}
    files = listing(*names, splits=splits).files
    assert recurring_numbers(files) == (10, "person0")
    assert {re.search(group_pattern(), file.path)[1] for file in files} == {f"person{i}" for i in range(10)}
    kept = {name: TEST if "person3_" in name else TRAIN for name in names}
    assert recurring_numbers(listing(*names, splits=kept).files) is None
    for plain_names in ([f"cat/{i}.png" for i in range(30)], [f"cat/IMG_{i}.png" for i in range(30)]):
        assert recurring_numbers(listing(*plain_names).files) is None


def test_a_folder_of_all_of_them(tmp_path):
    for name in ("cat/1.png", "cat/1.jpg", "Cat/2.png", "cat/bad\x1b.png", "cat/3.png", "Cat/4.png", "Cat/5.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "cat" / "out.png").symlink_to("/etc/passwd")
    found = check_listing(str(tmp_path), DataConfig(path=str(tmp_path), test_share=0.5))
    assert [one.path for one in found.refused] == ["cat/bad\\x1b.png", "cat/out.png"]
    assert [note for note in found.notes if "differ only in case" in note]
    assert [note for note in found.notes if "masks" in note]

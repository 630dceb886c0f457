"""What the names alone let one doubt, on the names that people have."""

from collections import Counter

import pytest

from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import TEST, TRAIN, VAL, ImageFile, Listing
from restem.example_gen.group_pattern import compiled_group
from restem.example_gen.labels import merge_labels
from restem.example_gen.questions import alike, companions, missing_sentence, notes_on, recurring


def listing(names: list[str], *, given: bool = False) -> Listing:
    """Every fifth image is for testing; the class is the first folder."""
    files = tuple(ImageFile(name, name.split("/")[0], TRAIN if index % 5 else TEST) for index, name in enumerate(names))
    return Listing("d", tuple(sorted({file.label for file in files})), files, (), given)


XRAY = [
    *(f"PNEUMONIA/person{i}_{kind}_{j}.jpeg" for i in range(60) for kind in ("virus", "bacteria") for j in (1, 2)),
    *(f"NORMAL/{prefix}IM-{i:04d}-{j:04d}.jpeg" for i in range(60) for j in (1, 2) for prefix in ("", "NORMAL2-")),
]


@pytest.mark.parametrize(
    ("names", "numbers", "group"),
    [
        (XRAY, 120, {"PNEUMONIA/person7_virus_1.jpeg": "person7", "NORMAL/NORMAL2-IM-0007-0001.jpeg": "IM-0007"}),
        (
            [f"{c}/{i}_{j}.png" for c in "ab" for i in range(30) for j in range(4)],
            30,
            {"a/7_1.png": "7"},
        ),
        (
            [f"{'ab'[i % 2]}/patient_{i}/slice_{j}.png" for i in range(40) for j in range(6)],
            40,
            {"a/patient_8/slice_1.png": "patient_8"},
        ),
    ],
)
def test_numbers_that_recur_are_proposed_as_groups(names, numbers, group):
    found = recurring(listing(names).files)
    assert found is not None
    assert (found.numbers, found.images) == (numbers, len(names))
    assert found.shared > 0
    pattern = compiled_group(found.pattern)
    for name, value in group.items():
        match = pattern.search(name)
        assert match is not None
        assert match[1] == value
    (note,) = notes_on(listing(names))
    assert f"{found.shared:,} of {numbers:,} numbers" in note
    assert f"data.group: '{found.pattern}'" in note
    assert notes_on(listing(names), grouped=True) == ()


@pytest.mark.parametrize(
    "names",
    [
        [f"{c}/{i}.png" for c in "ab" for i in range(99)],
        [f"{c}/img_{i}.png" for c in "ab" for i in range(99)],  # counted anew in each class
        [f"{c}/img_{i}_small.png" for c in "ab" for i in range(99)],
        [f"{i % 10}/digit-{i:04d}.png" for i in range(300)],
        [f"a/IMG_{1000 + i}.JPG" for i in range(99)],
        [f"cat/{i}_crop.jpg" for i in range(99)],
        [f"a/ISIC_2019_{i}.jpg" for i in range(99)],  # always the same number
        [f"class{c}/x-{i}.png" for c in (1, 2) for i in range(99)],  # the number is the class
    ],
)
def test_numbers_that_are_only_counted_are_no_groups(names):
    assert recurring(listing(names).files) is None
    assert notes_on(listing(names)) == ()


@pytest.mark.parametrize(
    ("names", "pattern", "pairs"),
    [
        ([f"a/{i}.{suffix}" for i in range(12) for suffix in ("jpg", "png")], "*.png", 12),
        ([f"a/{i}{end}" for i in range(12) for end in (".png", "_mask.png")], "*_mask.*", 12),
        ([f"a/b ({i}){end}.png" for i in range(12) for end in ("", "_mask")], "*_mask.*", 12),
        ([f"a/ISIC_{i}{end}" for i in range(12) for end in (".jpg", "_segmentation.png")], "*_segmentation.*", 12),
    ],
)
def test_companions_of_the_same_name_are_asked_about(names, pattern, pairs):
    assert companions(names) == {pattern: pairs}
    (note,) = notes_on(listing(names))
    assert "Are these masks, not images?" in note
    assert f"data.exclude: ['{pattern}']" in note


def test_other_names_have_no_companions():
    assert companions(["a/1.png", "b/1.jpg", "a/1_mask.png.bak", "a/mask.png", "a/2_mask.png", "noext"]) == {}


def test_names_that_are_alike():
    names = ["Cat", "cat", "ca t", "dog", "ｄog", "cafe\u0301", "caf\u00e9", "fox"]
    assert alike(names) == (("Cat", "ca t", "cat"), ("cafe\u0301", "caf\u00e9"), ("dog", "ｄog"))
    (note,) = notes_on(listing(["Cat/1.png", "cat/2.png", "cat/3.png", "dog/4.png"]))
    assert "'Cat' = 'cat'" in note
    assert "data.merge_labels: true" in note


def test_merged_labels():
    names = ["Cat/1.png", "cat/2.png", "cat/3.png", "dog/4.png"]
    same = merge_labels(listing(names), DataConfig(path="d"))
    assert same.classes == ("Cat", "cat", "dog")
    merged = merge_labels(listing(names), DataConfig(path="d", merge_labels=True))
    assert (merged.classes, Counter(file.label for file in merged.files)) == (("cat", "dog"), {"cat": 3, "dog": 1})
    assert any("'Cat' -> 'cat'" in note for note in merged.notes)
    mapped = merge_labels(listing(names), DataConfig(path="d", merge_labels={"dog": "animal", "cow": "animal"}))
    assert mapped.classes == ("Cat", "animal", "cat")
    assert any("that the data do not have: cow" in note for note in mapped.notes)
    with pytest.raises(ValueError, match="both sides"):
        DataConfig(path="d", merge_labels={"a": "b", "b": "a"})


def test_classes_without_test_or_validation_images_are_named():
    counts = {TRAIN: Counter(a=3, b=3, c=3), VAL: Counter(a=1, b=1), TEST: Counter(a=2)}
    told = missing_sentence(("a", "b", "c"), counts)
    assert "2 classes have no test images, so nothing is known about answers for them: b, c" in told
    assert "1 class has no validation images, so they do not count there: c" in told
    assert missing_sentence(("a",), {TRAIN: Counter(a=1), TEST: Counter(a=1)}) == ""

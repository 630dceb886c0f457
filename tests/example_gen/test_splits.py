from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import ImageFile, Listing
from restem.example_gen.splits import assign_splits


def split(files: list[ImageFile], *, given_splits: bool = False, **options) -> dict[str, str]:
    classes = tuple(sorted({file.label for file in files}))
    listing = Listing("folder", classes, tuple(files), (), given_splits)
    return {file.path: file.split for file in assign_splits(listing, DataConfig(path="folder", **options)).files}


def many(label: str, count: int, **options) -> list[ImageFile]:
    return [ImageFile(f"{label}/{index}.png", label, "", **options) for index in range(count)]


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_stratified_keeps_the_share_of_each_class(share):
    sizes = {"a": 1000, "b": 40, "c": 7, "d": 2, "e": 1}
    found = split(
        [file for name, count in sizes.items() for file in many(name, count)], split="stratified", test_share=share
    )
    tested = Counter(path.split("/")[0] for path, side in found.items() if side == "test")
    for name, size in sizes.items():
        assert tested[name] == min(max(round(share * size), 1), size - 1)


@settings(deadline=None, max_examples=60)
@given(st.sets(st.integers(0, 400), min_size=2, max_size=120), st.integers(0, 400))
def test_an_added_image_moves_at_most_one_other(numbers, number):
    before = [ImageFile(f"a/{index}.png", "a", "") for index in sorted(numbers)]
    after = [ImageFile(f"a/{index}.png", "a", "") for index in sorted(numbers | {number})]
    first, second = (split(files + many("b", 50), split="stratified") for files in (before, after))
    moved = [path for path in first if first[path] != second[path]]
    assert len(moved) <= 1
    assert all(path.startswith("a/") for path in moved)


@pytest.mark.parametrize("how", ["hash", "stratified"])
def test_a_group_stays_in_one_split(how):
    files = [ImageFile(f"{index}.png", "ab"[index % 2], "", group=f"patient {index % 83}") for index in range(1000)]
    found = split(files, split=how, test_share=0.25)
    sides = {file.group: set() for file in files}
    for file in files:
        sides[file.group].add(found[file.path])
    assert all(len(splits) == 1 for splits in sides.values())
    tested = Counter(file.label for file in files if found[file.path] == "test")
    # 83 draws of 0.25 vary by 4 groups of 12 images; the stratified ones by less than one group.
    tolerance = 75 if how == "hash" else 13
    assert all(abs(tested[label] - 125) < tolerance for label in "ab")


def test_an_image_without_a_group_is_split_by_itself():
    files = [ImageFile(f"{index}.png", "a", "", group=None if index % 2 else "g") for index in range(200)]
    found = split(files, split="hash")
    assert found == {**found, **split([file for file in files if file.group is None], split="hash")}


def test_records_are_split_by_their_key():
    one, other = ([ImageFile(f"{shard}#{index}", "a", "", key=f"k{index}") for index in range(100)] for shard in "xy")
    assert list(split(one).values()) == list(split(other).values())


def test_given_splits_are_kept_unless_others_are_configured():
    files = [ImageFile(f"test/a/{index}.png", "a", "test") for index in range(100)]
    assert set(split(files, given_splits=True).values()) == {"test"}
    assert set(split(files, given_splits=True, split="hash").values()) == {"test", "train"}
    with pytest.raises(RestemError, match="the data do not say which images are for testing"):
        split(many("a", 3), split="given")


def test_groups_in_two_given_splits_are_refused():
    files = [ImageFile("1.png", "a", "train", group="p1"), ImageFile("2.png", "a", "test", group="p1")]
    files.append(ImageFile("3.png", "a", "test", group="p2"))
    with pytest.raises(RestemError, match=r"1 of 2 groups are in more than one split.*given p1"):
        split(files, given_splits=True)
    assert split(files, given_splits=True, allow_leaks=True)["2.png"] == "test"

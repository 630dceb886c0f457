import json

import pytest

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.duplicates import check_leaks, digest_line, find_duplicates

A, B, C = (bytes([value]) * 32 for value in (1, 255, 7))
NEAR_A = A[:8] + bytes(24)  # The first 8 bytes are the same, but the digest differs.


def found(*entries):
    lines = [digest_line(digest, path, label, split) + "\n" for digest, path, label, split in entries]
    return find_duplicates(lambda: iter(lines))


def test_identical_images_are_found_and_classified():
    duplicates = found(
        (A, "1", "cat", "train"),
        (NEAR_A, "2", "cat", "test"),
        (A, "3", "cat", "test"),
        (B, "4", "cat", "train"),
        (B, "5", "dog", "train"),
        (C, "6", "dog", "train"),
    )
    assert duplicates.counts() == {"groups": 2, "leaks": 1, "conflicts": 1}
    first, second = map(json.loads, duplicates.lines())
    assert (first["leak"], first["conflict"], [copy["path"] for copy in first["copies"]]) == (True, False, ["1", "3"])
    assert (second["leak"], second["conflict"]) == (False, True)


def test_different_images_give_no_groups():
    assert found((A, "1", "a", "train"), (B, "2", "a", "test")).groups == ()
    assert found().groups == ()


def test_a_leak_is_an_error_unless_allowed():
    leaked = found(*((bytes([n]) * 32, f"{split}/{n}", "a", split) for n in range(30) for split in ("train", "test")))
    with pytest.raises(RestemError, match="30 images are in more than one split") as caught:
        check_leaks(leaked, DataConfig(path="p"), "p")
    assert "test/24 (test) = train/24 (train)" in str(caught.value)
    assert "and 10 more" in str(caught.value)
    check_leaks(leaked, DataConfig(path="p", allow_leaks=True), "p")
    check_leaks(found((A, "1", "a", "train"), (A, "2", "b", "train")), DataConfig(path="p"), "p")

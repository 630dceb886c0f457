from collections import Counter

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from components.example_gen import embedded
from components.example_gen.config import DataConfig
from components.example_gen.embedded import choose_stratified, write_digits
from components.example_gen.listing import check_listing


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedded") / "deep" / "digits"
    write_digits(folder)
    return folder


def test_they_walk_the_road_of_a_users_folder(digits):
    listing = check_listing(str(digits), DataConfig(path=str(digits)))
    assert (listing.given_splits, listing.classes) == (True, tuple("0123456789"))
    counts = listing.counts()
    assert {split: sum(by_class.values()) for split, by_class in counts.items()} == {"train": 1437, "test": 360}
    # In proportion: each class has a fifth of its images in the test split, to one image.
    sizes = Counter(load_digits().target.tolist())
    assert all(abs(counts["test"][str(name)] - size * 360 / 1797) < 1 for name, size in sizes.items())


def test_the_pixels_are_scikit_learns_in_17_levels(digits):
    original = load_digits()
    for index in (0, 1, 1796):
        (path,) = digits.rglob(f"digit-{index:04d}.png")
        assert path.parent.name == str(original.target[index])
        image = Image.open(path)
        assert image.mode == "L"
        assert np.array_equal(np.round(np.asarray(image) / 255 * 16), original.images[index])


def test_which_images_are_for_testing_never_changes():
    chosen = choose_stratified(load_digits().target, 360)
    assert (len(chosen), sum(chosen), chosen[:5]) == (360, 312063, [8, 9, 39, 46, 47])


def test_the_second_call_touches_nothing_and_nothing_unfinished_is_left(digits):
    before = {path: path.stat().st_mtime_ns for path in digits.rglob("*")}
    write_digits(digits)
    assert {path: path.stat().st_mtime_ns for path in digits.rglob("*")} == before
    assert [path.name for path in digits.parent.iterdir()] == ["digits"]


def test_an_interrupted_call_leaves_no_folder(tmp_path, monkeypatch):
    def interrupted(labels, count):
        raise KeyboardInterrupt

    monkeypatch.setattr(embedded, "choose_stratified", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_digits(tmp_path / "digits")
    assert list(tmp_path.iterdir()) == []

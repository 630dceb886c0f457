from collections import Counter

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from restem.example_gen import embedded
from restem.example_gen.config import DataConfig
from restem.example_gen.documents import BANDS, documents
from restem.example_gen.embedded import choose_stratified, embedded_folder, write_embedded
from restem.example_gen.listing import check_listing
from restem.images.bands import Bands, find_bands
from restem.images.probe import probe


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    parent = tmp_path_factory.mktemp("embedded") / "deep"
    write_embedded("embedded:digits", parent)
    return parent / "digits"


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    parent = tmp_path_factory.mktemp("embedded")
    write_embedded("embedded:documents", parent)
    return parent / "documents"


@pytest.mark.parametrize("name", ["digits", "papers"])
def test_they_are_listed_like_a_users_folder(name, request):
    folder = str(request.getfixturevalue(name))
    listing = check_listing(folder, DataConfig(path=folder))
    assert (listing.given_splits, listing.classes) == (True, tuple("0123456789"))
    counts = listing.counts()
    assert {split: sum(by_class.values()) for split, by_class in counts.items()} == {"train": 1437, "test": 360}
    # In proportion: each class has a fifth of its images in the test split, within one image.
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


def test_a_second_call_changes_nothing_and_no_partial_folder_remains(digits):
    before = {path: path.stat().st_mtime_ns for path in digits.rglob("*")}
    write_embedded("embedded:digits", digits.parent)
    assert {path: path.stat().st_mtime_ns for path in digits.rglob("*")} == before
    assert [path.name for path in digits.parent.iterdir()] == ["digits"]


def test_an_interrupted_call_leaves_no_folder(tmp_path, monkeypatch):
    def interrupted(labels, count):
        raise KeyboardInterrupt

    monkeypatch.setattr(embedded, "choose_stratified", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_embedded("embedded:digits", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_other_paths_are_not_changed(tmp_path):
    assert embedded_folder("embedded:digits", tmp_path) == str(tmp_path / "digits")
    assert embedded_folder("/data/scans", tmp_path) == "/data/scans"
    write_embedded("/data/scans", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_documents_are_read_with_named_bands(papers):
    path = next(papers.rglob("document-0007.tif"))
    header = probe(path.read_bytes(), max_pixels=10**6, max_bytes=10**6)
    assert (header.format, header.height, header.width, header.channels, header.bit_depth) == ("TIFF", 32, 32, 4, 8)
    # The pixels are not read, because the file names the bands.
    assert find_bands(path.read_bytes(), header, pytest.fail) == Bands(BANDS)


def test_neither_infrared_nor_colour_is_enough_alone():
    """A digit in carbon ink is readable only in infrared; a digit in dye ink is invisible in infrared."""
    digits = load_digits()
    scans = np.round(digits.images * (255 / 16)).astype(np.uint8)
    in_test = np.arange(len(scans)) % 5 == 0
    images = documents(scans, in_test).astype(float)
    ink = np.stack([np.asarray(Image.fromarray(s).resize((32, 32), Image.Resampling.BICUBIC)) for s in scans]) / 255.0
    seen = 255 - images
    in_dye_ink = seen[..., 3].std(axis=(1, 2)) < 0.05 * 255
    assert 0.2 < in_dye_ink.mean() < 0.3

    def correlation(band: np.ndarray) -> np.ndarray:
        return np.array([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(band, ink, strict=True)])

    infrared, visible = correlation(seen[..., 3]), correlation(seen[..., :3].mean(axis=-1))
    assert infrared[~in_dye_ink].min() > 0.9
    assert np.abs(infrared[in_dye_ink]).max() < 0.2
    assert visible[in_dye_ink].min() > 0.9
    assert np.median(visible[~in_dye_ink]) < visible[in_dye_ink].min()  # There is a second digit.


def test_a_document_is_overwritten_by_a_digit_of_its_own_split():
    """Only scans of the test split have ink here, and documents of the training split show none of it."""
    scans = np.zeros((40, 8, 8), np.uint8)
    in_test = np.arange(40) >= 20
    scans[in_test] = 255
    images = documents(scans, in_test)
    paper = images[:20, ..., :3]
    assert paper.min() > 255 * 0.55  # the darkest paper minus noise; ink has at most 0.45

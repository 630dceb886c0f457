"""Folders of DICOM files: patients stay in one split, and nothing about them is written."""

import numpy as np
import pytest
import tensorflow as tf
from pydicom import uid

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import ExampleFields, Listing, Refused
from restem.example_gen.executor import listing_lines
from restem.example_gen.listing import check_listing, list_data
from restem.example_gen.reading import Accepted, ImageReader, Limits
from restem.images.config import ImageConfig
from restem.images.graph.preprocess import preprocess
from tests.images.formats.dicom_files import PATIENT, dataset, written

IMAGE = ImageConfig(size=8, channels=1, bits=16, max_upsampling=None, dicom={}, value_range=(-1024, 3071))


@pytest.fixture
def folder(tmp_path):
    """20 patients with three 8 x 8 files each, of two classes, by different makers and in different syntaxes."""
    syntaxes = (uid.ExplicitVRLittleEndian, uid.JPEG2000Lossless, uid.RLELossless)
    for patient in range(20):
        kind = "ill" if patient % 2 else "well"
        (tmp_path / kind).mkdir(exist_ok=True)
        for number, syntax in enumerate(syntaxes):
            ds = dataset(
                np.full((8, 8), 100 * patient + number, np.uint16),
                bits=12,
                syntax=syntax,
                RescaleSlope="1",
                RescaleIntercept="-1024",
                Manufacturer=f"Maker{number}",
            )
            ds.PatientID = f"{PATIENT[1]}-{patient}"
            (tmp_path / kind / f"{patient}-{number}").write_bytes(written(ds))
    return tmp_path


def grouped(folder, **keys) -> Listing:
    return list_data(str(folder), DataConfig(path=str(folder), layout="folders", group="dicom.PatientID", **keys))


@pytest.mark.parametrize("split", ["hash", "stratified"])
def test_files_of_one_patient_stay_in_one_split(folder, split):
    listing = grouped(folder, split=split, test_share=0.3)
    splits: dict[str, set[str]] = {}
    for file in listing.files:
        splits.setdefault(file.path.partition("/")[2].partition("-")[0], set()).add(file.split)
    assert {len(found) for found in splits.values()} == {1}
    assert {split for found in splits.values() for split in found} == {"train", "test"}
    assert grouped(folder, split=split, test_share=0.3) == listing
    # What is written for the workers: neither the number of a patient nor its hash.
    assert all(file.group is None for file in listing.files)
    assert not any(mark in line for line in listing_lines(listing) for mark in PATIENT)


def test_nothing_about_a_patient_is_in_an_example(folder):
    config = DataConfig(path=str(folder), layout="folders", metadata=("dicom.Manufacturer",))
    listing = check_listing(str(folder), config)
    fields = ExampleFields(listing.classes, metadata=config.metadata)
    (folder / "ill" / "cut").write_bytes((folder / "ill" / "1-1").read_bytes()[:-200])
    listing = check_listing(str(folder), config)
    outcomes = list(ImageReader(str(folder), Limits(10_000, 2**20, IMAGE.requirements()), fields).read(listing.files))
    (refused,) = [one for one in outcomes if isinstance(one, Refused)]
    assert refused.path == "ill/cut"
    assert not any(mark in refused.reason for mark in PATIENT)
    for one in outcomes:
        if not isinstance(one, Accepted):
            continue
        assert not any(mark.encode() in one.example for mark in PATIENT)
        example = tf.train.Example.FromString(one.example).features.feature
        patient, number = map(int, one.file.path.partition("/")[2].split("-"))
        assert example["dicom.Manufacturer"].bytes_list.value[0] == f"Maker{number}".encode()
        pixels = preprocess(tf.constant([example["image_bytes"].bytes_list.value[0]]), IMAGE).numpy()
        np.testing.assert_array_equal(pixels, round((100 * patient + number) / 4095 * 65535))


def test_a_patient_in_both_given_splits_is_refused_without_a_name(folder):
    for split in ("train", "test"):
        for kind in ("ill", "well"):
            (folder / "given" / split / kind).mkdir(parents=True)
            for name in (folder / kind).iterdir():
                (folder / "given" / split / kind / name.name).write_bytes(name.read_bytes())
    with pytest.raises(RestemError, match="20 of 20 groups are in more than one split") as caught:
        grouped(folder / "given")
    assert "test/ill/1-0 (test) and train/ill/1-0 (train)" in str(caught.value)
    assert not any(mark in str(caught.value) for mark in PATIENT)
    assert len(grouped(folder / "given", allow_leaks=True)) == 120


def test_files_without_the_element_are_refused(folder):
    ds = dataset(np.zeros((8, 8), np.uint16))
    ds.PatientID = ""
    (folder / "ill" / "nobody").write_bytes(written(ds))
    (folder / "ill" / "text").write_text("a note")
    refused = {one.path: one.reason for one in grouped(folder).refused}
    assert refused["ill/nobody"].startswith("It has no PatientID")
    assert refused["ill/text"].startswith("It is not a DICOM file")
    assert len(refused) == 2


@pytest.mark.parametrize("keys", [{"metadata": ("dicom.PatientName",)}, {"group": "dicom.PatientBirthDate"}])
def test_elements_that_are_not_accepted(keys):
    with pytest.raises(ValueError, match="element of DICOM files"):
        DataConfig(path="images", **keys)

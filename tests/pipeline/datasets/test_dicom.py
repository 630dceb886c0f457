"""What `restem init` proposes for DICOM files."""

import numpy as np

from restem.pipeline.config import load_config
from restem.pipeline.datasets.proposal import propose
from tests.images.formats.dicom_files import PATIENT, dataset, written


def test_init_proposes_how_dicom_files_are_read(tmp_path):
    for patient in range(12):
        kind = tmp_path / "scans" / ("ill" if patient % 2 else "well")
        kind.mkdir(parents=True, exist_ok=True)
        for number in range(3):
            pixels = np.random.default_rng(patient).integers(0, 4096, (40, 40)).astype(np.uint16) // (number + 1)
            keys = {"RescaleSlope": "1", "RescaleIntercept": "-1024", "WindowCenter": "40", "WindowWidth": "400"}
            ds = dataset(pixels, bits=12, Modality="CT", **keys)
            ds.PatientID = f"{PATIENT[1]}-{patient}"
            (kind / f"{patient}-{number}.dcm").write_bytes(written(ds))
    text = propose(tmp_path / "scans", tmp_path / "own.yaml")
    assert not any(mark in text for mark in PATIENT)
    (tmp_path / "own.yaml").write_text(text)
    config = load_config(tmp_path / "own.yaml")
    assert config.image.value_range == (-1024, 3071)
    assert (config.image.dicom.window, config.image.bits, config.image.channels) == ("full", 16, 1)
    assert (config.data.group, config.data.split) == ("dicom.PatientID", "stratified")
    assert "36 of 36 sampled files name a window" in text


def test_init_proposes_nothing_for_grey_and_names_burned_in_annotations_of_colour_files(tmp_path):
    for place in range(8):
        kind = tmp_path / "scans" / ("ill" if place % 2 else "well")
        kind.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(place).integers(0, 256, (40, 40, 3)).astype(np.uint8)
        ds = dataset(pixels, Modality="US", BurnedInAnnotation="YES" if place < 3 else "NO")
        ds.PatientID = ""
        (kind / f"{place}.dcm").write_bytes(written(ds))
    text = propose(tmp_path / "scans", tmp_path / "own.yaml")
    assert "dicom: {window: full}  # values in the modality's units (US 8)" in text
    assert "3 of 8 sampled files say that annotations are burned into their pixels" in text
    assert "some files have no PatientID" in text
    assert "value_range" not in text

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

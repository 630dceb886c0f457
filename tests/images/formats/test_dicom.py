"""DICOM: the values are pydicom's, for all transfer syntaxes; what is refused; nothing about a patient is said."""

import subprocess
import sys

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

from restem.images.arrays import encode_for_serving, read_array
from restem.images.config import DicomReading, ImageConfig, Requirements
from restem.images.header import Header, UnreadableImage, check_suits
from restem.images.probe import probe

from .dicom_files import ENCODERS, LOSSY, NATIVE, PATIENT, dataset, dicom, written

LIMITS = {"max_pixels": 100_000, "max_bytes": 1 << 22}
FULL = DicomReading()
FILE = DicomReading(window="file")


def ramp(low: int, high: int, dtype: type = np.uint16, shape: tuple[int, int] = (33, 47)) -> np.ndarray:
    """A pattern with all steps between two values, and both of them."""
    down, across = np.mgrid[0 : shape[0], 0 : shape[1]]
    return (low + (high - low) * ((3 * across + 5 * down) % 97) // 96).astype(dtype)


DEEP, SIGNED, SMALL = ramp(0, 4095), ramp(-1024, 3071, np.int16), ramp(0, 255, np.uint8)
COLOURS = np.stack([SMALL, SMALL[::-1], 255 - SMALL], -1)
RESCALED = {"RescaleSlope": "1.5", "RescaleIntercept": "-1024"}


def read(data: bytes, reading: DicomReading | None = None) -> np.ndarray:
    return read_array(data, probe(data, **LIMITS), reading)


@pytest.mark.parametrize("syntax", [*NATIVE, *ENCODERS, uid.RLELossless], ids=lambda one: uid.UID(one).name)
@pytest.mark.parametrize("kind", ["12 bits", "signed", "8 bits", "colours"])
def test_every_transfer_syntax(syntax, kind):
    pixels, keys = {
        "12 bits": (DEEP, {"bits": 12}),
        "signed": (SIGNED, RESCALED),
        "8 bits": (SMALL, {}),
        "colours": (COLOURS, {}),
    }[kind]
    bits = {uid.JPEGBaseline8Bit: 8, uid.JPEGExtended12Bit: 12}.get(syntax)
    if bits is not None and kind not in ({"8 bits", "colours"} if bits == 8 else {"12 bits"}):
        return  # this syntax cannot hold it
    unsigned = kind == "signed" and syntax in ENCODERS and "2000" not in uid.UID(syntax).name
    ds = dataset(pixels.view(np.uint16) if unsigned else pixels, syntax=syntax, **keys)
    ds.PixelRepresentation = int(kind == "signed")
    found = read(written(ds))
    expected = pixels * 1.5 - 1024 if kind == "signed" else pixels
    assert found.dtype == (np.uint8 if kind == "colours" else np.float32)
    step = np.abs(np.squeeze(found).astype(np.float64) - expected).max()
    most = {uid.JPEG2000: 600, uid.JPEGExtended12Bit: 40}.get(syntax, 8) if syntax in LOSSY else 0
    assert step <= most


def opened(data: bytes) -> tuple[Dataset, np.ndarray]:
    """pydicom's own reading: the data set and the stored values."""
    ds = pydicom.dcmread(pydicom.filebase.DicomBytesIO(data))
    return ds, ds.pixel_array


def lookup_table(entries: int, first: int, bits: int) -> Dataset:
    table = Dataset()
    table.LUTDescriptor = [entries, first, bits]
    table.LUTData = [(place * place) % (2**bits) for place in range(entries)]
    table["LUTData"].VR = "US"
    return table


TABLE = {"ModalityLUTSequence": [lookup_table(3000, 500, 16)]}
WINDOW = {"WindowCenter": "1000", "WindowWidth": "800"}
UNITS = {
    "stored": (DEEP, {"bits": 12}),
    "rescaled": (DEEP, {"bits": 12, **RESCALED}),
    "signed": (SIGNED, {"RescaleSlope": "0.37", "RescaleIntercept": "11.5"}),
    "table": (DEEP, {"bits": 12, **TABLE}),
    "implicit": (SIGNED, {"syntax": uid.ImplicitVRLittleEndian, **RESCALED}),
}


@pytest.mark.parametrize("case", UNITS)
def test_values_are_those_of_apply_modality_lut(case):
    pixels, keys = UNITS[case]
    data = dicom(pixels, **keys)
    ds, stored = opened(data)
    expected = apply_modality_lut(stored, ds).astype(np.float32)
    np.testing.assert_array_equal(read(data, FULL)[..., 0], expected)
    np.testing.assert_array_equal(read(data)[..., 0], expected)


WINDOWS = {
    "linear": (DEEP, {"bits": 12, **WINDOW}, (0, 4095)),
    "several": (DEEP, {"bits": 12, "WindowCenter": ["1000", "5"], "WindowWidth": ["800", "3"]}, (0, 4095)),
    "exact": (DEEP, {"bits": 12, "VOILUTFunction": "LINEAR_EXACT", **WINDOW}, (0, 4095)),
    "sigmoid": (DEEP, {"bits": 12, "VOILUTFunction": "SIGMOID", **WINDOW}, (0, 4095)),
    "rescaled": (DEEP, {"bits": 12, **RESCALED, **WINDOW}, (-1024, 4095 * 1.5 - 1024)),
    "signed": (SIGNED, {"bits": 16, **WINDOW}, (-32768, 32767)),
    "modality table": (DEEP, {"bits": 12, **TABLE, **WINDOW}, (0, 65535)),
    "table": (DEEP, {"bits": 12, "VOILUTSequence": [lookup_table(4096, 0, 12)]}, (0, 4095)),
}


@pytest.mark.parametrize("case", WINDOWS)
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_the_files_window_is_that_of_apply_voi_lut(case, kind):
    pixels, keys, (low, high) = WINDOWS[case]
    data = dicom(pixels, kind=kind, **keys)
    ds, stored = opened(data)
    share = (apply_voi_lut(apply_modality_lut(stored, ds), ds).astype(np.float64) - low) / (high - low)
    found = read(data, FILE)
    expected = np.round(65535 * (1 - share if kind == "MONOCHROME1" else share))
    assert found.dtype == np.uint16
    np.testing.assert_allclose(found[..., 0], expected, atol=0.5)
    assert found.min() < 20_000 < 50_000 < found.max()


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_a_window_of_the_configuration_is_the_standards_linear_function(kind):
    data = dicom(DEEP, bits=12, kind=kind, **RESCALED)
    ds, stored = opened(data)
    ds.WindowCenter, ds.WindowWidth = 1000, 800
    share = (apply_voi_lut(apply_modality_lut(stored, ds), ds) + 1024) / (4095 * 1.5)
    expected = np.round(65535 * (1 - share if kind == "MONOCHROME1" else share))
    np.testing.assert_allclose(read(data, DicomReading(window=(1000, 800)))[..., 0], expected, atol=0.5)


def test_large_images_are_computed_in_parts(monkeypatch):
    from restem.images.formats import dicom as module

    data = dicom(DEEP, bits=12, kind="MONOCHROME1", **RESCALED, **WINDOW)
    whole = read(data, FILE)
    monkeypatch.setattr(module, "_AT_ONCE", 100)
    np.testing.assert_array_equal(read(data, FILE), whole)


def test_files_with_different_slopes_are_comparable():
    values = ramp(0, 2000)
    fine = read(dicom(values * 2, bits=12, RescaleSlope="0.5", RescaleIntercept="-1000"), FULL)
    coarse = read(dicom(values, bits=12, RescaleSlope="1", RescaleIntercept="-1000"), FULL)
    np.testing.assert_array_equal(fine, coarse)


def test_monochrome1_is_inverted_between_black_and_white():
    """In a file with small values for bright, the picture is the negative: black and white change places."""
    reading = DicomReading(value_range=(0.0, 4095.0))
    bright = read(dicom(4095 - DEEP, bits=12, kind="MONOCHROME1"), reading)
    np.testing.assert_array_equal(bright, read(dicom(DEEP, bits=12), reading))
    with pytest.raises(UnreadableImage, match="MONOCHROME1"):
        read(dicom(DEEP, kind="MONOCHROME1"), FULL)


def palette(bits: int) -> dict:
    entries = np.arange(256, dtype=np.uint16) * (257 if bits == 16 else 1)
    keys: dict = {"kind": "PALETTE COLOR"}
    for colour, values in (("Red", entries), ("Green", entries[::-1]), ("Blue", entries // 2)):
        keys[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        keys[f"{colour}PaletteColorLookupTableData"] = values.astype(f"<u{bits // 8}").tobytes()
    return keys


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_gives_its_colours(bits):
    data = dicom(SMALL, **palette(bits))
    ds, stored = opened(data)
    found = read(data)
    assert found.dtype == (np.uint8 if bits == 8 else np.uint16)
    np.testing.assert_array_equal(found, apply_color_lut(stored, ds))


@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL"])
def test_colours_are_pydicoms(kind):
    data = dicom(COLOURS, kind=kind)
    np.testing.assert_array_equal(read(data), opened(data)[1])


def test_a_file_without_the_preamble():
    ds = dataset(DEEP, bits=12, syntax=uid.ImplicitVRLittleEndian)
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = True, True
    pydicom.filewriter.write_dataset(buffer, ds)
    np.testing.assert_array_equal(read(buffer.parent.getvalue())[..., 0], DEEP)


def test_several_frames_are_refused_or_one_is_named():
    frames = np.stack([DEEP, DEEP // 2, DEEP // 4])
    data = dicom(frames, bits=12, NumberOfFrames=3)
    with pytest.raises(UnreadableImage, match=r"has 3 frames: choose one with image\.dicom\.frame"):
        read(data, FULL)
    np.testing.assert_array_equal(read(data, DicomReading(frame=2))[..., 0], DEEP // 2)
    with pytest.raises(UnreadableImage, match=r"3 frames, but image\.dicom\.frame is 4"):
        read(data, DicomReading(frame=4))


def test_an_enhanced_file_has_a_slope_for_each_frame():
    groups = []
    for slope in ("2", "3"):
        group, change = Dataset(), Dataset()
        change.RescaleSlope, change.RescaleIntercept = slope, "7"
        group.PixelValueTransformationSequence = [change]
        groups.append(group)
    data = dicom(np.stack([DEEP, DEEP]), bits=12, NumberOfFrames=2, PerFrameFunctionalGroupsSequence=groups)
    np.testing.assert_array_equal(read(data, DicomReading(frame=2))[..., 0], 3.0 * DEEP + 7)


REFUSED = {
    "no image": ({"Rows": None}, "has no image"),
    "32 bits": ({"BitsAllocated": 32}, "32 bits per value"),
    "interpretation": ({"PhotometricInterpretation": "ARGB"}, "photometric interpretation in 1 channels"),
    "half a rescale": ({"RescaleSlope": "2"}, "slope without an intercept"),
    "no window": ({}, "names no window"),
    "burned in": ({"BurnedInAnnotation": "YES", **WINDOW}, "annotations, which may name the patient"),
    "too large": ({"Rows": 60_000, "Columns": 60_000}, "data.max_pixels"),
    "too short": ({"Rows": 40, **WINDOW}, "incomplete"),
    "an unknown syntax": ({"syntax": "1.2.840.10008.1.2.4.100", **WINDOW}, "transfer syntax"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_and_that_no_patient_is_named(case):
    changes, said = REFUSED[case]
    changes = dict(changes)
    ds = dataset(SMALL)
    syntax = changes.pop("syntax", None)
    for name, value in changes.items():
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)
    data = written(ds)
    if syntax:
        data = data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4.100\0"[:20])
        ds.file_meta.TransferSyntaxUID = uid.UID(syntax)
        ds.PixelData = pydicom.encaps.encapsulate([SMALL.tobytes()])
        ds["PixelData"].VR = "OB"
        data = written(ds)
    with pytest.raises(UnreadableImage, match=said) as caught:
        read(data, FILE)
    assert not any(mark in str(caught.value) for mark in PATIENT)


@pytest.mark.parametrize("syntax", [*ENCODERS, uid.RLELossless], ids=lambda one: uid.UID(one).name)
def test_a_frame_that_is_cut_off_is_refused(syntax):
    pixels = SMALL if syntax == uid.JPEGBaseline8Bit else DEEP
    ds = dataset(pixels, syntax=syntax, bits=8 if pixels is SMALL else 12)
    frame = next(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=1))
    ds.PixelData = pydicom.encaps.encapsulate([frame[: len(frame) * 4 // 5]])
    with pytest.raises(UnreadableImage, match=r"incomplete|damaged"):
        read(written(ds))


def test_a_frame_larger_than_the_header_says_is_not_decoded():
    data = dicom(SMALL, syntax=uid.JPEG2000Lossless)
    ds = pydicom.dcmread(pydicom.filebase.DicomBytesIO(data))
    ds.PixelData = pydicom.encaps.encapsulate([ENCODERS[uid.JPEG2000Lossless](ramp(0, 255, np.uint8, (3000, 3000)))])
    with pytest.raises(UnreadableImage, match="image data are damaged"):
        read(written(ds))


def test_a_configuration_must_say_how_they_are_read(tmp_path):
    data = dicom(DEEP, bits=12)
    header = probe(data, **LIMITS)
    with pytest.raises(UnreadableImage, match=r"set image\.dicom"):
        check_suits(header, Requirements())
    with pytest.raises(UnreadableImage, match=r"image\.value_range"):
        check_suits(header, ImageConfig(size=8, max_upsampling=None, dicom={}).requirements())
    check_suits(header, ImageConfig(size=8, dicom={}, value_range=(0, 4095)).requirements())
    check_suits(header, ImageConfig(size=8, dicom={"window": "file"}).requirements())
    (tmp_path / "a.dcm").write_bytes(data)
    with pytest.raises(UnreadableImage, match=r"set image\.dicom"):
        encode_for_serving(tmp_path / "a.dcm")
    assert encode_for_serving(tmp_path / "a.dcm", FULL).startswith(b"\x8fRESTEM")


def test_without_the_package_the_refusal_says_how_to_install_it():
    """In another process, because the module is imported once."""
    program = (
        "import sys\n"
        "sys.modules['pydicom'] = sys.modules['pi_heif'] = None\n"
        "from restem.images.probe import probe\n"
        "for data in (bytes(128) + b'DICM' + bytes(99), b'\\0\\0\\0\\x18ftypheic' + bytes(40)):\n"
        "    try: probe(data, max_pixels=9, max_bytes=999)\n"
        "    except ValueError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'restem[dicom]'" in done.stdout
    assert "pip install 'restem[heif]'" in done.stdout


def test_the_header_says_what_decoding_gives():
    assert probe(dicom(SIGNED), **LIMITS) == Header("DICOM", 47, 33, 1, 16, needs_range=True, in_graph=False)
    assert probe(dicom(COLOURS), **LIMITS) == Header("DICOM", 47, 33, 3, 8, in_graph=False)

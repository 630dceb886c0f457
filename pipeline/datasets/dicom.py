"""What `restem init` proposes for DICOM files: the section image.dicom, image.value_range and data.group."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from restem.example_gen.config import DataConfig
from restem.example_gen.content import content
from restem.example_gen.dataset import ImageFile, Listing
from restem.images.arrays import read_array
from restem.images.header import UnreadableImage
from restem.images.probe import probe

LOOKED_AT = 40  # files of the sample whose values are read
FEW_PATIENTS = 4  # fewer cannot be divided into training and test images
WIDER = 4.0  # the range that the files could store is proposed unless it is so many times that of their values


@dataclass(frozen=True)
class DicomSurvey:
    """The properties of some DICOM files.

    Attributes:
        files: the number of files that were looked at.
        modalities: the number of files by modality, as in the standard (CT, DX, MR).
        value_range: the smallest and largest value of the grey files in the modality's units; None for colour only.
        frames: the largest number of frames.
        burned_in: the number of files that say that annotations are burned into their pixels.
        windows: the number of grey files that name a window or a lookup table.
        patients: the number of different patients; 0 if a file does not name one.
    """

    files: int
    modalities: Counter
    value_range: tuple[float, float] | None
    frames: int
    burned_in: int
    windows: int
    patients: int


def survey_dicom(listing: Listing, sample: Sequence[ImageFile], data: DataConfig) -> DicomSurvey | None:
    """Looks at up to 40 files; None if none of them is a readable DICOM file."""
    modalities: Counter = Counter()
    ranges, stored, patients = [], [], set()
    frames, files, burned_in, windows = 1, 0, 0, 0
    for file in sample[:: max(1, len(sample) // LOOKED_AT)]:
        try:
            encoded = content(listing.folder, file, data.max_bytes)
            header = probe(encoded, max_pixels=data.max_pixels, max_bytes=data.max_bytes)
            if header.format != "DICOM":
                continue
            from restem.images.formats.dicom import describe, read_tags

            seen = describe(encoded)
            values = read_array(encoded, header) if header.needs_range else None
            # Counted here and then forgotten.
            patients.add(read_tags(encoded, ("PatientID",))["PatientID"])
        except UnreadableImage:
            continue
        files += 1
        modalities[seen.modality] += 1
        frames = max(frames, seen.frames)
        burned_in += seen.burned_in
        if values is not None:
            ranges.append((float(values.min()), float(values.max())))
            stored.append(seen.stored_range)
            windows += seen.has_window
    if not files:
        return None
    return DicomSurvey(
        files, modalities, _range(ranges, stored), frames, burned_in, windows, 0 if "" in patients else len(patients)
    )


def names_patients(listing: Listing, sample: Sequence[ImageFile], data: DataConfig) -> bool:
    """Whether the files are DICOM files of enough patients to keep each in one split."""
    found = survey_dicom(listing, sample, data)
    return found is not None and found.patients >= FEW_PATIENTS


def _range(found: list[tuple[float, float]], stored: list[tuple[float, float]]) -> tuple[float, float] | None:
    """What the files could store, so that nothing is clipped; the values' own range if that is far smaller."""
    if not found:
        return None
    low, high = min(low for low, _ in found), max(high for _, high in found)
    least, most = min(low for low, _ in stored), max(high for _, high in stored)
    if most - least <= WIDER * (high - low):
        return least, most
    return low, high if high > low else low + 1


def sampled_keys(found: DicomSurvey | None) -> dict:
    """Keys of the section image with which the sample's DICOM files are checked."""
    if found is None:
        return {}
    dicom = {"allow_burned_in": True, **({"frame": 1} if found.frames > 1 else {})}
    return {"dicom": dicom, **({} if found.value_range is None else {"value_range": found.value_range})}


def dicom_lines(found: DicomSurvey | None) -> list[str]:
    """The lines of the section image."""
    if found is None:
        return []
    kinds = ", ".join(f"{name} {count}" for name, count in found.modalities.most_common())
    keys, notes = ["window: full"], [f"values in the modality's units ({kinds})"]
    if found.frames > 1:
        keys.append("frame: 1")
        notes.append(f"files have up to {found.frames} frames: which one shows the class?")
    lines = [f"  dicom: {{{', '.join(keys)}}}  # {'; '.join(notes)}"]
    if found.burned_in:
        lines.append(
            f"  # {found.burned_in} of {found.files} sampled files say that annotations are burned into their pixels "
            "(perhaps the patient's name): they are quarantined unless dicom has allow_burned_in: true"
        )
    if found.value_range is not None:
        low, high = found.value_range
        lines.append(
            f"  value_range: [{low:g}, {high:g}]  # black and white; values outside are clipped. For one organ a "
            "narrower range shows more, in CT for example [-160, 240] for soft tissue"
        )
        if found.windows:
            lines.append(
                f"  # {found.windows} of {found.files} sampled files name a window: dicom: {{window: file}}, without "
                "value_range, uses each file's own"
            )
    return lines


def group_lines(found: DicomSurvey | None, data: DataConfig, *, given_splits: bool) -> list[str]:
    """The lines of the section data: images of one patient stay together."""
    if found is None:
        return []
    if data.group is not None:
        return ["  # group: dicom.PatientID reads the patient from each file, which is surer than a name or a column"]
    if not found.patients:
        return ["  # group: some files have no PatientID; images of one patient should not be in both splits"]
    if found.patients < FEW_PATIENTS:
        return [f"  # group: the sampled files are of {found.patients} patient(s), too few to keep each in one split"]
    group = "  group: dicom.PatientID  # images of one patient stay in one split; the number is stored nowhere"
    if given_splits:
        return [group]
    why = "groups stay together, and each class has the same share as far as they allow it"
    return [group, f"  split: stratified  # {why}"]

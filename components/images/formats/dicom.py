"""DICOM with pydicom, an optional package: the extra `dicom`.

Only the elements that describe pixels are read (`_PIXEL_TAGS`). So a patient's name is in no variable here, and cannot
get into an example or a message. Messages quote no values of the file except numbers and names of the standard.

What the pixels are (DICOM PS3.3, C.7.6.3 and C.11):

- Grey values pass the modality lookup table, or rescale slope and intercept. With `window: full` they stay in these
  units (Hounsfield units for CT), so that files with different slopes are comparable, and image.value_range says what
  is black and white. With a window they become 0..65535.
- MONOCHROME1 (small values are bright) is inverted after that, as the standard says.
- Colours (RGB, YBR, palettes) become RGB with 8 or 16 bits.
"""

import io
import logging
import warnings
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from restem.images.config import DicomReading
from restem.images.formats.depth import to_full_range
from restem.images.formats.work import check_dicom_items
from restem.images.header import Header, UnreadableImage, damaged, incomplete

_MISSING = "DICOM needs an optional package: install it with pip install 'restem[dicom]', or convert it to PNG."
_GREY = ("MONOCHROME1", "MONOCHROME2")
_PALETTE = "PALETTE COLOR"
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_PIXEL_TAGS = [
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "BurnedInAnnotation"),
    *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *(
        f"{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for part in ("Descriptor", "Data")
    ),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
]
_DEFLATED = b"1.2.840.10008.1.2.1.99"  # the transfer syntax
_MOST_META = 4096
_MOST_INFLATED = 2**29  # bytes; a deflated file is unpacked as a whole
_WHITE = 65535
_AT_ONCE = 1 << 17  # pixels
_AS_VIEW: Any = {"view_only": True}  # Uncompressed pixels are not copied; `Any`, because pydicom's types lack it.
_MOST_LETTERS = 5  # of a modality

try:
    import pydicom
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, get_decoder

    from restem.images.formats import dicom_codecs
except ImportError:
    pydicom = None  # type: ignore[assignment]  # `_open` refuses the file.
else:
    # Warnings and log lines quote values.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"pydicom\b")
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    dicom_codecs.register()


def header(data: bytes) -> Header:
    """The header of one frame. Grey values need image.value_range, unless a window is applied.

    Raises:
      UnreadableImage: it has no image, or one of an unsupported kind; or pydicom is missing.
      Exception: it is damaged.
    """
    ds = _open(data, pixels=False)
    if any(name not in ds for name in ("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation")):
        raise UnreadableImage("The DICOM file has no image.")
    kind = _kind(ds)
    allocated, stored = int(ds.BitsAllocated), int(ds.get("BitsStored", ds.BitsAllocated))
    if allocated not in (8, 16) or not 1 <= stored <= allocated:
        raise UnreadableImage(f"DICOM files with {allocated} bits per value are not supported: only 8 and 16.")
    if int(ds.get("HighBit", stored - 1)) != stored - 1:
        raise UnreadableImage("DICOM files whose values do not begin at the lowest bit are not supported.")
    grey = kind in _GREY
    if grey and ("RescaleSlope" in ds) != ("RescaleIntercept" in ds):
        raise UnreadableImage("The DICOM file has a rescale slope without an intercept, or the reverse.")
    depth = stored if grey else 8 if allocated == 8 and kind != _PALETTE else 16
    if kind == _PALETTE:
        depth = 8 if int(ds.RedPaletteColorLookupTableDescriptor[2]) == 8 else 16
    return Header(
        "DICOM",
        int(ds.Columns),
        int(ds.Rows),
        1 if grey else 3,
        depth,
        needs_range=grey,
        in_graph=False,
    )


def read(data: bytes, header: Header, reading: DicomReading | None) -> np.ndarray:
    """One frame: float32 in the modality's units, or uint16 after a window, [height, width, 1]; or RGB.

    Args:
      data: the whole file.
      header: its header, checked against the limits.
      reading: the configuration; None gives the first frame in the modality's units, not inverted.

    Raises:
      UnreadableImage: the file does not suit `reading`, or is incomplete.
      Exception: the image data are damaged.
    """
    ds = _open(data, pixels=True)
    if "PixelData" not in ds:
        raise UnreadableImage("The DICOM file has no image.")
    if reading is not None and not reading.allow_burned_in and str(ds.get("BurnedInAnnotation", "")).upper() == "YES":
        raise UnreadableImage(
            "The DICOM file says that its pixels show annotations, which may name the patient: remove them, or set "
            "image.dicom.allow_burned_in: true."
        )
    frame = _frame(ds, reading)
    kind = _kind(ds)
    stored = _decoded(ds, frame)
    del ds.PixelData
    if kind == _PALETTE:
        colours = apply_color_lut(stored, ds)
        return colours if header.bit_depth == 8 else colours.astype(np.uint16)
    if kind not in _GREY:
        return to_full_range(stored, 2 ** int(ds.get("BitsStored", ds.BitsAllocated)) - 1)
    _use_functional_groups(ds, frame)
    in_units = reading is None or reading.window == "full"
    pixels = np.empty((*stored.shape, 1), np.float32 if in_units else np.uint16)
    step = max(1, _AT_ONCE // stored.shape[1])
    for row in range(0, len(stored), step):  # pydicom computes with 64 bits
        pixels[row : row + step, :, 0] = _shown(stored[row : row + step], ds, reading, inverted=kind == "MONOCHROME1")
    return pixels


def _shown(stored: np.ndarray, ds: Any, reading: DicomReading | None, *, inverted: bool) -> np.ndarray:
    """Stored grey values -> values in the modality's units, or 0..65535 after a window."""
    values = _in_units(stored, ds)
    if not np.isfinite(values).all():
        raise ValueError("values that are not finite")
    if reading is None:
        return values
    if reading.window == "full":
        if not inverted:
            return values
        if reading.value_range is None:
            raise UnreadableImage("It is MONOCHROME1, which cannot be inverted without image.value_range.")
        return sum(reading.value_range) - values.astype(np.float64)
    share = _by_file(values, ds) if reading.window == "file" else _by_window(values, *reading.window)
    share = np.clip(share, 0.0, 1.0)
    return np.round(_WHITE * (1.0 - share if inverted else share))


def read_tags(data: bytes | str, keywords: tuple[str, ...]) -> dict[str, str]:
    """The values of some elements as text, empty if missing; nothing else is kept.

    Args:
      data: the file's content, or its path.
      keywords: as in the standard, such as PatientID.

    Raises:
      UnreadableImage: it is not a DICOM file, or pydicom is missing.
    """
    if pydicom is None:
        raise UnreadableImage(_MISSING)
    try:
        source = io.BytesIO(data) if isinstance(data, bytes) else data
        ds = pydicom.dcmread(source, stop_before_pixels=True, specific_tags=list(keywords), force=True)
        return {name: _text(ds.get(name)) for name in keywords}
    except Exception:  # pydicom may raise anything on damaged bytes, with values in its messages.
        raise UnreadableImage("It cannot be read as a DICOM file.") from None


def _text(value: Any) -> str:
    if value is None:
        return ""
    many = isinstance(value, pydicom.multival.MultiValue | list)
    return "\\".join(str(one).strip() for one in value) if many else str(value).strip()


def _open(data: bytes, *, pixels: bool) -> Any:
    """The elements of _PIXEL_TAGS, with or without PixelData."""
    if pydicom is None:
        raise UnreadableImage(_MISSING)
    check_dicom_items(data)
    if _DEFLATED in data[:_MOST_META]:
        _check_inflated(data)
    tags = [*_PIXEL_TAGS, "PixelData"] if pixels else _PIXEL_TAGS
    with io.BytesIO(data) as stream:  # Open, it would keep the file's bytes in memory.
        ds = pydicom.dcmread(stream, stop_before_pixels=not pixels, specific_tags=tags, force=True)
    if "TransferSyntaxUID" not in ds.file_meta:
        implicit, little = ds.original_encoding
        ds.file_meta.TransferSyntaxUID = (
            pydicom.uid.ImplicitVRLittleEndian
            if implicit
            else pydicom.uid.ExplicitVRLittleEndian
            if little
            else pydicom.uid.ExplicitVRBigEndian
        )
    return ds


def _check_inflated(data: bytes) -> None:
    """Refuses a deflated file that unpacks to too much; pydicom has no limit."""
    # The first element of the file's group 0002 is that group's length: 12 bytes with the number at the end.
    start = 132 + 12 + int.from_bytes(data[140:144], "little")
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    size, rest = 0, data[start:]
    while rest and not unpacking.eof:
        size += len(unpacking.decompress(rest, 1 << 24))
        rest = unpacking.unconsumed_tail
        if size > _MOST_INFLATED:
            raise UnreadableImage(f"The DICOM file unpacks to more than {_MOST_INFLATED:,} bytes.")
    if not unpacking.eof:
        raise UnreadableImage(incomplete("DICOM"))


def _kind(ds: Any) -> str:
    """The photometric interpretation, if it has its number of samples per pixel."""
    kind, samples = str(ds.PhotometricInterpretation).strip().upper(), int(ds.get("SamplesPerPixel", 1))
    if (kind in (*_GREY, _PALETTE) and samples == 1) or (kind in _COLOURS and samples == 3):
        return kind
    raise UnreadableImage(
        f"DICOM files with this photometric interpretation in {samples} channels are not supported: use "
        f"{', '.join(_GREY)}, {_PALETTE} or {_COLOURS[0]}."
    )


def _frame(ds: Any, reading: DicomReading | None) -> int:
    """The index of the frame to read.

    Raises:
      UnreadableImage: there are several frames and none is chosen, or the chosen one is missing.
    """
    frames = int(ds.get("NumberOfFrames") or 1)
    chosen = None if reading is None else reading.frame
    if reading is not None and chosen is None and frames > 1:
        raise UnreadableImage(f"It has {frames} frames: choose one with image.dicom.frame, counted from 1.")
    if chosen is not None and chosen > frames:
        raise UnreadableImage(f"It has {frames} frame{'s'[: frames > 1]}, but image.dicom.frame is {chosen}.")
    return (chosen or 1) - 1


def _decoded(ds: Any, frame: int) -> np.ndarray:
    """The stored values of one frame."""
    syntax = ds.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        named = syntax.name if syntax.is_transfer_syntax and not syntax.is_private else "an unknown one"
        raise UnreadableImage(f"DICOM files with this transfer syntax are not supported ({named}).") from None
    plugin = dicom_codecs.LABEL if dicom_codecs.is_available(syntax) else ""
    try:
        pixels, _ = decoder.as_array(ds, index=frame, decoding_plugin=plugin, **_AS_VIEW)
    except RuntimeError:  # pydicom's, around any error of a decoder
        raise UnreadableImage("The DICOM file's image data are damaged or cut off.") from None
    except ValueError as error:
        if "less than expected" in str(error):
            raise UnreadableImage(incomplete("DICOM")) from None
        raise
    return pixels


def _use_functional_groups(ds: Any, frame: int) -> None:
    """Copies rescale and window of an enhanced multi-frame file to where pydicom looks for them."""
    shared = ds.get("SharedFunctionalGroupsSequence") or []
    frames = ds.get("PerFrameFunctionalGroupsSequence") or []
    for group in (*shared[:1], *frames[frame : frame + 1]):
        for sequence, names in (
            ("PixelValueTransformationSequence", ("RescaleSlope", "RescaleIntercept")),
            ("FrameVOILUTSequence", ("WindowCenter", "WindowWidth", "VOILUTFunction")),
        ):
            for item in (group.get(sequence) or [])[:1]:
                for name in names:
                    if name in item:
                        setattr(ds, name, item[name].value)


def _in_units(stored: np.ndarray, ds: Any) -> np.ndarray:
    """pydicom's apply_modality_lut; values beyond a table are clipped first, since pydicom's result may wrap around."""
    if ds.get("ModalityLUTSequence"):
        entries, first, _ = _table(ds.ModalityLUTSequence[0])
        stored = np.clip(stored.astype(np.int32), first, first + entries - 1)
    return apply_modality_lut(stored, ds)


def _by_file(values: np.ndarray, ds: Any) -> np.ndarray:
    """pydicom's apply_voi_lut as a share of its range, 0 to 1: the file's first lookup table, or its first window."""
    if ds.get("VOILUTSequence"):
        entries, first, bits = _table(ds.VOILUTSequence[0])
        if bits == 8 and entries > 256:
            raise UnreadableImage("DICOM files with a VOI lookup table of over 256 entries of 8 bits are not read.")
        inside = np.clip(np.rint(values), first, first + entries - 1).astype(np.int32)
        return apply_voi_lut(inside, ds) / (2.0**bits - 1)
    if ds.get("WindowCenter") is None or ds.get("WindowWidth") is None:
        raise UnreadableImage("The DICOM file names no window: set image.dicom.window: [center, width].")
    low, high = _output_range(ds)
    return (apply_voi_lut(values, ds) - low) / (high - low)


def _output_range(ds: Any) -> tuple[float, float]:
    """The range of apply_voi_lut's results for a window: that of all values that the file could store."""
    if ds.get("ModalityLUTSequence"):
        return 0.0, 2.0 ** _table(ds.ModalityLUTSequence[0])[2] - 1
    bits = int(ds.get("BitsStored", ds.BitsAllocated))
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if ds.get("PixelRepresentation") else (0.0, 2.0**bits - 1)
    if "RescaleSlope" in ds:
        slope, intercept = float(ds.RescaleSlope), float(ds.RescaleIntercept)
        low, high = low * slope + intercept, high * slope + intercept
    return low, high


def _by_window(values: np.ndarray, center: float, width: float) -> np.ndarray:
    """The function LINEAR of PS3.3 C.11.2.1.2.1 as a share, 0 to 1."""
    if width <= 1:
        return (values > center - 0.5).astype(np.float64)
    return (values.astype(np.float64) - (center - 0.5)) / (width - 1.0) + 0.5


def _table(item: Any) -> tuple[int, int, int]:
    """Number of entries, first value mapped, and bits of each entry of a lookup table."""
    entries, first, bits = map(int, item.LUTDescriptor)
    return entries or 2**16, first, bits


@dataclass(frozen=True)
class Described:
    """What `restem init` wants to know of a file.

    stored_range: the smallest and largest value that the file could store, in the modality's units.
    """

    modality: str
    frames: int
    burned_in: bool
    has_window: bool
    stored_range: tuple[float, float]


def describe(data: bytes) -> Described:
    """Reads the elements; no pixel is decoded.

    Raises:
      UnreadableImage: it is damaged, or pydicom is missing.
    """
    try:
        ds = _open(data, pixels=False)
        frames = int(ds.get("NumberOfFrames") or 1)
        burned_in = str(ds.get("BurnedInAnnotation", "")).upper() == "YES"
        _use_functional_groups(ds, 0)
        window = bool(ds.get("VOILUTSequence")) or ds.get("WindowCenter") is not None
        low, high = sorted(_output_range(ds))
        modality = str(read_tags(data, ("Modality",))["Modality"])
    except UnreadableImage:
        raise
    except Exception as error:  # As everywhere: damaged bytes.
        raise damaged("DICOM", type(error).__name__) from None
    return Described(
        modality if modality.isalpha() and len(modality) <= _MOST_LETTERS else "?",
        frames,
        burned_in,
        window,
        (low, high),
    )

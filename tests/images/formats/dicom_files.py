"""DICOM files made with pydicom, with a patient whose data must be found nowhere else."""

import io

import imagecodecs
import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate

# Searched for in everything that the product writes.
PATIENT = ("MARKERNAME^ZEBRA", "MARKERID4711", "19330303", "MARKERINSTITUTE")
ENCODERS = {
    uid.JPEGBaseline8Bit: lambda a: imagecodecs.jpeg8_encode(a, level=98, subsampling="444"),
    uid.JPEGExtended12Bit: lambda a: imagecodecs.jpeg8_encode(a, level=98, bitspersample=12),
    uid.JPEGLossless: lambda a: _lossless(a, predictor=7),
    uid.JPEGLosslessSV1: lambda a: _lossless(a, predictor=1),
    uid.JPEGLSLossless: imagecodecs.jpegls_encode,
    uid.JPEGLSNearLossless: lambda a: imagecodecs.jpegls_encode(a, level=1),
    uid.JPEG2000Lossless: lambda a: imagecodecs.jpeg2k_encode(a, level=0, codecformat="J2K", reversible=True),
    uid.JPEG2000: lambda a: imagecodecs.jpeg2k_encode(a, level=60, codecformat="J2K"),
    uid.HTJ2KLossless: lambda a: imagecodecs.htj2k_encode(a, reversible=True),
    uid.HTJ2KLosslessRPCL: lambda a: imagecodecs.htj2k_encode(a, reversible=True),
    uid.HTJ2K: lambda a: imagecodecs.htj2k_encode(a, reversible=True),
}
NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
LOSSY = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000)


def _lossless(pixels: np.ndarray, predictor: int) -> bytes:
    space = "GRAYSCALE" if pixels.ndim == 2 else "RGB"
    bits = 8 * pixels.dtype.itemsize
    return imagecodecs.jpeg8_encode(
        pixels, lossless=True, predictor=predictor, bitspersample=bits, colorspace=space, outcolorspace=space
    )


def dataset(
    pixels: np.ndarray,
    *,
    bits: int | None = None,
    kind: str | None = None,
    syntax: str = uid.ExplicitVRLittleEndian,
    **tags,
) -> FileDataset:
    """A data set of [h, w] or [h, w, 3] integers of 8 or 16 bits, or [frames, h, w] with NumberOfFrames in `tags`."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uid.UID(syntax)
    meta.MediaStorageSOPClassUID = uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = uid.generate_uid()
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.InstitutionName = PATIENT
    ds.Modality = "OT"
    colour = pixels.shape[-1] == 3 and pixels.ndim == 3
    frames = pixels if "NumberOfFrames" in tags else pixels[None]
    ds.Rows, ds.Columns = frames.shape[1:3]
    ds.SamplesPerPixel = 3 if colour else 1
    if colour:
        ds.PlanarConfiguration = 0
    ds.PhotometricInterpretation = kind or ("RGB" if colour else "MONOCHROME2")
    ds.BitsAllocated = 8 * pixels.dtype.itemsize
    ds.BitsStored = bits or ds.BitsAllocated
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in tags.items():
        setattr(ds, name, value)
    if syntax in ENCODERS:
        ds.PixelData = encapsulate([ENCODERS[syntax](frame) for frame in frames])
        ds["PixelData"].VR = "OB"
    elif syntax == uid.RLELossless:
        ds.compress(uid.RLELossless, pixels, generate_instance_uid=False)
    else:
        stored = pixels.astype(pixels.dtype.newbyteorder(">")) if syntax == uid.ExplicitVRBigEndian else pixels
        raw = stored.tobytes()
        ds.PixelData = raw + b"\0" * (len(raw) % 2)
        ds["PixelData"].VR = "OW" if ds.BitsAllocated > 8 else "OB"
    return ds


def written(ds: FileDataset) -> bytes:
    """The file."""
    buffer = io.BytesIO()
    syntax = ds.file_meta.TransferSyntaxUID
    pydicom.dcmwrite(
        buffer, ds, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian, enforce_file_format=True
    )
    return buffer.getvalue()


def dicom(pixels: np.ndarray, **options) -> bytes:
    """`dataset`, as a file."""
    return written(dataset(pixels, **options))

"""Files with changed bytes: each is either read with the size in its header, or refused with a sentence.

RESTEM_DAMAGED_FILES sets how many files `restem inspect` and a run must agree on; the default takes a few seconds.
"""

import os

import imagecodecs
import numpy as np
import pytest
import tensorflow as tf
from pydicom.uid import JPEGExtended12Bit

from restem.example_gen.dataset import ExampleFields, ImageFile, Listing, Refused
from restem.example_gen.reading import Accepted, ImageReader, limits_of
from restem.images.arrays import decodable
from restem.images.config import DicomReading
from restem.images.formats.pillow import explain_failure
from restem.images.graph.decode import Depth, decode_raw
from restem.images.header import UnreadableImage
from restem.images.probe import probe
from restem.pipeline.config import Config
from restem.pipeline.datasets.inspection import ImageCheck, check_images

from .formats.dicom_files import dicom
from .formats.test_dicom import WINDOW
from .formats.test_tiff import tiff
from .test_arrays import npy

LIMITS = {"max_pixels": 100_000, "max_bytes": 1 << 20}
CHANGES = 300
AGREED = int(os.environ.get("RESTEM_DAMAGED_FILES", "600"))
BATCH = 500
IMAGE = {"size": 8, "value_range": (0, 65535), "max_upsampling": None, "dicom": {}}
NUMBERS = [0, 1, 127, 128, 255]


SMALL = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
DEEP = SMALL.astype(np.uint16) * 200
RGB = {"photometric": "rgb"}
# Mode, format and options for Pillow; or the file's bytes.
FILES = {
    "png": ("RGB", "PNG", {}),
    "palette": ("P", "PNG", {}),
    "jpeg": ("RGB", "JPEG", {}),
    "progressive": ("RGB", "JPEG", {"progressive": True}),
    "gif": ("P", "GIF", {}),
    "transparent gif": ("P", "GIF", {"transparency": 3}),
    "bmp": ("RGB", "BMP", {}),
    "1-bit bmp": ("1", "BMP", {}),
    "webp": ("RGB", "WEBP", {}),
    "colour map": ("P", "TIFF", {}),
    "fax": ("1", "TIFF", {"compression": "group4"}),
    "npy": npy(DEEP),
    "tiff": tiff(DEEP, **RGB),
    "lzw": tiff(DEEP, compression="lzw", predictor=2, **RGB),
    "tiles": tiff(SMALL, compression="zlib", tile=(16, 16), **RGB),
    "jpeg inside": tiff(SMALL, compression="jpeg", **RGB),
    "lerc inside": tiff(SMALL, compression="lerc", **RGB),
    "bigtiff": tiff(DEEP, bigtiff=True, byteorder=">", **RGB),
    "pages": tiff(np.moveaxis(DEEP, -1, 0).copy(), photometric="minisblack"),
    "jpeg 2000": imagecodecs.jpeg2k_encode(DEEP, level=0, reversible=True),
    "jpeg xl": imagecodecs.jpegxl_encode(SMALL, lossless=True),
    "avif": imagecodecs.avif_encode(SMALL, level=80),
    "ppm": ("RGB", "PPM", {}),
    "dicom": dicom(DEEP[..., 0] // 16, bits=12, **WINDOW),
    "dicom jpeg": dicom(DEEP[..., 0] // 16, bits=12, syntax=JPEGExtended12Bit, **WINDOW),
}
READING = DicomReading("file", frame=1)
SLOW = ("jpeg 2000", "jpeg xl", "avif", "dicom", "dicom jpeg")


def changed(data: bytes, random: np.random.Generator) -> bytes:
    """One to four changes: a flipped bit, an extreme byte value, four bytes of noise, or some deleted bytes."""
    result = bytearray(data)
    for _ in range(random.integers(1, 5)):
        # Headers and directories are at the beginning or at the end.
        reach = min(len(result), int(random.choice([400, len(result)])))
        place = int(random.integers(reach))
        place = len(result) - 1 - place if random.random() < 0.3 else place
        match random.integers(4):
            case 0:
                result[place] ^= 1 << int(random.integers(8))
            case 1:
                result[place] = int(random.choice(NUMBERS))
            case 2:
                result[place : place + 4] = random.bytes(4)
            case _:
                del result[place : place + int(random.integers(1, 9))]
    return bytes(result)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.filterwarnings("ignore")  # from Pillow and NumPy
def test_changed_bytes_are_read_or_refused(encoded, kind):
    file = FILES[kind]
    whole = file if isinstance(file, bytes) else encoded(file[0], file[1], **file[2])
    random = np.random.default_rng(list(FILES).index(kind))
    refused = 0
    for _ in range(CHANGES // 4 if kind in SLOW else CHANGES):
        data = changed(whole, random)
        header = None
        try:
            header = probe(data, **LIMITS)
            pixels = decode_raw(
                tf.constant(decodable(data, header, DicomReading("file", frame=1))), Depth(8, (0.0, 65535.0))
            )
        except UnreadableImage as error:
            reason = str(error)
        except (tf.errors.OpError, UnicodeDecodeError):  # Messages with raw bytes raise the latter.
            assert header.in_graph
            reason = explain_failure(data, header.format)
        else:
            assert pixels.shape == (header.height, header.width, header.channels)
            continue
        refused += 1
        assert reason.endswith(".")
        assert len(reason) < 400
        assert not any(word in reason for word in ("tuple", "instance", "object at", "NoneType", "unsupported operand"))
    assert refused > 0


@pytest.mark.filterwarnings("ignore")
def test_inspect_and_run_agree_on_changed_bytes(encoded, tmp_path):
    """`restem inspect` (check_images) and the step of a run (ImageReader) have the same verdict and reason."""
    config = Config(data={"path": str(tmp_path)}, image=IMAGE)
    decided = {Refused: 0, Accepted: 0}
    for start in range(0, AGREED, BATCH):
        files = []
        for number in range(start, min(start + BATCH, AGREED)):
            file = FILES[list(FILES)[number % len(FILES)]]
            whole = file if isinstance(file, bytes) else encoded(file[0], file[1], **file[2])
            name = f"{number % BATCH}"
            (tmp_path / name).write_bytes(changed(whole, np.random.default_rng([7, number])))
            files.append(ImageFile(name, "a", "train"))
        listing = Listing(str(tmp_path), ("a",), tuple(files), (), given_splits=False)
        inspected = {_path(one): one for one in check_images(listing, files, config)}
        limits = limits_of(config.data, config.image.requirements())
        # In another order and other batches than above.
        reader = ImageReader(str(tmp_path), limits, ExampleFields(("a",)))
        for one in reader.read(files[::-1]):
            decided[type(one)] += 1
            other = inspected.pop(_path(one))
            if isinstance(one, Refused):
                assert other == one
            else:
                assert isinstance(other, ImageCheck)
                assert other.digest == one.digest
        assert not inspected
    assert sum(decided.values()) == AGREED
    assert min(decided.values()) > AGREED / 20


def _path(one: Refused | Accepted | ImageCheck) -> str:
    return one.path if isinstance(one, Refused) else one.file.path

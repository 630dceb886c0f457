"""Files with bytes changed anywhere: each is read, with the size that its header says, or refused with a sentence."""

import io

import numpy as np
import pytest
import tensorflow as tf
import tifffile

from components.images.arrays import decodable
from components.images.decode import Depth, decode_raw
from components.images.probe import UnreadableImage, explain_failure, probe

LIMITS = {"max_pixels": 100_000, "max_bytes": 1 << 20}
CHANGES = 300
NUMBERS = [0, 1, 127, 128, 255]


def tiff(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def files(encoded, photo) -> dict[str, bytes]:
    small = photo[:37, :53]
    deep = small.astype(np.uint16) * 200
    npy = io.BytesIO()
    np.save(npy, deep)
    rgb = {"photometric": "rgb"}
    return {
        "png": encoded("RGB", "PNG"),
        "palette": encoded("P", "PNG"),
        "jpeg": encoded("RGB", "JPEG"),
        "progressive": encoded("RGB", "JPEG", progressive=True),
        "gif": encoded("P", "GIF"),
        "transparent gif": encoded("P", "GIF", transparency=3),
        "bmp": encoded("RGB", "BMP"),
        "1-bit bmp": encoded("1", "BMP"),
        "webp": encoded("RGB", "WEBP"),
        "npy": npy.getvalue(),
        "tiff": tiff(deep, **rgb),
        "lzw": tiff(deep, compression="lzw", predictor=2, **rgb),
        "tiles": tiff(small, compression="zlib", tile=(16, 16), **rgb),
        "jpeg inside": tiff(small, compression="jpeg", **rgb),
        "lerc inside": tiff(small, compression="lerc", **rgb),
        "bigtiff": tiff(deep, bigtiff=True, byteorder=">", **rgb),
        "pages": tiff(np.moveaxis(deep, -1, 0).copy(), photometric="minisblack"),
        "colour map": encoded("P", "TIFF"),
        "fax": encoded("1", "TIFF", compression="group4"),
    }


KINDS = [
    "png",
    "palette",
    "jpeg",
    "progressive",
    "gif",
    "transparent gif",
    "bmp",
    "1-bit bmp",
    "webp",
    "npy",
    "tiff",
    "lzw",
    "tiles",
    "jpeg inside",
    "lerc inside",
    "bigtiff",
    "pages",
    "colour map",
    "fax",
]


def changed(data: bytes, random: np.random.Generator) -> bytes:
    """One to four changes: a bit, a number at a limit, four bytes of noise, or some bytes left out."""
    result = bytearray(data)
    for _ in range(random.integers(1, 5)):
        # Headers and directories stand at the beginning, or at the end.
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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")  # What Pillow and NumPy find odd.
def test_changed_bytes_are_read_or_refused(files, kind):
    random = np.random.default_rng(KINDS.index(kind))
    refused = 0
    for _ in range(CHANGES):
        data = changed(files[kind], random)
        header = None
        try:
            header = probe(data, **LIMITS)
            pixels = decode_raw(tf.constant(decodable(data, header)), Depth(8, (0.0, 65535.0)))
        except UnreadableImage as error:
            reason = str(error)
        except (tf.errors.OpError, UnicodeDecodeError):  # Messages with raw bytes in them end as the latter.
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

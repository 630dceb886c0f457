"""What clients send to a served model: images in all formats that its graph reads, and bytes that it must refuse."""

import io
import struct
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from restem.images import container, encode_for_serving

LARGE = 50_000  # width and height in headers that lie
# Half of the images are ordinary PNG and JPEG files; `valid` takes one after the other.
ORDINARY = ("png", "jpeg", "png_rgba", "jpeg_grey", "png_palette", "jpeg")
OTHERS = ("png16", "png_grey16", "cmyk", "gif", "bmp", "bmp8", "raw")
FORMATS = tuple(form for other in OTHERS for form in (other, ORDINARY[OTHERS.index(other) % len(ORDINARY)]))


@dataclass(frozen=True)
class Sent:
    """What a client may send.

    Attributes:
      kind: the format, or what is wrong.
      data: the bytes.
      valid: whether it is an image; None: only the decoder knows, as some changed bytes still make an image.
    """

    kind: str
    data: bytes
    valid: bool | None


def pixels(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """uint8 [height, width, 3]: a random pattern of large areas, so that two images differ at any size."""
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR))
    # The noise of a few rows, again and again: making it should not take longer than decoding it.
    noise = rng.integers(-8, 9, (min(height, 64), width, 1), np.int16)
    noise = np.tile(noise, (-(-height // len(noise)), 1, 1))[:height]
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def encoded(form: str, values: np.ndarray) -> bytes:
    """An image, uint8 [height, width, 3], in one of `FORMATS`."""
    picture = Image.fromarray(values)
    match form:
        case "png":
            return saved(picture, "PNG", compress_level=1)
        case "png_rgba":
            return saved(picture.convert("RGBA"), "PNG", compress_level=1)
        case "png_palette":
            return saved(picture.quantize(64, Image.Quantize.FASTOCTREE), "PNG", compress_level=1)
        case "png16":
            return container.to_decodable(values.astype(np.uint16) * 257)
        case "png_grey16":
            return container.to_decodable(values[..., :1].astype(np.uint16) * 257)
        case "jpeg":
            return saved(picture, "JPEG", quality=90)
        case "jpeg_grey":
            return saved(picture.convert("L"), "JPEG", progressive=True)
        case "cmyk":
            return saved(picture.convert("CMYK"), "JPEG")
        case "gif":
            return saved(picture.quantize(64, Image.Quantize.FASTOCTREE), "GIF")
        case "bmp":
            return saved(picture, "BMP")
        case "bmp8":
            return saved(picture.quantize(64, Image.Quantize.FASTOCTREE), "BMP")
        case "raw":
            return _for_serving(values)
    raise ValueError(form)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of Pillow's file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _for_serving(values: np.ndarray) -> bytes:
    """What `encode_for_serving` makes of a TIFF with floating point: a raw container."""
    import tifffile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tif"
        tifffile.imwrite(path, values.astype(np.float32) * 257, photometric="rgb")
        return encode_for_serving(path)


def png_header(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """An RGB PNG with these chunks behind its header."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in (header, *chunks, (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def zeros(size: int) -> bytes:
    """A zlib stream of so many zeros, in about a thousandth of the bytes."""
    packer = zlib.compressobj(9)
    block = bytes(min(size, 2**20))
    return b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()


def without_marker(cmyk: bytes) -> bytes:
    """A CMYK JPEG without the segment that says how its colours are stored."""
    start = cmyk.index(b"\xff\xee")
    return cmyk[:start] + cmyk[start + 2 + struct.unpack_from(">H", cmyk, start + 2)[0] :]


def _resized(data: bytes, at: int, how: str, side: int = LARGE) -> bytes:
    """The file with another size in its header."""
    fields = struct.pack(how, side, side)
    return data[:at] + fields + data[at + len(fields) :]


def invalid(rng: np.random.Generator, whole: list[Sent], max_pixels: int, bomb: int) -> list[Sent]:
    """One of each kind of bytes that are no image, or not one that is served.

    Args:
      rng: chooses places.
      whole: valid images.
      max_pixels: the model's limit.
      bomb: to how many bytes the bombs unpack.
    """
    few = pixels(rng, 40, 30)
    jpeg = encoded("jpeg", few)
    frame = jpeg.index(b"\xff\xc0") + 5
    side = int(max_pixels**0.5)
    small = container.pack(np.zeros((64, 64, 3), np.uint8))
    sent = {
        "empty": b"",
        "text": b"<html>404 Not Found</html>",
        "one byte": bytes(rng.integers(0, 256, 1, np.uint8)),
        "noise": rng.bytes(int(rng.integers(2, 5000))),
        "only a signature: PNG": b"\x89PNG\r\n\x1a\n",
        "only a signature: JPEG": b"\xff\xd8\xff",
        "only a signature: GIF": b"GIF89a",
        "only a signature: BMP": b"BM",
        "only a signature: container": container.SIGNATURE,
        "header 50,000 x 50,000: PNG": png_header(LARGE, LARGE, (b"IDAT", zlib.compress(bytes(1000)))),
        "header 50,000 x 50,000: JPEG": _resized(jpeg, frame, ">HH"),
        "header 50,000 x 50,000: GIF": _resized(encoded("gif", few), 6, "<HH"),
        "header 50,000 x 50,000: BMP": _resized(encoded("bmp", few), 18, "<ii"),
        "header 50,000 x 50,000: container": _resized(small, container.HEIGHT_AT, "<II"),
        "bomb: PNG": png_header(16, 16, (b"IDAT", zeros(bomb))),
        "bomb: PNG's profile": png_header(16, 16, (b"iCCP", b"x\0\0" + zeros(bomb)), (b"IDAT", b"")),
        "bomb: container": small[: container.HEADER_BYTES] + zeros(bomb),
        "bomb: short container": small[: container.HEADER_BYTES] + zeros(12 * 2**20),
        "bomb: long container": _resized(small, container.HEIGHT_AT, "<II", side // 2)[: container.HEADER_BYTES]
        + zeros(bomb),
        "CMYK without marker": without_marker(encoded("cmyk", few)),
        "too many pixels: PNG": saved(Image.new("1", (side + 1, side + 1)), "PNG"),
        "too many pixels: JPEG": saved(Image.new("L", (side + 1, side + 1)), "JPEG"),
        "too many channels": container.pack(np.zeros((8, 8, 5), np.uint8)),
        "NaN": container.pack(np.full((8, 8, 3), np.nan, np.float32)),
        "TIFF": saved(Image.fromarray(few), "TIFF"),
        "transparent GIF": saved(Image.fromarray(few[..., 0] % 8).convert("P"), "GIF", transparency=3),
    }
    # libpng may leave what is too much in a PNG aside.
    found = [Sent(kind, data, None if kind.startswith("bomb: PNG") else False) for kind, data in sent.items()]
    some = [one for one in whole if len(one.data) < 10**6]
    for i in rng.permutation(len(some))[:4]:
        found.append(Sent(f"truncated {some[i].kind}", some[i].data[: int(rng.integers(1, len(some[i].data)))], None))
    found.append(Sent("truncated png", encoded("png", few)[:-40], False))
    for i in rng.permutation(len(some))[:4]:
        changed = np.frombuffer(some[i].data, np.uint8).copy()
        places = rng.integers(0, len(changed), 4)
        changed[places] ^= rng.integers(1, 256, len(places)).astype(np.uint8)
        found.append(Sent(f"changed {some[i].kind}", changed.tobytes(), None))
    return found


def valid(
    rng: np.random.Generator, count: int, most: int, *, area: int, formats: tuple[str, ...] = FORMATS
) -> list[Sent]:
    """Images of 1 to `most` pixels in width and height, independent and uniform in their logarithm.

    The first four are the extremes: 1 x 1, 1 x most, most x 1, most x most.
    """
    sizes = [(1, 1), (1, most), (most, 1), (most, most)]
    for _ in range(count - len(sizes)):
        width, height = (int(side) for side in np.exp(rng.uniform(0, np.log(most), 2)))
        sizes.append((width, height))
    sent = []
    for i, (width, height) in enumerate(sizes):
        height = min(height, area // width)
        # The largest has a format that is quick to write.
        form = "jpeg" if width * height == most * most else formats[i % len(formats)]
        sent.append(Sent(form, encoded(form, pixels(rng, width, height)), True))
    return sent

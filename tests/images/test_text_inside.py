"""Text inside image files (EXIF, comments, profiles, names of cameras and patients) is shown nowhere."""

import base64
import io

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from restem.example_gen.dataset import ImageFile, Refused
from restem.example_gen.reading import ImageDecoder, Limits
from restem.images.bands import find_bands
from restem.images.probe import probe
from restem.report.pictures import thumbnail

TEXT = "Mary Smith<script>alert(1)</script>\x1b]0;hacked\x07"
MARKS = ("Mary Smith", "<script>", "\x1b")
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)


def jpeg() -> bytes:
    exif = Image.Exif()
    for tag in (0x010E, 0x010F, 0x013B, 0x9286):  # description, maker, artist, comment
        exif[tag] = TEXT
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    output = io.BytesIO()
    Image.fromarray(PIXELS).save(
        output, "JPEG", exif=exif, comment=TEXT.encode(), icc_profile=profile.replace(b"sRGB", b"Mary")
    )
    return output.getvalue()


def png() -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", TEXT)
    texts.add_itxt(TEXT[:60], TEXT)
    output = io.BytesIO()
    Image.fromarray(PIXELS).save(output, "PNG", pnginfo=texts)
    return output.getvalue()


def tiff() -> bytes:
    output = io.BytesIO()
    plain = TEXT.replace("\x1b", "").replace("\x07", "")
    tifffile.imwrite(
        output, PIXELS, photometric="rgb", description=plain, software=plain, extratags=[(315, "s", 0, plain, True)]
    )
    return output.getvalue()


def bands() -> bytes:
    """GDAL's band names, which `restem init` does write: as names."""
    names = "".join(
        f'<Item name="DESCRIPTION" sample="{i}" role="description">{i}] #&#10;{i}: x</Item>' for i in (0, 1)
    )
    output = io.BytesIO()
    metadata = f"<GDALMetadata>{names}</GDALMetadata>"
    tifffile.imwrite(
        output,
        PIXELS[..., :2],
        photometric="minisblack",
        planarconfig="contig",
        extratags=[(42112, "s", 0, metadata, True)],
    )
    return output.getvalue()


def read(data: bytes, folder):
    (folder / "x").write_bytes(data)
    (result,) = ImageDecoder(str(folder), Limits(10_000, 1 << 20)).decode([ImageFile("x", "a", "train")])
    return result


@pytest.mark.parametrize("make", [jpeg, png, tiff])
def test_it_is_neither_in_what_is_found_nor_in_pictures(make, tmp_path):
    data = make()
    assert b"Mary Smith" in data
    found = read(data, tmp_path)
    assert not [mark for mark in MARKS if mark in repr(found.header)]
    for _, picture in thumbnail(found.take()).pictures:
        content = base64.b64decode(picture.partition(",")[2])
        assert not [mark for mark in MARKS[:2] if mark.encode() in content]


@pytest.mark.parametrize("make", [jpeg, png, tiff])
def test_it_is_not_in_the_reason_why_a_file_is_refused(make, tmp_path):
    data = make()
    for end in (len(data) // 2, len(data) - 200):
        refused = read(data[:end], tmp_path)
        assert isinstance(refused, Refused)
        assert not [mark for mark in MARKS if mark in refused.reason]


def test_names_of_bands_have_letters_digits_and_marks_only():
    data = bands()
    header = probe(data, max_pixels=10_000, max_bytes=1 << 20)
    assert find_bands(data, header, lambda: PIXELS[..., :2]).names == ("0_0_x", "1_1_x")

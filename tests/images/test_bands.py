import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from restem.images.bands import Bands, find_bands
from restem.images.probe import probe

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 13), np.uint8)


def gdal(*names: str, text: str | None = None) -> dict:
    """The option to write GDAL's tag, like rasterio's set_band_description."""
    items = "".join(
        f'<Item name="DESCRIPTION" sample="{place}" role="description">{name}</Item>'
        for place, name in enumerate(names)
    )
    return {"extratags": [(42112, "s", 0, text or f"<GDALMetadata>\n  {items}\n</GDALMetadata>", True)]}


def tiff(channels: int, **options) -> bytes:
    buffer = io.BytesIO()
    pixels = PIXELS[..., :channels] if channels > 1 else PIXELS[..., 0]
    tifffile.imwrite(buffer, pixels, **{"photometric": "minisblack", "planarconfig": "contig", **options})
    return buffer.getvalue()


def npy(channels: int) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, PIXELS[..., :channels])
    return buffer.getvalue()


def pages(count: int) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.moveaxis(PIXELS[..., :count], -1, 0), photometric="minisblack")
    return buffer.getvalue()


RGB = {"photometric": "rgb"}
OPAQUE = np.full((6, 5, 4), 255, np.uint8)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (tiff(13), tuple(f"band_{i}" for i in range(1, 14))),
        (tiff(5, **RGB, extrasamples=["unspecified"] * 2), ("red", "green", "blue", "band_4", "band_5")),
        (tiff(4, **RGB, extrasamples=["unspecified"]), ("red", "green", "blue", "band_4")),
        (tiff(4, **gdal("Red", "Green", "Blue", "Near Infrared")), ("red", "green", "blue", "near_infrared")),
        (tiff(3, **RGB, **gdal("NIR", "Red", "Green")), ("nir", "red", "green")),
        (pages(3), ("band_1", "band_2", "band_3")),
        (npy(4), ("band_1", "band_2", "band_3", "band_4")),
        # Ordinary images, with or without names.
        (tiff(1), None),
        (tiff(3, **RGB), None),
        (tiff(4, **RGB, extrasamples=["unassalpha"]), None),
        (tiff(3, **RGB, **gdal("red", "green", "blue")), None),
        (tiff(1, **gdal("gray")), None),
        (npy(3), None),
        # Names are not used unless all bands have one.
        (tiff(5, **gdal("a", "b")), tuple(f"band_{i}" for i in range(1, 6))),
        (tiff(5, **gdal("a", "a", "b", "c", "d")), tuple(f"band_{i}" for i in range(1, 6))),
        (tiff(5, **gdal(text="<GDALMetadata><Item")), tuple(f"band_{i}" for i in range(1, 6))),
        (tiff(5, **gdal(text='<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>')), tuple(f"band_{i}" for i in range(1, 6))),
        (tiff(2, **gdal("???", "vv")), ("band_1", "band_2")),
    ],
)
def test_bands_follow_the_file(data, expected):
    assert bands(data, OPAQUE) == (expected and Bands(expected))


def bands(data: bytes, pixels: np.ndarray) -> Bands | None:
    return find_bands(data, probe(data, max_pixels=1000, max_bytes=1 << 20), lambda: pixels)


def png(channels: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS[..., :channels]).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (png(4), ("red", "green", "blue", "band_4")),
        (png(2), ("band_1", "band_2")),
        # GDAL's default for red, green, blue and near infrared.
        (tiff(4, **RGB, extrasamples=["unassalpha"]), ("red", "green", "blue", "band_4")),
        # Premultiplied colours are divided by alpha when they are read, so it must be alpha.
        (tiff(4, **RGB, extrasamples=["assocalpha"]), None),
        (png(3), None),
    ],
)
def test_an_alpha_channel_with_image_data_is_a_band(data, names):
    assert bands(data, PIXELS) == (names and Bands(names, as_alpha=True))
    assert bands(data, OPAQUE) is None


@pytest.mark.parametrize("low", [0, 3])
def test_alpha_is_mostly_transparent_or_opaque(low):
    """The two values may be any; edges may be soft."""
    alpha = np.full((10, 10, 4), 255, np.uint8)
    alpha[:4] = low
    alpha[4] = 100
    assert bands(png(4), alpha) is None

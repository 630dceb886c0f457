"""A folder of all the files that people really had, at once: the four data steps read or quarantine each, and
`restem inspect` says the same before."""

import io
import json
import struct

import imagecodecs
import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image, PngImagePlugin

from restem.example_gen.component import ImageExampleGen
from restem.example_gen.config import DataConfig
from restem.example_gen.validator import example_validator, statistics_gen
from restem.images.config import ImageConfig
from restem.pipeline.config import Config
from restem.pipeline.datasets.inspection import inspect
from restem.transform.component import transform
from tests.images.formats.dicom_files import dicom
from tests.images.test_arrays import npy
from tests.images.test_odd_files import saved, ycbcr
from tests.local_run import run_locally

IMAGE = ImageConfig(size=16, channels=3, max_upsampling=None, dicom={"window": [128, 256]})
RNG = np.random.default_rng(0)
PICTURE = np.asarray(
    Image.fromarray(RNG.integers(0, 256, (4, 5, 3), np.uint8)).resize((20, 16), Image.Resampling.BICUBIC)
)


def tiff(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def with_thumbnail() -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(PICTURE[::4, ::4], photometric="rgb", subfiletype=1)
        writer.write(PICTURE, photometric="rgb")
    return file.getvalue()


def long_text() -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("comment", "x" * 2_000_000, zip=True)
    return saved(Image.fromarray(PICTURE), "PNG", pnginfo=texts)


def empty_comment() -> bytes:
    data = saved(Image.fromarray(PICTURE[..., 0]).convert("P"), "GIF")
    start = data.index(b"\x2c", 13 + 3 * 2 ** ((data[10] & 7) + 1))
    return data[:start] + b"\x21\xfe\x00" + data[start:]


def unmarked_cmyk() -> bytes:
    marked = saved(Image.fromarray(PICTURE).convert("CMYK"), "JPEG")
    start = marked.index(b"\xff\xee")
    return marked[:start] + marked[start + 2 + struct.unpack_from(">H", marked, start + 2)[0] :]


def colour_map() -> bytes:
    table = RNG.integers(0, 256, (3, 256)).astype(np.uint16)
    return tiff(PICTURE[..., 0], photometric="palette", colormap=table)


GREY16 = PICTURE[..., 0].astype(np.uint16) * 257
READ = {
    "flat.npy": npy(PICTURE[..., 0].copy()),
    "flat16.npy": npy(GREY16),
    "bits.npy": npy(PICTURE[..., 0] > 100),
    "narrow.tif": tiff(np.arange(30, dtype=np.uint8)[None], extratags=[(274, "H", 1, 6, True)]),
    "colours.tif": colour_map(),
    "thumbnail.tif": with_thumbnail(),
    "luma.tif": ycbcr(PICTURE, 2, 1, 5),
    "lossless.tif": tiff(GREY16, compression=7, compressionargs={"lossless": True, "bitspersample": 16}),
    "lossless.jpg": imagecodecs.ljpeg_encode(GREY16, bitspersample=16),
    "twelve.jpg": imagecodecs.jpeg8_encode(GREY16 >> 4, bitspersample=12),
    "cmyk.jpg": unmarked_cmyk(),
    "behind.bmp": saved(Image.fromarray(PICTURE), "BMP") + b"more",
    "text.png": long_text(),
    "comment.gif": empty_comment(),
    "scan.dcm": dicom(PICTURE[..., 0]),
    "plain.jp2": imagecodecs.jpeg2k_encode(PICTURE, level=0, reversible=True),
    "plain.ppm": saved(Image.fromarray(PICTURE), "PPM"),
    "plain.jxl": imagecodecs.jpegxl_encode(PICTURE),
    "plain.avif": saved(Image.fromarray(PICTURE), "AVIF"),
    "plain.webp": saved(Image.fromarray(PICTURE), "WEBP"),
}
REFUSED = {
    "range.npy": (npy(PICTURE.astype(np.float32)), "set image.value_range"),
    "first.npy": (npy(np.zeros((3, 40, 50), np.uint8)), "channels come first"),
    "raw.dng": (tiff(PICTURE[..., 0], photometric="cfa"), "camera's raw file"),
    "cut.jp2": (READ["plain.jp2"][:-30], "JPEG2000"),
    "cut.dcm": (READ["scan.dcm"][:-40], "DICOM"),
    "words.jpg": (b"not pixels", "It is text, not an image"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Each file in one of two classes, and plain ones, so that both splits have images of each class."""
    folder = tmp_path_factory.mktemp("together") / "images"
    files = READ | {name: data for name, (data, _) in REFUSED.items()}
    files |= {f"plain{i}.png": saved(Image.fromarray(PICTURE + np.uint8(i)), "PNG") for i in range(12)}
    for number, (name, data) in enumerate(files.items()):
        path = folder / ("cat", "dog")[number % 2] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_all_steps_read_or_quarantine_each_as_inspect_says(folder, tmp_path):
    data = DataConfig(path=str(folder), max_quarantined=0.5)
    seen = inspect(Config(data=data, image=IMAGE))
    assert seen.problem is None
    reasons = {one.path.split("/")[1]: one.reason for one in seen.quarantined}
    assert set(reasons) == set(REFUSED), reasons
    assert {name: reasons[name] for name, (_, part) in REFUSED.items() if part not in reasons[name]} == {}

    ingestion = ImageExampleGen(data, IMAGE)
    examples, schema = ingestion.outputs["examples"], ingestion.outputs["schema"]
    statistics = statistics_gen(examples)
    validator = example_validator(statistics.outputs["statistics"], schema)
    run_locally([ingestion, statistics, validator, transform(examples, schema, IMAGE)], tmp_path)
    (quarantine,) = (tmp_path / "pipeline").glob("ImageExampleGen/quarantine/*")
    lines = [json.loads(line) for line in (quarantine / "quarantine.jsonl").read_text().splitlines()]
    assert {line["path"]: line["reason"] for line in lines} == {one.path: one.reason for one in seen.quarantined}
    summary = json.loads((quarantine / "summary.json").read_text())
    assert {name: split["by_class"] for name, split in summary["splits"].items()} == seen.counts
    for name, split in summary["splits"].items():
        found = (tmp_path / "pipeline").glob(f"Transform/transformed_examples/*/Split-{name}/*")
        shards = [str(file) for file in found]
        records = tf.data.TFRecordDataset(shards, "GZIP")
        assert sum(1 for _ in records.as_numpy_iterator()) == split["images"]

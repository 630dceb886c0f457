"""Runs ImageExampleGen with TFX: its outputs, and when it runs again."""

import json
import pickle

import numpy as np
import pytest
import tensorflow as tf

from restem.errors import RestemError
from restem.example_gen.component import ImageExampleGen
from restem.example_gen.config import DataConfig
from restem.example_gen.dataset import ExampleFields
from restem.example_gen.executor import ReadImages, listing_lines
from restem.example_gen.listing import list_data
from restem.example_gen.reading import Limits
from restem.images import encode_for_serving
from restem.images.config import ImageConfig

from .conftest import BAD, GOOD, ODD_CONFIG, image_bytes, read_examples


@pytest.fixture(scope="module")
def examples(odd_run):
    return {split: read_examples(odd_run.uris["ImageExampleGen.examples"], split) for split in ("train", "test")}


def test_every_file_becomes_an_example_or_is_quarantined_with_its_reason(odd_run, odd_folder, examples):
    quarantine = odd_run.uris["ImageExampleGen.quarantine"]
    lines = [json.loads(line) for line in (quarantine / "quarantine.jsonl").read_text().splitlines()]
    assert [line["path"] for line in lines] == sorted(BAD)
    for line in lines:
        make, reason = BAD[line["path"]]
        assert line["reason"].startswith(reason)
        assert line["bytes"] == len(make())
    read = [example["path"].decode() for split in examples.values() for example in split]
    every = {path.relative_to(odd_folder).as_posix() for path in odd_folder.rglob("*") if path.is_file()}
    assert sorted([*read, *BAD]) == sorted(every)
    assert set(GOOD) <= set(read)


def test_the_summary_counts_them(odd_run, examples):
    summary = json.loads((odd_run.uris["ImageExampleGen.quarantine"] / "summary.json").read_text())
    assert (summary["files"], summary["quarantined"]) == (len(GOOD) + len(BAD) + 20, len(BAD))
    assert summary["classes"] == ["cat", "dog"]
    assert summary["nodata"] == {
        **{"rule": None, "files": 0, "share": 0.0, "largest_share": 0.0, "largest_path": None},
        "declared": {"0": 1},
    }
    (note,) = [note for note in summary["notes"] if "no data" in note]
    assert note.startswith(
        "1 of 32 images declare a value for no data (GDAL's tag: 0 in 1), but image.nodata is not set"
    )
    for split, found in examples.items():
        labels = [example["label"].decode() for example in found]
        by_class = {name: labels.count(name) for name in ("cat", "dog")}
        assert summary["splits"][split] == {"images": len(found), "by_class": by_class}
        assert min(by_class.values()) > 0


def test_an_example_contains_the_unchanged_file_and_its_header_fields(odd_folder, examples):
    found = {example["path"].decode(): example for split in examples.values() for example in split}
    expected = {
        "cat/photo.jpg": (b"JPEG", 3, 8),
        "cat/cmyk.jpg": (b"JPEG", 3, 8),
        "cat/deep.png": (b"PNG", 1, 16),
        "cat/moving.gif": (b"GIF", 3, 8),
        "cat/more/palette.png": (b"PNG", 3, 8),
        "dog/bitmap.bmp": (b"BMP", 3, 8),
        "dog/png.jpg": (b"PNG", 1, 8),
        "dog/no extension": (b"PNG", 4, 8),
        "dog/grüße 犬.png": (b"PNG", 2, 8),
        "cat/photo.webp": (b"WEBP", 3, 8),
        "dog/deep.tif": (b"TIFF", 1, 16),
        "dog/array.npy": (b"NPY", 3, 8),
    }
    assert set(expected) == set(GOOD)
    for path, (kind, channels, depth) in expected.items():
        example = found[path]
        assert (example["format"], example["channels"], example["bit_depth"]) == (kind, channels, depth)
        size = (1, 1) if "犬" in path else (24, 16)
        assert (example["width"], example["height"]) == size
        assert example["image_bytes"] == encode_for_serving(odd_folder / path)
        if example["format"] in (b"JPEG", b"PNG", b"BMP"):
            assert example["image_bytes"] == (odd_folder / path).read_bytes()
        assert example["label"].decode() == path.split("/")[0]
        assert example["label_index"] == ["cat", "dog"].index(path.split("/")[0])


def test_transform_gets_scalars(odd_run):
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tensorflow_transform.tf_metadata import schema_utils

    text = (odd_run.uris["ImageExampleGen.schema"] / "schema.pbtxt").read_text()
    schema = text_format.Parse(text, schema_pb2.Schema())
    features = schema_utils.schema_as_feature_spec(schema).feature_spec
    strings = {"image_bytes", "path", "label", "format"}
    whole_numbers = {"label_index", "height", "width", "channels", "bit_depth"}
    assert features == {name: tf.io.FixedLenFeature([], tf.string) for name in strings} | {
        name: tf.io.FixedLenFeature([], tf.int64) for name in whole_numbers
    }
    domains = {feature.name: feature for feature in schema.feature}
    assert list(domains["label"].string_domain.value) == ["cat", "dog"]
    assert (domains["label_index"].int_domain.min, domains["label_index"].int_domain.max) == (0, 1)


def test_it_runs_again_only_if_the_data_change(run, tmp_path):
    folder, root = tmp_path / "images", tmp_path / "root"
    for split in ("train", "test"):
        for label in ("a", "b"):
            path = folder / split / label / f"{split}.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(image_bytes(seed=len(list(folder.rglob("*.png")))))
    (folder / "train" / "a" / "second.png").write_bytes(image_bytes(seed=9))
    config = DataConfig(path=str(folder))
    root.mkdir()

    def state(data=config, image=None):
        return run(root, folder, data, image, validate=False).states["ImageExampleGen"]

    assert state() == "COMPLETE"
    assert state(image=ImageConfig(size=99, channels=1, max_upsampling=None)) == "CACHED"
    (folder / "train" / "a" / "second.png").rename(folder / "train" / "b" / "second.png")
    assert state() == "COMPLETE"
    assert state(data=config.model_copy(update={"max_pixels": 1000})) == "COMPLETE"
    (folder / "train" / "b" / "second.png").write_bytes(image_bytes("L", seed=7))
    assert state() == "COMPLETE"
    assert state() == "CACHED"


def test_too_many_bad_files_stop_the_run_with_the_list(run, odd_folder, tmp_path):
    strict = ODD_CONFIG.model_copy(update={"max_quarantined": 0.05})
    with pytest.raises(RestemError, match="7 of 39 files cannot be read as images") as caught:
        run(tmp_path, odd_folder, strict, validate=False)
    for path, (_, reason) in BAD.items():
        assert f"\n  {path}: {reason}" in str(caught.value)


def test_only_the_requirements_of_the_image_section_count():
    def settings(image):
        return json.loads(ImageExampleGen(ODD_CONFIG, image).spec.exec_properties["settings"])

    free = {"max_upsampling": None}
    assert settings(None) == settings(ImageConfig(size=8, channels=1, bits=16, fit="pad", **free))
    assert settings(ImageConfig(size=8, bands=("a", "b"), **free))["image"]["channels"] == 2
    rule = settings(ImageConfig(size=8, nodata="nan", **free))["image"]["nodata"]
    assert rule == {"value": None, "not_finite": True, "mask": None, "seen": None, "most": 0.5}
    assert settings(ImageConfig(size=8))["image"] != settings(ImageConfig(size=9))["image"]


def test_a_class_left_without_readable_training_images_is_refused(run, tmp_path):
    folder = tmp_path / "images"
    for split in ("train", "test"):
        for label in ("a", "b"):
            (folder / split / label).mkdir(parents=True)
            (folder / split / label / "1.png").write_bytes(image_bytes(seed=len(list(folder.rglob("*.png")))))
    (folder / "train" / "b" / "1.png").write_bytes(b"")
    with pytest.raises(RestemError, match=r"no readable images to train on: b\."):
        run(tmp_path, folder, DataConfig(path=str(folder), max_quarantined=1), validate=False)


def test_workers_need_only_the_pickled_function(odd_folder):
    listing = list_data(str(odd_folder), ODD_CONFIG)
    lines = list(listing_lines(listing))
    assert len(lines) == len(listing.files)
    read = pickle.loads(
        pickle.dumps(ReadImages(str(odd_folder), Limits(10_000, 2**20), ExampleFields(listing.classes), len(lines)))
    )
    read.setup()
    outputs = list(read.process((0, reversed(lines))))
    assert sum(output.value[1] for output in outputs if output.tag == "counted") == len(GOOD) + 20
    # Shuffled by the paths' hashes: not in the order of the classes, but always the same.
    labels = [
        tf.train.Example.FromString(o.value).features.feature["label_index"].int64_list.value[0]
        for o in outputs
        if o.tag == "train"
    ]
    assert 0 < np.count_nonzero(np.diff(labels)) > 4
    assert lines == list(listing_lines(listing))


@pytest.fixture
def days(tmp_path):
    """day(number, version=None): makes a folder with unique images."""

    def day(number: int, *, version: int | None = None, label: str = "b") -> None:
        folder = tmp_path / "days" / f"day-{number}"
        folder = folder if version is None else folder / f"v{version}"
        for index, (split, name) in enumerate((split, name) for split in ("train", "test") for name in ("a", label)):
            path = folder / split / name / f"{index}.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(image_bytes(seed=1000 * number + 100 * (version or 0) + index))

    return day


def test_the_newest_spans_are_read_and_a_new_one_runs_the_step_again(run, days, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    days(1)
    days(2, label="c")

    def found(count: int):
        data = DataConfig(path=str(tmp_path / "days" / "day-{SPAN}"), spans=count)
        done = run(root, None, data, validate=False)
        uri = done.uris["ImageExampleGen.quarantine"]
        return done.states["ImageExampleGen"], json.loads((uri / "summary.json").read_text())

    state, summary = found(1)
    assert (state, summary["spans"], summary["classes"], summary["files"]) == ("COMPLETE", [2], ["a", "c"], 4)
    assert found(1)[0] == "CACHED"
    state, summary = found(2)
    assert (state, summary["spans"], summary["classes"], summary["files"]) == ("COMPLETE", [1, 2], ["a", "b", "c"], 8)
    days(10)
    state, summary = found(2)
    assert (state, summary["spans"], summary["classes"]) == ("COMPLETE", [2, 10], ["a", "b", "c"])
    assert found(2)[0] == "CACHED"


MANIFEST = "file;class;part;patient;trust;scanner\n"


@pytest.fixture(scope="module")
def manifest_run(run, tmp_path_factory):
    """A run on a manifest with bad rows of every kind, with groups, weights and metadata."""
    folder = tmp_path_factory.mktemp("manifest")
    lines = []
    for index in range(24):
        (folder / "scans ü").mkdir(exist_ok=True)
        (folder / "scans ü" / f"{index}.png").write_bytes(image_bytes(seed=index))
        side = "test" if index % 4 == 0 else "train"
        lines.append(
            f"scans ü/{index}.png;{'ill' if index % 3 else 'well'};{side};p{index};{1 + index % 2};s{index % 2}"
        )
    bad = [
        "gone.png;ill;train;p90;1;s0",
        "scans ü/0.png;;train;p91;1;s0",
        "scans ü/1.png;ill;train;p92;1;s0",
        "scans ü/text.png;ill;train;p93;1;s0",
    ]
    (folder / "scans ü" / "text.png").write_text("not an image")
    (folder / "all.csv").write_text("\ufeff" + MANIFEST + "\n".join(lines + bad) + "\n", encoding="utf-8")
    data = DataConfig(
        path=str(folder / "all.csv"),
        columns={"path": "file", "label": "class", "split": "part"},
        group="patient",
        weight="trust",
        metadata=("scanner",),
        max_quarantined=0.5,
    )
    return run(tmp_path_factory.mktemp("manifest-root"), None, data)


def test_all_rows_of_a_manifest_are_accounted_for(manifest_run):
    quarantine = manifest_run.uris["ImageExampleGen.quarantine"]
    lines = [json.loads(line) for line in (quarantine / "quarantine.jsonl").read_text().splitlines()]
    assert {line["path"]: line["reason"].split(":")[0] for line in lines if line["path"] != "scans ü/text.png"} == {
        "gone.png": "Line 26",
        "scans ü/0.png": "Line 27",
        "scans ü/1.png": "Line 28",
    }
    summary = json.loads((quarantine / "summary.json").read_text())
    assert (summary["files"], summary["quarantined"]) == (28, 4)
    assert {split: one["images"] for split, one in summary["splits"].items()} == {"train": 18, "test": 6}


def test_weights_and_metadata_are_features_for_transform(manifest_run):
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tensorflow_transform.tf_metadata import schema_utils

    for example in read_examples(manifest_run.uris["ImageExampleGen.examples"], "train"):
        index = int(example["path"].decode().split("/")[1].removesuffix(".png"))
        assert (example["weight"], example["scanner"]) == (1 + index % 2, f"s{index % 2}".encode())
    text = (manifest_run.uris["ImageExampleGen.schema"] / "schema.pbtxt").read_text()
    features = schema_utils.schema_as_feature_spec(text_format.Parse(text, schema_pb2.Schema())).feature_spec
    assert features["weight"] == tf.io.FixedLenFeature([], tf.float32)
    assert features["scanner"] == tf.io.FixedLenFeature([], tf.string)
    assert manifest_run.states["StrictExampleValidator"] == "COMPLETE"


def test_images_in_a_parquet_file_become_examples(run, tmp_path):
    """As Hugging Face's datasets write them; `restem inspect` counts the same."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from restem.pipeline.config import Config
    from restem.pipeline.datasets.inspection import inspect

    images = [{"bytes": image_bytes(seed=i) if i != 3 else b"no image" * 999, "path": None} for i in range(24)]
    names = {"info": {"features": {"label": {"names": ["ill", "well"], "_type": "ClassLabel"}}}}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, kind), "label": [i % 2 for i in range(24)]})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), tmp_path / "all.parquet")
    data = DataConfig(path=str(tmp_path / "all.parquet"), columns={"path": "image"})
    done = run(tmp_path / "root", None, data, validate=False)
    splits = {split: read_examples(done.uris["ImageExampleGen.examples"], split) for split in ("train", "test")}
    found = {example["path"].decode(): example for split in splits.values() for example in split}
    assert set(found) == {f"all.parquet#{i + 1}" for i in range(24) if i != 3}
    for i in set(range(24)) - {3}:
        example = found[f"all.parquet#{i + 1}"]
        assert (example["image_bytes"], example["label"]) == (image_bytes(seed=i), [b"ill", b"well"][i % 2])
    seen = inspect(Config(data=data, image=ImageConfig(size=8)))
    assert {split: sum(counts.values()) for split, counts in seen.counts.items()} == {
        split: len(examples) for split, examples in splits.items()
    }
    quarantine = (done.uris["ImageExampleGen.quarantine"] / "quarantine.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in quarantine] == seen.to_dict()["quarantined"]
    assert [one.path for one in seen.quarantined] == ["all.parquet#4"]
    assert not list(done.uris["ImageExampleGen.quarantine"].rglob("*.images"))


def test_examples_of_tfrecord_files_keep_image_and_class(run, tmp_path):
    """With gzip and plain files, other feature names, and a damaged record."""
    for shard, compression in enumerate(("GZIP", "")):
        with tf.io.TFRecordWriter(str(tmp_path / f"x-{shard}.tfrecord"), compression) as writer:
            for index in range(12):
                features = {
                    "image/encoded": tf.train.BytesList(value=[image_bytes(seed=100 * shard + index)]),
                    "image/class/label": tf.train.Int64List(value=[index % 2 + 3]),
                    "part": tf.train.BytesList(value=[b"test" if index < 4 else b"train"]),
                }
                kinds = {"BytesList": "bytes_list", "Int64List": "int64_list"}
                feature = {
                    name: tf.train.Feature(**{kinds[type(value).__name__]: value}) for name, value in features.items()
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    damaged = bytearray((tmp_path / "x-1.tfrecord").read_bytes())
    damaged[-30] ^= 255
    (tmp_path / "x-1.tfrecord").write_bytes(damaged)
    data = DataConfig(
        path=str(tmp_path / "x-*.tfrecord"),
        features={"image": "image/encoded", "label": "image/class/label", "split": "part"},
        max_quarantined=0.1,
    )
    done = run(tmp_path, None, data, validate=False)
    found = read_examples(done.uris["ImageExampleGen.examples"], "test")
    assert {one["path"] for one in found} == {
        f"x-{shard}.tfrecord#{i}".encode() for shard in range(2) for i in range(4)
    }
    for one in found:
        shard, index = one["path"].decode().removeprefix("x-").split(".tfrecord#")
        assert one["image_bytes"] == image_bytes(seed=100 * int(shard) + int(index))
        assert one["label"] == str(int(index) % 2 + 3).encode()
    assert len(read_examples(done.uris["ImageExampleGen.examples"], "train")) == 15
    (line,) = (done.uris["ImageExampleGen.quarantine"] / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["path"] == "x-1.tfrecord#11"
    assert not (done.uris["ImageExampleGen.quarantine"] / "parts").exists()


def test_the_same_image_in_both_splits_stops_the_run_unless_allowed(run, tmp_path):
    folder = tmp_path / "images"
    for split, label, seed in (
        ("train", "a", 1),
        ("train", "b", 2),
        ("train", "b", 3),
        ("test", "a", 1),
        ("test", "b", 3),
        ("test", "a", 2),
    ):
        path = folder / split / label / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_bytes(seed=seed))
    with pytest.raises(RestemError, match="3 images are in more than one split, byte for byte") as caught:
        run(tmp_path, folder, DataConfig(path="unused"), validate=False)
    assert "\n  test/a/1.png (test) = train/a/1.png (train)" in str(caught.value)
    root = tmp_path / "allowed"
    root.mkdir()
    uri = run(root, folder, DataConfig(path="unused", allow_leaks=True), validate=False).uris[
        "ImageExampleGen.quarantine"
    ]
    counts = json.loads((uri / "summary.json").read_text())["duplicates"]
    assert counts == {"groups": 3, "leaks": 3, "conflicts": 1}
    lines = [json.loads(line) for line in (uri / "duplicates.jsonl").read_text().splitlines()]
    assert [line["copies"][0]["path"] for line in lines if line["conflict"]] == ["test/a/2.png"]


def test_the_quarantine_tells_what_inspect_tells_of_near_duplicates(odd_run, odd_folder):
    """The run was asked to look for them (data.allow_near_duplicates); it finds the same as inspect."""
    from restem.pipeline.config import Config
    from restem.pipeline.datasets.inspection import inspect

    summary = json.loads((odd_run.uris["ImageExampleGen.quarantine"] / "summary.json").read_text(encoding="utf-8"))
    data = ODD_CONFIG.model_copy(update={"path": str(odd_folder)})
    found = inspect(Config(data=data, image=ImageConfig(size=32))).near
    assert found.pairs
    assert found.sentence in summary["notes"]
    assert [note for note in summary["notes"] if " ~ " in note] == found.examples()

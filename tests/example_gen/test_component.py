"""ImageExampleGen run for real by TFX: what comes out, and when it runs again."""

import json
import pickle

import numpy as np
import pytest
import tensorflow as tf

from components.errors import RestemError
from components.example_gen.component import ImageExampleGen
from components.example_gen.config import DataConfig
from components.example_gen.executor import ReadImages, listing_lines
from components.example_gen.folder import list_images
from components.example_gen.reading import Limits
from components.images.config import ImageConfig

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
    for split, found in examples.items():
        labels = [example["label"].decode() for example in found]
        by_class = {name: labels.count(name) for name in ("cat", "dog")}
        assert summary["splits"][split] == {"images": len(found), "by_class": by_class}
        assert min(by_class.values()) > 0


def test_an_example_holds_the_file_as_it_was_and_what_its_header_says(odd_folder, examples):
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
    }
    assert set(expected) == set(GOOD)
    for path, (kind, channels, depth) in expected.items():
        example = found[path]
        assert (example["format"], example["channels"], example["bit_depth"]) == (kind, channels, depth)
        size = (1, 1) if "犬" in path else (24, 16)
        assert (example["width"], example["height"]) == size
        assert example["image_bytes"] == (odd_folder / path).read_bytes()
        assert example["label"].decode() == path.split("/")[0]
        assert example["label_index"] == ["cat", "dog"].index(path.split("/")[0])


def test_transform_will_see_scalars(odd_run):
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


def test_it_runs_again_for_every_change_of_the_data_and_for_no_other_reason(run, tmp_path):
    folder, root = tmp_path / "images", tmp_path / "root"
    for split in ("train", "test"):
        for label in ("a", "b"):
            path = folder / split / label / f"{split}.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(image_bytes())
    (folder / "train" / "a" / "second.png").write_bytes(image_bytes())
    config = DataConfig(path=str(folder))
    root.mkdir()

    def state(data=config, image=None):
        return run(root, folder, data, image, validate=False).states["ImageExampleGen"]

    assert state() == "COMPLETE"
    assert state(image=ImageConfig(size=99, channels=1)) == "CACHED"
    (folder / "train" / "a" / "second.png").rename(folder / "train" / "b" / "second.png")
    assert state() == "COMPLETE"
    assert state(data=config.model_copy(update={"max_pixels": 1000})) == "COMPLETE"
    (folder / "train" / "b" / "second.png").write_bytes(image_bytes("L", seed=7))
    assert state() == "COMPLETE"
    assert state() == "CACHED"


def test_too_many_bad_files_stop_the_run_with_the_list(run, odd_folder, tmp_path):
    strict = ODD_CONFIG.model_copy(update={"max_quarantined": 0.05})
    with pytest.raises(RestemError, match="7 of 36 files are no images that can be read") as caught:
        run(tmp_path, odd_folder, strict, validate=False)
    for path, (_, reason) in BAD.items():
        assert f"\n  {path}: {reason}" in str(caught.value)


def test_of_the_image_section_only_the_number_of_bands_counts():
    def settings(image):
        return json.loads(ImageExampleGen("folder", ODD_CONFIG, image).spec.exec_properties["settings"])

    assert settings(None) == settings(ImageConfig(size=8, channels=1))
    assert settings(ImageConfig(size=8, bands=("a", "b")))["bands"] == 2


def test_a_class_left_without_readable_training_images_is_refused(run, tmp_path):
    folder = tmp_path / "images"
    for split in ("train", "test"):
        for label in ("a", "b"):
            (folder / split / label).mkdir(parents=True)
            (folder / split / label / "1.png").write_bytes(image_bytes())
    (folder / "train" / "b" / "1.png").write_bytes(b"")
    with pytest.raises(RestemError, match=r"no readable images to train on: b\."):
        run(tmp_path, folder, DataConfig(path=str(folder), max_quarantined=1), validate=False)


def test_the_latest_span_is_read_where_the_pattern_names_spans(run, tmp_path):
    from tfx.proto import example_gen_pb2

    for span, value in ((1, "old"), (2, "new")):
        for split in ("train", "test"):
            for label in ("a", value):
                path = tmp_path / "spans" / f"span-{span}" / split / label / "1.png"
                path.parent.mkdir(parents=True)
                path.write_bytes(image_bytes())
    split = example_gen_pb2.Input.Split(name="single_split", pattern="span-{SPAN}/*")
    data = DataConfig(path="unused")
    found = run(tmp_path, tmp_path / "spans", data, validate=False, input_config=example_gen_pb2.Input(splits=[split]))
    summary = json.loads((found.uris["ImageExampleGen.quarantine"] / "summary.json").read_text())
    assert summary["classes"] == ["a", "new"]


def test_workers_get_what_they_need_by_pickle_alone(odd_folder):
    listing = list_images(str(odd_folder), ODD_CONFIG)
    lines = list(listing_lines(listing))
    assert len(lines) == len(listing.files)
    read = pickle.loads(pickle.dumps(ReadImages(str(odd_folder), Limits(10_000, 2**20), len(lines))))
    read.setup()
    outputs = list(read.process((0, reversed(lines))))
    assert sum(output.value[1] for output in outputs if output.tag == "counted") == len(GOOD) + 20
    # Shuffled by the paths' hashes: never in the order of the classes, always the same.
    labels = [
        tf.train.Example.FromString(o.value).features.feature["label_index"].int64_list.value[0]
        for o in outputs
        if o.tag == "train"
    ]
    assert 0 < np.count_nonzero(np.diff(labels)) > 4
    assert lines == list(listing_lines(listing))

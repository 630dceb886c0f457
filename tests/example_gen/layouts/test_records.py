import gzip
import io
import subprocess
import sys

import pytest

from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.example_gen.layouts.records import BadRecord, check_first, parse, read_record
from restem.example_gen.listing import fingerprint, list_data

NAMES = {"image": "image/encoded", "label": "image/class/text"}


def example(**features) -> bytes:
    """A serialized tf.Example, made by TensorFlow."""
    import tensorflow as tf

    def feature(value):
        if isinstance(value, (bytes, str)):
            data = value.encode() if isinstance(value, str) else value
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))
        if isinstance(value, float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=value))

    made = {name.replace("__", "/"): feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


@pytest.fixture
def write(tmp_path):
    """write(name, examples, compression): a TFRecord file, written by TensorFlow."""
    import tensorflow as tf

    def write(name: str, examples: list[bytes], compression: str = "") -> str:
        with tf.io.TFRecordWriter(str(tmp_path / name), compression) as writer:
            for data in examples:
                writer.write(data)
        return str(tmp_path / name)

    return write


def images(count: int, offset: int = 0) -> list[bytes]:
    return [
        example(image__encoded=bytes([offset + i]) * 50, image__class__text="ab"[i % 2], site=f"s{i % 3}", w=i / 2)
        for i in range(count)
    ]


def listed(path, scratch=None, **options):
    config = DataConfig(path=str(path), features=NAMES, **options)
    return list_data(str(path), config, scratch=scratch)


def test_every_example_is_found_at_its_position(write, tmp_path):
    write("x.tfrecord", images(5))
    write("y.tfrecord", images(3, 10))
    listing = listed(tmp_path / "*.tfrecord")
    assert [file.path for file in listing.files][:2] == ["x.tfrecord#0", "x.tfrecord#1"]
    assert len(listing.files) == 8
    file = next(file for file in listing.files if file.path == "y.tfrecord#2")
    assert parse(read_record(file.record), DataConfig(path="x.tfrecord", features=NAMES)).image == bytes([12]) * 50
    assert file.record.feature == "image/encoded"


@pytest.mark.parametrize("compression", ["GZIP", ""])
def test_gzip_is_unpacked_and_a_folder_means_its_files(write, tmp_path, compression):
    (tmp_path / "scratch").mkdir()
    write("a.tfrecord-00000-of-00001", images(4), compression)
    listing = listed(tmp_path, str(tmp_path / "scratch"), layout="tfrecord")
    assert [file.label for file in listing.files] == list("abab")
    assert read_record(listing.files[3].record) == images(4)[3]
    assert bool(list((tmp_path / "scratch").iterdir())) == bool(compression)


def test_weights_groups_and_metadata(write):
    path = write("x.tfrecord", images(12))
    files = listed(path, group="site", weight="w", metadata=["site"]).files
    by_path = {file.path: file for file in files}
    assert (by_path["x.tfrecord#7"].weight, by_path["x.tfrecord#7"].group) == (3.5, "s1")
    assert by_path["x.tfrecord#7"].metadata == ("s1",)
    assert all(len({file.split for file in files if file.group == group}) == 1 for group in ("s0", "s1", "s2"))


def test_the_split_depends_only_on_the_bytes(write):
    one = {file.key: file.split for file in listed(write("x.tfrecord", images(50))).files}
    other = {file.key: file.split for file in listed(write("other.tfrecord", images(50)[::-1])).files}
    assert one == other
    assert set(one.values()) == {"train", "test"}


def test_damage_loses_only_the_damaged_records(write, tmp_path):
    path = write("x.tfrecord", images(10))
    whole = (tmp_path / "x.tfrecord").read_bytes()
    size = len(whole) // 10
    broken = bytearray(whole)
    broken[3 * size + 20] ^= 1  # In the fourth record's data.
    (tmp_path / "x.tfrecord").write_bytes(broken)
    listing = listed(path)
    assert (len(listing.files), [one.path for one in listing.refused]) == (9, ["x.tfrecord#3"])
    assert "checksum is wrong" in listing.refused[0].reason
    for cut in (1, 5, 13, size - 1):
        (tmp_path / "x.tfrecord").write_bytes(whole[: 4 * size + cut])
        listing = listed(path)
        assert (len(listing.files), len(listing.refused)) == (4, 1)
        assert "in the middle of a record" in listing.refused[0].reason


@pytest.mark.parametrize("length", [2**31, 2**40, 2**64 - 1])
def test_an_impossible_length_is_not_read(write, tmp_path, length):
    import struct

    import google_crc32c

    path = write("x.tfrecord", images(2))
    head = struct.pack("<Q", length)
    value = google_crc32c.value(head)
    masked = (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    with (tmp_path / "x.tfrecord").open("ab") as file:
        file.write(head + struct.pack("<I", masked) + b"not that much")
    listing = listed(path)
    assert len(listing.files) == 2
    assert [one.reason for one in listing.refused] == [
        "From here on, this is not a TFRecord file: a record's length is wrong."
    ]


def test_truncated_gzip_keeps_the_complete_records(tmp_path, write):
    path = write("x.tfrecord", images(200, 20), "GZIP")
    data = (tmp_path / "x.tfrecord").read_bytes()
    (tmp_path / "x.tfrecord").write_bytes(data[: len(data) * 2 // 3])
    (tmp_path / "scratch").mkdir()
    listing = listed(path, str(tmp_path / "scratch"))
    assert 0 < len(listing.files) < 200
    assert len(listing.refused) == 1


def test_bad_examples_are_refused_with_their_reason(write):
    good = images(1)
    bad = {
        b"\xff\xff no example": "It is not a tf.Example.",
        example(image__encoded=b"x"): "It has no feature image/class/text.",
        example(image__class__text="a", image__encoded=3): "Its feature image/encoded does not hold one encoded image.",
        example(image__class__text=[1, 2], image__encoded=b"x"): "Its feature image/class/text has 2 values",
        example(
            image__class__text=b"\xff\xfe", image__encoded=b"x"
        ): "Its feature image/class/text is not valid UTF-8 text.",
        example(image__class__text=" ", image__encoded=b"x"): "Its feature image/class/text is empty.",
    }
    listing = listed(write("x.tfrecord", [*good, *bad]))
    assert len(listing.files) == 1
    for one, reason in zip(listing.refused, bad.values(), strict=True):
        assert one.reason.startswith(reason)
        assert one.bytes > 0


def test_names_of_examples_are_unique(write):
    made = [example(image__encoded=bytes([i]), image__class__text="a", name=f"n{i // 2}") for i in range(4)]
    listing = list_data(path := write("x.tfrecord", made), DataConfig(path=path, features={**NAMES, "path": "name"}))
    assert [file.path for file in listing.files] == ["n0", "n1"]
    assert {one.reason for one in listing.refused} == {"Another example has the same name."}


def test_wrong_names_of_features_are_reported_at_the_first_example(write, tmp_path):
    path = write("x.tfrecord", images(2))
    config = DataConfig(path=path)
    for look in (lambda: check_first(path, config), lambda: list_data(path, config)):
        with pytest.raises(RestemError, match=r"no feature image_bytes.*the features .*image/encoded"):
            look()
    check_first(path, DataConfig(path=path, features=NAMES))
    with pytest.raises(RestemError, match="there are no TFRecord files"):
        listed(tmp_path / "none-*.tfrecord")
    (tmp_path / "text.tfrecord").write_text("this is not a TFRecord file, but long enough")
    with pytest.raises(RestemError, match="not a TFRecord file"):
        check_first(str(tmp_path / "text.tfrecord"), config)


def test_parse_refuses_bytes_that_are_not_an_example():
    with pytest.raises(BadRecord):
        parse(b"\x0a\xff", DataConfig(path="x.tfrecord"))


def test_a_rewritten_file_has_another_fingerprint(write, tmp_path):
    path = write("x.tfrecord", images(3))
    config = DataConfig(path=path, features=NAMES)
    before = fingerprint(path, config)
    write("x.tfrecord", images(4))
    assert fingerprint(path, config) != before


def test_neither_tensorflow_nor_tfx_is_imported(write):
    path = write("x.tfrecord", images(4))
    code = (
        "import sys\n"
        "from restem.example_gen.config import DataConfig\n"
        "from restem.example_gen.listing import list_data\n"
        f"config = DataConfig(path={path!r}, features={NAMES!r})\n"
        "print(len(list_data(config.path, config).files))\n"
        "print([m for m in ('tensorflow', 'tfx', 'apache_beam', 'keras') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["4", "[]"]


def test_gzip_with_several_members_is_one_file(write, tmp_path):
    whole = io.BytesIO()
    for part in (write("a.tfrecord", images(2)), write("b.tfrecord", images(2, 5))):
        with open(part, "rb") as file:
            whole.write(gzip.compress(file.read()))
    (tmp_path / "c.tfrecord.gz").write_bytes(whole.getvalue())
    (tmp_path / "scratch").mkdir()
    assert len(listed(tmp_path / "c.tfrecord.gz", str(tmp_path / "scratch")).files) == 4

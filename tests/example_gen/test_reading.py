import contextlib
import os
import resource

import pytest
import tensorflow as tf

from restem.errors import RestemError
from restem.example_gen import reading
from restem.example_gen.dataset import ExampleFields, ImageFile, Record, Refused
from restem.example_gen.reading import Accepted, ImageDecoder, ImageReader, Limits
from restem.images.config import Requirements

from .conftest import array, grey16, image_bytes

LIMITS = Limits(max_pixels=10_000, max_bytes=2**20)
FIELDS = ExampleFields(classes=("a",))


@pytest.fixture
def read(tmp_path):
    """read({name: bytes}, limits): the outcome of each file, by name."""

    def start(files: dict[str, bytes], limits: Limits = LIMITS) -> dict[str, Accepted | Refused]:
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
        outcomes = list(
            ImageReader(str(tmp_path), limits, FIELDS).read(ImageFile(name, "a", "train") for name in files)
        )
        assert len(outcomes) == len(files)
        return {one.path if isinstance(one, Refused) else one.file.path: one for one in outcomes}

    return start


def test_bad_files_do_not_affect_good_files_in_their_batch(read):
    cut = image_bytes(kind="JPEG", quality=95)[:-200]
    outcomes = read({f"{index}": cut if index % 3 == 0 else image_bytes(seed=index) for index in range(10)})
    assert [name for name, outcome in outcomes.items() if isinstance(outcome, Refused)] == ["0", "3", "6", "9"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "NPY", "16 bits"])
def test_a_file_truncated_anywhere_is_refused_with_a_reason(read, kind):
    whole = {"NPY": array, "16 bits": grey16}.get(kind, lambda: image_bytes(kind=kind))()
    outcomes = read({**{f"{end}": whole[:end] for end in range(0, len(whole), 10)}, "whole": whole})
    assert isinstance(outcomes.pop("whole"), Accepted)
    for end, outcome in outcomes.items():
        assert isinstance(outcome, Refused), end
        assert outcome.reason.endswith((".", ").")), end
        assert outcome.bytes == int(end)


def test_batches_are_limited_in_files_and_bytes(read, monkeypatch):
    batches = []
    decode = ImageDecoder._decode
    monkeypatch.setattr(
        ImageDecoder, "_decode", lambda self, batch, slow: (batches.append(len(batch)), decode(self, batch, slow))[1]
    )
    monkeypatch.setattr(reading, "_BATCH_FILES", 4)
    monkeypatch.setattr(reading, "_BATCH_BYTES", 9000)
    small = {f"s{index}": image_bytes(size=(10, 10)) for index in range(9)}
    large = {f"l{index}": image_bytes(size=(50, 50)) for index in range(3)}
    assert all(isinstance(outcome, Accepted) for outcome in read({**small, **large}).values())
    assert batches == [4, 4, 2, 1, 1]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("invalid strides"), "It cannot be read: unexpected ValueError (invalid strides)."),
        (MemoryError(), "There is too little memory to read it."),
        (RecursionError("too deep"), "unexpected RecursionError"),
    ],
)
@pytest.mark.parametrize("where", ["probe", "read_array"])
def test_whatever_a_file_does_the_others_are_read(read, monkeypatch, error, reason, where):
    real = getattr(reading, where)

    def fail(data, *args, **kwargs):
        if data == b"BAD" or data[:6] == array()[:6]:
            raise error
        return real(data, *args, **kwargs)

    monkeypatch.setattr(reading, where, fail)
    outcomes = read({"good": image_bytes(), "array": array(), "other": image_bytes(seed=2)})
    assert reason in outcomes["array"].reason
    assert all(isinstance(outcomes[name], Accepted) for name in ("good", "other"))


@pytest.mark.parametrize("error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")])
def test_an_image_for_which_the_memory_is_too_small_is_not_called_damaged(read, monkeypatch, error):
    def fail(data):
        raise error

    monkeypatch.setattr(tf, "function", lambda *args, **kwargs: fail)
    assert read({"good": image_bytes()})["good"].reason == "There is too little memory to read it."


def test_a_number_of_channels_other_than_the_named_bands_is_refused(read):
    limits = Limits(10_000, 2**20, Requirements(channels=4))
    outcomes = read({"four": image_bytes("RGBA"), "three": image_bytes(), "one": image_bytes("L")}, limits)
    assert isinstance(outcomes["four"], Accepted)
    assert outcomes["three"].reason == "It has 3 channels, but image.bands names 4."
    assert outcomes["one"].reason == "It has 1 channel, but image.bands names 4."


def test_a_large_file_is_refused_without_being_read(read, tmp_path):
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 2**40)
    (outcome,) = ImageReader(str(tmp_path), LIMITS, FIELDS).read([ImageFile("sparse", "a", "train")])
    assert (outcome.bytes, outcome.reason.split(";")[0]) == (2**40, "The file has 1,099,511,627,776 bytes")


def test_a_file_that_was_deleted_after_listing_is_refused(tmp_path):
    (outcome,) = ImageReader(str(tmp_path), LIMITS, FIELDS).read([ImageFile("gone", "a", "train")])
    assert outcome == Refused("gone", "The file cannot be read: No such file or directory.", -1)


def test_a_fault_of_the_system_is_not_the_fault_of_a_file(tmp_path):
    """In the quarantine it would stay for ever: the files have not changed, so the result comes from the cache."""
    (tmp_path / "one.png").write_bytes(image_bytes())
    reader = ImageReader(str(tmp_path), LIMITS, FIELDS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), hard))
    held = []
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.dup(0))
        with pytest.raises(RestemError, match=r"one\.png: the storage failed while .*Too many open files.*Run again"):
            list(reader.read([ImageFile("one.png", "a", "train")]))
    finally:
        for one in held:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (outcome,) = reader.read([ImageFile("one.png", "a", "train")])
    assert not isinstance(outcome, Refused)


def test_the_example_has_every_feature_of_the_committed_schema(read):
    from restem.example_gen.schema import committed_schema

    example = tf.train.Example.FromString(read({"one": image_bytes()})["one"].example)
    assert set(example.features.feature) == {feature.name for feature in committed_schema().feature}


def test_the_example_has_the_additional_fields(tmp_path):
    (tmp_path / "x.png").write_bytes(image_bytes())
    fields = ExampleFields(("a", "b"), weighted=True, metadata=("site", "day"))
    file = ImageFile("x.png", "b", "train", weight=0.5, metadata=("Ulm", "7"))
    (outcome,) = ImageReader(str(tmp_path), LIMITS, fields).read([file])
    features = tf.train.Example.FromString(outcome.example).features.feature
    assert features["weight"].float_list.value[:] == [0.5]
    assert features["label_index"].int64_list.value[:] == [1]
    assert [features[name].bytes_list.value[0] for name in fields.metadata] == [b"Ulm", b"7"]


@pytest.mark.parametrize(
    "file",
    [
        ImageFile("é\t\n.png", "a", ""),
        ImageFile("x", "a", "test", "g", 0.0, ("", "2"), Record("f", 0, 9, "image"), "k"),
    ],
)
def test_a_listed_image_is_one_line_of_json(file):
    assert "\n" not in file.to_json()
    assert ImageFile.from_json(file.to_json()) == file

import numpy as np
import pytest
import tensorflow as tf

from restem.images.config import ImageConfig
from restem.images.graph.stored import encode_pixels
from restem.trainer import input as module
from restem.trainer import scratch as scratch_module
from restem.trainer.input import arrays_as_split, read_split
from restem.trainer.scratch import Scratch

IMAGE = ImageConfig(size=4, channels=1)


def write(path, numbers):
    """Transformed examples, each with its number in every pixel, as label, and half of it as weight."""
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for index in numbers:
            pixels = encode_pixels(tf.fill([4, 4, 1], tf.cast(index, tf.uint8)), IMAGE).numpy()
            features = {
                "pixels": tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels])),
                "label_index": tf.train.Feature(int64_list=tf.train.Int64List(value=[index])),
                "path": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"%d" % index])),
                "weight": tf.train.Feature(float_list=tf.train.FloatList(value=[index / 2])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return [str(path)]


@pytest.fixture(params=["in memory", "from a copy", "streamed"])
def split(request, tmp_path, monkeypatch):
    if request.param != "in memory":
        monkeypatch.setattr(module, "CACHE_BYTES", 0)
    with Scratch(tmp_path) as scratch:
        files = write(tmp_path / "x.gz", range(10))
        read = read_split(files, IMAGE, weighted=True, scratch=scratch if request.param == "from a copy" else None)
        assert read.in_memory is (request.param == "in memory")
        assert read.ordered is (request.param != "streamed")
        yield read


def labels_of(batches):
    return np.concatenate([labels for _, labels, *_ in batches]).tolist()


def test_weights_and_labels_go_with_their_images(split):
    assert split.count == 10
    for pixels, labels, weights in split.epoch(3, seed=1, epoch=0):
        assert pixels.dtype == tf.uint8
        np.testing.assert_array_equal(pixels[:, 0, 0, 0], labels)
        np.testing.assert_array_equal(weights, labels / 2)
    assert sorted(split.labels) == list(range(10))
    np.testing.assert_array_equal(split.weights, split.labels / 2)
    np.testing.assert_array_equal(np.concatenate(list(split.pixels(4)))[:, 0, 0, 0], split.labels)
    assert split.paths.tolist() == [str(label) for label in split.labels]
    np.testing.assert_array_equal(split.at(np.array([7, 2, 9]))[:, 0, 0, 0], split.labels[[2, 7, 9]])


@pytest.mark.parametrize("kept", ["in memory", "from a copy", "in memory and from a copy"])
def test_the_order_is_the_same_whatever_files_hold_the_examples(tmp_path, monkeypatch, kept):
    scratch = Scratch(tmp_path)
    parts = [list(range(start, 40, 3))[::-1] for start in (2, 0, 1)]
    files = [*(write(tmp_path / f"{i}.gz", part)[0] for i, part in enumerate(parts))]
    other = read_split(files, IMAGE, scratch=scratch)
    if kept == "from a copy":
        monkeypatch.setattr(module, "CACHE_BYTES", 0)
        other = read_split(files, IMAGE, scratch=scratch)
    elif kept != "in memory":
        monkeypatch.setattr(module, "CACHE_BYTES", 0)
    one = read_split(write(tmp_path / "one.gz", range(40)), IMAGE, scratch=scratch)
    assert (one.in_memory, other.in_memory) == (kept == "in memory", kept != "from a copy")
    assert other.paths.tolist() == one.paths.tolist() != [str(i) for i in range(40)]
    for ours, theirs in zip(one.epoch(7, seed=3, epoch=1), other.epoch(7, seed=3, epoch=1), strict=True):
        for left, right in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(one.sample(9, seed=2), other.sample(9, seed=2))
    few = other.first(5)
    np.testing.assert_array_equal(np.concatenate(list(few.pixels(2)))[:, 0, 0, 0], one.labels[:5])
    np.testing.assert_array_equal(few.at(np.array([3]))[:, 0, 0, 0], one.labels[[3]])


def test_an_epoch_has_every_image_once_in_an_order_of_its_own(split):
    orders = [labels_of(split.epoch(3, seed=seed, epoch=epoch)) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert labels_of(split.epoch(3, seed=0, epoch=1)) == orders[1]


def test_what_an_interrupted_training_has_seen_is_skipped(split):
    whole = list(split.epoch(3, seed=0, epoch=5))
    rest = list(split.epoch(3, seed=0, epoch=5, skip=2))
    assert labels_of(rest) == labels_of(whole[2:])
    assert split.paths_of_batch(3, seed=0, epoch=5, step=2) == [str(label) for label in whole[2][1].numpy()]


def test_images_occur_as_often_as_asked(split):
    repeats = np.array([0, 2, 3] + [0] * 7)
    found = labels_of(split.epoch(2, seed=0, epoch=0, repeats=repeats))
    assert sorted(found) == sorted(np.repeat(split.labels, repeats))
    assert labels_of(split.epoch(2, seed=0, epoch=0, repeats=repeats, skip=1)) == found[2:]


def test_other_weights_take_the_place_of_the_examples_own(split):
    for _, labels, weights in split.epoch(4, seed=0, epoch=0, weights=split.labels.astype(np.float32) * 3):
        np.testing.assert_array_equal(weights, labels * 3)


def test_a_sample_is_spread_over_all_images_and_stays_the_same(split):
    numbers = split.sample(4, seed=0)[:, 0, 0, 0].tolist()
    assert len(set(numbers)) == 4
    assert split.sample(4, seed=0)[:, 0, 0, 0].tolist() == numbers
    assert split.sample(50, seed=0).shape == (10, 4, 4, 1)


def test_the_first_images(split):
    few = split.first(3)
    assert few.labels.tolist() == split.labels[:3].tolist()
    assert np.concatenate(list(few.pixels(2)))[:, 0, 0, 0].tolist() == few.labels.tolist()


def test_a_split_may_be_missing_or_without_weights(tmp_path):
    assert read_split([str(tmp_path / "nothing-*")], IMAGE).count == 0
    split = read_split(write(tmp_path / "x.gz", range(4)), IMAGE)
    assert split.weights is None
    assert [len(batch) for batch in split.epoch(4, seed=0, epoch=0)] == [2]


def test_without_room_for_a_copy_the_images_are_streamed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CACHE_BYTES", 0)
    monkeypatch.setattr(scratch_module, "LEFT_FREE", 2**62)
    split = read_split(write(tmp_path / "x.gz", range(9)), IMAGE, scratch=Scratch(tmp_path))
    assert not split.ordered
    assert split.labels.tolist() == list(range(9))


def test_arrays_in_a_file_have_the_order_of_those_in_memory(tmp_path):
    values = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    labels, paths = np.arange(30), np.arange(30).astype(str)
    stored = np.memmap(tmp_path / "values", np.float32, "w+", shape=values.shape)
    stored[:] = values
    one, other = (arrays_as_split(each, labels, paths) for each in (values, stored))
    for ours, theirs in zip(one.epoch(7, seed=3, epoch=1), other.epoch(7, seed=3, epoch=1), strict=True):
        for left, right in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(left, right)


def test_statistics_are_those_of_all_pixels():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 65536, (70, 4, 6, 2), np.uint16)
    mean, std = arrays_as_split(pixels, np.zeros(70, np.int64), np.full(70, "x")).channel_statistics()
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std((0, 1, 2)), rtol=1e-9)

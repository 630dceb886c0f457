import numpy as np
import tensorflow as tf

from restem.images.config import ImageConfig
from restem.images.graph.stored import encode_pixels
from restem.trainer.input import Split, read_split

IMAGE = ImageConfig(size=4, channels=1)


def write(path, count):
    """Transformed examples; each has its index as pixel value and label, and half of it as weight."""
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for index in range(count):
            pixels = encode_pixels(tf.fill([4, 4, 1], tf.cast(index, tf.uint8)), IMAGE).numpy()
            features = {
                "pixels": tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels])),
                "label_index": tf.train.Feature(int64_list=tf.train.Int64List(value=[index])),
                "path": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"%d" % index])),
                "weight": tf.train.Feature(float_list=tf.train.FloatList(value=[index / 2])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return [str(path)]


def test_weights_stay_with_their_images(tmp_path):
    split = read_split(write(tmp_path / "x.gz", 10), IMAGE, weighted=True)
    assert (split.count, split.weighted) == (10, True)
    for pixels, labels, weights in split.batches(3, shuffle_seed=1):
        np.testing.assert_array_equal(pixels[:, 0, 0, 0], labels)
        np.testing.assert_array_equal(weights, labels / 2)
    np.testing.assert_array_equal(split.weights(), np.arange(10) / 2)
    np.testing.assert_array_equal(np.concatenate(list(split.pixels(4)))[:, 0, 0, 0], np.arange(10))


def test_a_split_without_weights(tmp_path):
    split = read_split(write(tmp_path / "x.gz", 4), IMAGE)
    assert split.weights() is None
    assert [len(batch) for batch in split.batches(4)] == [2]
    assert split.paths().tolist() == ["0", "1", "2", "3"]


def test_statistics_cover_all_pixels(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 65536, (70, 4, 6, 2), np.uint16)
    images = tf.data.Dataset.from_tensor_slices((pixels, np.zeros(70, np.int64), np.full(70, "x")))
    mean, std = Split(images, 70).channel_statistics()
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std((0, 1, 2)), rtol=1e-9)

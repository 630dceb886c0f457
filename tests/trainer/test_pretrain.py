import numpy as np
import pytest
import tensorflow as tf

from restem.images.config import ImageConfig
from restem.stem import load_backbone
from restem.trainer.checkpoint import Checkpoints
from restem.trainer.input import read_split
from restem.trainer.pretrain import INK_RANGE, PAPER_RANGE, SourceTask, paint, pretrain


@pytest.fixture(scope="module")
def records(tmp_path_factory, pictures) -> str:
    """Raw examples of the 90 pictures in one gzip TFRecord file."""
    path = str(tmp_path_factory.mktemp("raw") / "train.gz")
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for pixels, label in zip(*pictures, strict=True):
            png = tf.train.BytesList(value=[tf.io.encode_png(pixels).numpy()])
            feature = {
                "path": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x.png"])),
                "image_bytes": tf.train.Feature(bytes_list=png),
                "label_index": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return path


def test_images_are_read_at_the_source_tasks_size(records, pictures):
    split = read_split([records], ImageConfig(size=32, channels=3, store="none"))
    rows = list(split.images.as_numpy_iterator())
    assert split.count == len(rows) == 90
    assert rows[0].shape == (32, 32, 3)
    assert sorted(split.labels) == sorted(pictures[1])


def test_paint_stays_in_range_and_keeps_the_shape_of_the_ink():
    grey = np.zeros((50, 12, 12, 3), np.uint8)
    grey[:, 4:8, 5:7] = 255
    painted = paint(tf.constant(grey), tf.constant([3, 0])).numpy()
    assert painted.shape == grey.shape
    assert painted.min() >= INK_RANGE[0] >= 0
    assert painted.max() <= PAPER_RANGE[1] <= 255
    # Ink is darker than its paper by at least 50 in every channel, on as many pixels as before.
    ground = painted.max(axis=(1, 2), keepdims=True)
    ink = ground - painted > PAPER_RANGE[0] - INK_RANGE[1] - 1
    np.testing.assert_array_equal(ink.sum(axis=(1, 2)), 8)
    # The channels differ, so the image is in colour.
    assert np.abs(ground[..., 0] - ground[..., 2]).max() > 10


def test_load_backbone_reads_the_checkpoint(records, tmp_path):
    task = SourceTask(
        "ResNet50", 32, epochs=1, learning_rate=1e-3, batch_size=32, colourise=True, seed=0, deterministic=False
    )
    history = pretrain([records], 3, task, tmp_path / "source.weights.h5", Checkpoints(None, "", 0))
    assert [entry.phase for entry in history] == ["pretrain"]
    assert np.isfinite(history[0].loss)
    backbone = load_backbone("ResNet50", str(tmp_path / "source.weights.h5"))
    # The statistics differ from their initial values, so the checkpoint has the trained ones.
    assert np.abs(backbone.get_layer("conv1_bn").moving_mean).max() > 0

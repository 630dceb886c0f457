"""TensorBoard's event files, read with TensorBoard's own reader."""

import csv

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from restem.run_record import EVENTS, read_history, write_history
from restem.trainer.checkpoint import Checkpoints
from restem.trainer.cost import forward_graph
from restem.trainer.events import Events, first_kernel
from tests.trainer.test_training import Killed, killed_at


def scalars(folder):
    """(tag, step) -> values, of all event files in a run's folder."""
    found = {}
    read = EventAccumulator(str(folder / EVENTS), size_guidance={"tensors": 0}).Reload()
    for tag in read.Tags()["tensors"]:
        for event in read.Tensors(tag):
            if not event.tensor_proto.string_val:  # a picture
                found.setdefault((tag, event.step), []).append(float(tf.make_ndarray(event.tensor_proto)))
    return found


def table(folder):
    """The same from history.csv."""
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        (f"{row['phase']}/{name}", int(row["epoch"])): [pytest.approx(float(value), rel=1e-6)]
        for row in rows
        for name, value in row.items()
        if value and name not in ("phase", "epoch")
    }


def test_an_interrupted_training_has_each_epoch_once_and_the_history_has_the_same(train, tmp_path, monkeypatch):
    checkpoints, run = str(tmp_path / "checkpoints"), tmp_path / "run"
    with monkeypatch.context() as patch:
        killed_at(patch, 20)  # within the phase "stem"
        with pytest.raises(Killed):
            train(Checkpoints(checkpoints, "key", 0), on_epoch=Events(str(run)).epoch)
    assert {tag.split("/")[0] for tag, _ in scalars(run)} == {"head"}  # there while it runs
    events = Events(str(run))
    done = train(Checkpoints(checkpoints, "key", 0), on_epoch=events.epoch)
    events.close()
    write_history(run, done.training.history)
    found = scalars(run)
    assert found == table(run)
    assert read_history(run) == done.training.history
    assert {tag.split("/")[1] for tag, _ in found if tag.startswith("stem/")} == {
        *("loss", "accuracy", "seconds", "images_per_second", "learning_rate"),
        *("val_images", "val_accuracy", "val_balanced_accuracy", "val_loss", "val_auc"),
    }
    assert {step for tag, step in found if tag == "head/loss"} == {1, 2, 3}


def test_the_kernels_are_a_picture_and_the_graph_is_there(network, tmp_path):
    events = Events(str(tmp_path))
    kernel = first_kernel(network)
    assert kernel.shape == (3, 3, 1, 4)
    events.graph(forward_graph(network.model))
    events.kernels(kernel, kernel + 1, ("grey",))
    events.close()
    read = EventAccumulator(str(tmp_path / EVENTS)).Reload()
    assert any("/conv1_conv" in node.name for node in read.Graph().node)
    width, height, png = tf.make_ndarray(read.Tensors(read.Tags()["tensors"][0])[0].tensor_proto)[:3]
    assert tf.io.decode_png(png).shape == (int(height), int(width), 3)
    np.testing.assert_array_equal(first_kernel(network), kernel)


def test_where_they_cannot_be_written_the_training_goes_on(tmp_path, train, caplog):
    (tmp_path / "run").write_text("a file in place of the folder")
    events = Events(str(tmp_path / "run"))
    assert train(head={"epochs": 1}, stem={"epochs": 0}, all={"epochs": 0}, on_epoch=events.epoch).training.history
    events.close()
    assert caplog.text.count("TensorBoard's event files cannot be written") == 1

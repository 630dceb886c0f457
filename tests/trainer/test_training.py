"""The loop of a training: what it keeps, when it ends, and that an interrupted one ends with the same weights."""

import itertools
import os
import signal
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from restem.errors import RestemError
from restem.images.graph.stored import encode_pixels
from restem.trainer import input as input_module
from restem.trainer import training as loop
from restem.trainer.checkpoint import Checkpoints
from restem.trainer.input import arrays_as_split
from restem.trainer.phases import predict
from restem.trainer.scores import score
from restem.trainer.scratch import Scratch
from tests.trainer.conftest import PHASES, tiny_network

VARIED = {
    "batch_size": 16,
    "augment": {
        "flip_horizontal": True,
        "noise": 0.05,
        "brightness": 0.1,
        "contrast": 0.1,
        "rotation": 10,
        "mixup": 0.4,
        "cutmix": 1.0,
    },
    "balance": "sampling",
    "head": {**PHASES["head"], "dropout": 0.2},
    "stem": {**PHASES["stem"], "schedule": "plateau"},
    "all": {**PHASES["all"], "weight_decay": 0.01, "lower_layers": 0.5},
    "keep": "best",
    "metric": "loss",
    "ema": 0.9,
}


UNDISTURBED: list = []


class Killed(BaseException):
    """Stands for SIGKILL: nothing may handle it."""


@pytest.fixture
def whole(train):
    """The training that is not killed; it runs once."""
    if not UNDISTURBED:
        UNDISTURBED.append(train(**VARIED))
    return UNDISTURBED[0]


def killed_at(patch, after):
    """Kills a training after so many steps."""
    steps = itertools.count()
    original = loop._Watch.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        if next(steps) == after:
            raise Killed
        original(self, batch, logs)

    patch.setattr(loop._Watch, "on_train_batch_end", on_train_batch_end)


def kill_and_continue(train, folder, monkeypatch, after, settings):
    """A training that is killed after so many steps, and goes on from its checkpoint."""
    with monkeypatch.context() as patch:
        killed_at(patch, after)
        with pytest.raises(Killed):
            train(Checkpoints(str(folder), "key", 0), **settings)
    keras.backend.clear_session()
    return train(Checkpoints(str(folder), "key", 0), **settings)


@pytest.mark.parametrize("after", [0, 7, 18, 25, 36, 41])
def test_a_training_that_is_killed_ends_with_the_weights_of_one_that_is_not(train, whole, tmp_path, monkeypatch, after):
    again = kill_and_continue(train, tmp_path, monkeypatch, after, VARIED)
    for ours, theirs in zip(again.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [(e.phase, e.epoch) for e in again.training.history] == [(e.phase, e.epoch) for e in whole.training.history]
    for ours, theirs in zip(again.training.history, whole.training.history, strict=True):
        assert (ours.loss, ours.accuracy, ours.validation) == (theirs.loss, theirs.accuracy, theirs.validation)
    assert again.training.best == whole.training.best


def test_images_in_other_files_give_the_same_weights(train, pictures, image, tmp_path, monkeypatch):
    """Of more images than are kept in memory: from one file, and, after a kill, from seven in another order."""
    monkeypatch.setattr(input_module, "CACHE_BYTES", 0)
    pixels, labels = pictures
    examples = [
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    "pixels": tf.train.Feature(
                        bytes_list=tf.train.BytesList(value=[encode_pixels(tf.constant(pixels[i]), image).numpy()])
                    ),
                    "label_index": tf.train.Feature(int64_list=tf.train.Int64List(value=[labels[i]])),
                    "path": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"%d.png" % i])),
                }
            )
        ).SerializeToString()
        for i in range(len(labels))
    ]

    def write(name, chosen):
        with tf.io.TFRecordWriter(str(tmp_path / name), "GZIP") as writer:
            for i in chosen:
                writer.write(examples[i])
        return str(tmp_path / name)

    def trained(files, checkpoints=None, **settings):
        with Scratch(tmp_path) as scratch:
            split = input_module.read_split(files, image, scratch=scratch)
            assert not split.in_memory
            return train(checkpoints, images=split, **settings)

    one = [write("one.gz", range(len(labels)))]
    other = np.random.default_rng(7).permutation(len(labels))
    seven = [write(f"part-{i}.gz", other[i::7]) for i in range(7)]
    whole = trained(one, **VARIED)
    again = kill_and_continue(partial(trained, seven), tmp_path / "checkpoints", monkeypatch, 25, VARIED)
    for ours, theirs in zip(again.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert {path.name for path in tmp_path.iterdir()} == {"one.gz", *(f"part-{i}.gz" for i in range(7)), "checkpoints"}


def test_a_training_does_not_go_on_in_another_order(tmp_path):
    checkpoints = Checkpoints(str(tmp_path), "key", 0)
    assert checkpoints.in_order(True) is checkpoints
    assert checkpoints.in_order(False).folder == f"{tmp_path}/key-files"
    nowhere = Checkpoints(None, "key", 0)
    assert nowhere.in_order(False).folder is None


def test_a_damaged_checkpoint_is_skipped_for_the_one_before(train, tmp_path, caplog):
    whole = train()
    train(Checkpoints(str(tmp_path), "key", 0))
    newest = sorted((tmp_path / "key").glob("checkpoint-*"))
    assert len(newest) == 2
    newest[-1].write_bytes(newest[-1].read_bytes()[:-1000])
    again = train(Checkpoints(str(tmp_path), "key", 0))
    assert "cannot be read" in caplog.text
    for ours, theirs in zip(again.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_full_disk_keeps_the_checkpoint_before_and_the_training_goes_on(train, tmp_path, monkeypatch, caplog):
    whole = train()
    write, files = Checkpoints._write, itertools.count()

    def full(self, name, arrays):
        if next(files) == 3:
            raise OSError(28, "No space left on device")
        write(self, name, arrays)

    monkeypatch.setattr(Checkpoints, "_write", full)
    done = train(Checkpoints(str(tmp_path), "key", 0))
    assert "could not be written" in caplog.text
    assert "No space left" in caplog.text
    for ours, theirs in zip(done.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_no_checkpoint_is_written_before_its_time(train, tmp_path):
    train(Checkpoints(str(tmp_path), "key", 3600))
    # The ends of the three phases, of which two are kept.
    assert [path.name for path in sorted((tmp_path / "key").iterdir())] == [
        "checkpoint-00000002.npz",
        "checkpoint-00000003.npz",
    ]


def test_sigterm_ends_the_training_after_a_checkpoint(train, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    original, steps = loop._Watch.on_train_batch_end, itertools.count()

    def asked_at(self, batch, logs=None):
        if next(steps) == 20:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Watch, "on_train_batch_end", asked_at)
        with pytest.raises(SystemExit) as ended:
            train(Checkpoints(str(tmp_path), "key", 3600))
    assert ended.value.code == 143
    assert "SIGTERM" in caplog.text
    position = Checkpoints(str(tmp_path), "key", 0).load().position
    assert (position.phase, position.epoch, position.step) == ("stem", 0, 3)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_best_epoch_is_kept(train, pictures):
    """A rate that destroys the network in its last phase: the best epoch is one before it."""
    wild = {"all": {"epochs": 3, "learning_rate": 0.5, "schedule": "constant", "warm_up": 0}, "optimizer": "lion"}
    last, best = train(**wild), train(**wild, keep="best", metric="loss")
    losses = [epoch.validation.loss for epoch in best.training.history]
    assert best.training.best.value == pytest.approx(-min(losses))
    kept = score(pictures[1][:30], predict(best.network.model, best.val, 16))
    assert kept.loss == pytest.approx(min(losses), rel=1e-4)
    assert score(pictures[1][:30], predict(last.network.model, last.val, 16)).loss > kept.loss


def test_patience_ends_a_phase_early(train):
    settings = {"head": {"epochs": 40, "learning_rate": 0.05}, "stem": {"epochs": 0}, "all": {"epochs": 0}}
    history = train(**settings, patience=2).training.history
    assert len(history) < 40
    accuracies = [epoch.validation.accuracy for epoch in history]
    assert len(accuracies) - 1 - int(np.argmax(accuracies)) == 2


def test_plateau_lowers_the_rate(train):
    phase = {"epochs": 12, "learning_rate": 0.05, "schedule": "plateau"}
    history = train(head=phase, stem={"epochs": 0}, all={"epochs": 0}).training.history
    rates = [epoch.learning_rate for epoch in history]
    assert rates[0] == pytest.approx(0.05)
    assert min(rates) == pytest.approx(0.05 * 0.3 ** len(set(rates[1:])), rel=0.1) or min(rates) < 0.02


def test_a_loss_that_is_not_finite_stops_with_phase_step_rate_and_files(train):
    with pytest.raises(RestemError) as stopped:
        train(
            all={"epochs": 2, "learning_rate": 1.0, "schedule": "constant", "warm_up": 0},
            optimizer="sgd",
            optimizer_options={"momentum": 0.99},
            head={"epochs": 0},
            make=broken_network,
        )
    message = str(stopped.value)
    assert "phase stem, epoch 1, step 1" in message
    assert "class/" in message
    assert "train.stem.learning_rate" in message


def broken_network():
    """A network whose logits are infinite."""
    network = tiny_network()
    network.head.set_weights([w * np.inf for w in network.head.get_weights()])
    return network


def test_a_phase_that_learns_nothing_is_warned_of(train, caplog):
    train(head={"epochs": 3, "learning_rate": 1e-9}, stem={"epochs": 0}, all={"epochs": 0})
    assert "head: the loss did not fall" in caplog.text


def test_rare_classes_are_found_with_balance(train, pictures):
    """Of three classes one has 4 images of 64."""
    pixels, labels = pictures
    chosen = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1), np.flatnonzero(labels == 2)[:4]])
    images = arrays_as_split(pixels[chosen], labels[chosen], np.full(len(chosen), "x"))
    one = {"head": {"epochs": 1, "learning_rate": 0.02}, "stem": {"epochs": 0}, "all": {"epochs": 0}}

    def loss_of_the_rare(how):
        done = train(balance=how, images=images, **one)
        return -np.log(predict(done.network.model, done.val, 16)[labels[:30] == 2, 2]).mean()

    none = loss_of_the_rare("none")
    assert loss_of_the_rare("weights") < none
    assert loss_of_the_rare("sampling") < none

"""Too little memory: told apart from a full disk with the errors that TensorFlow really raises."""

import errno
import functools
import os
from pathlib import Path

import pytest
import tensorflow as tf

from restem.errors import RestemError
from restem.exhausted import filled_the_disk, ran_out_of_memory
from restem.pipeline.errors import explain_failure
from restem.trainer.memory import memory_errors_explained


@functools.cache
def out_of_memory():
    """TensorFlow's own error; only one, because its allocator waits ten seconds for memory before it gives up."""
    return raised_by(lambda: tf.zeros([10**14]))


def too_large():
    raise out_of_memory()


def full_disk():
    # Writing to this device of Linux fails as on a full disk.
    with tf.io.gfile.GFile("/dev/full", "wb") as file:
        file.write(b"x" * 100_000)


def raised_by(action):
    try:
        action()
    except Exception as error:
        return error
    pytest.fail("it did not raise")


def test_memory_and_disk_are_told_apart_though_tensorflow_raises_the_same_class():
    if not Path("/dev/full").exists():
        pytest.skip("only Linux has /dev/full")
    memory, disk = raised_by(too_large), raised_by(full_disk)
    assert isinstance(memory, tf.errors.ResourceExhaustedError)
    assert isinstance(disk, tf.errors.ResourceExhaustedError)
    assert (ran_out_of_memory(memory), filled_the_disk(memory)) == (True, False)
    assert (ran_out_of_memory(disk), filled_the_disk(disk)) == (False, True)
    assert "too little memory" in explain_failure(memory)[0]
    assert "The disk of /dev is full" in explain_failure(disk)[0]


@pytest.mark.parametrize(
    ("error", "memory", "disk"),
    [
        (
            tf.errors.ResourceExhaustedError(None, None, "Out of memory while trying to allocate 7516192768 bytes."),
            1,
            0,
        ),
        (tf.errors.InternalError(None, None, "Failed to call cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY"), 1, 0),
        (tf.errors.InternalError(None, None, "cuDNN launch failure"), 0, 0),
        (tf.errors.ResourceExhaustedError(None, None, "/x/y; Too many open files"), 0, 0),
        (tf.errors.ResourceExhaustedError(None, None, f"/x; {os.strerror(errno.EDQUOT)}"), 0, 1),
        (MemoryError(), 1, 0),
        (OSError(errno.ENOSPC, "No space left on device"), 0, 1),
        (ValueError("out of memory"), 0, 0),
    ],
)
def test_other_errors(error, memory, disk):
    assert (ran_out_of_memory(error), filled_the_disk(error)) == (bool(memory), bool(disk))


@pytest.mark.parametrize(("batch", "proposed"), [(4096, 2048), (100, 64), (65, 64), (64, 32), (3, 2), (2, 1)])
def test_the_next_smaller_power_of_two_is_proposed(batch, proposed):
    with pytest.raises(RestemError) as stopped, memory_errors_explained("all", batch, (224, 200, 3)):
        too_large()
    message, fixable = explain_failure(stopped.value)
    assert fixable
    assert message.startswith("phase all: there is too little memory for a training step.")
    assert f"a batch size of {batch} with images of 224 x 200 pixels" in message
    assert f"Try train.batch_size: {proposed};" in message


def test_where_one_image_is_too_much_the_images_are_too_large():
    expected = pytest.raises(RestemError, match=r"A smaller image\.size needs less")
    with expected as stopped, memory_errors_explained("stem", 1, (512, 512, 4)):
        too_large()
    assert "train.batch_size" not in str(stopped.value)


def test_a_training_step_that_does_not_fit_is_explained(train, monkeypatch):
    from restem.trainer import training

    monkeypatch.setattr(training._Watch, "on_train_batch_end", lambda *_, **__: too_large())
    with pytest.raises(RestemError, match=r"^phase head: there is too little memory.* 16 with images of 8 x 8 pixels"):
        train()


def test_other_errors_of_a_training_pass_unchanged(train, monkeypatch):
    from restem.trainer import training

    monkeypatch.setattr(training._Watch, "on_train_batch_end", lambda *_, **__: full_disk())
    with pytest.raises(tf.errors.ResourceExhaustedError, match="No space left"):
        train()

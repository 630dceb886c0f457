"""Several devices and several workers train as one does, and go on after one of them was killed."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from restem.errors import RestemError
from restem.trainer.agreement import _dumps, _loads
from restem.trainer.checkpoint import Best, Position, Saved
from restem.trainer.distribution import Distribution
from restem.trainer.variables import named_workers
from tests.trainer.conftest import weighted_split

RATE, MOMENTUM, CLIP, BATCH = 0.001, 0.9, 1.0, 16
SETTINGS = {
    "batch_size": BATCH,
    "optimizer": "sgd",
    "clip_norm": CLIP,
    "label_smoothing": 0.1,
    "augment": {"flip_horizontal": True, "noise": 0.05, "brightness": 0.1, "mixup": 0.4, "cutmix": 1.0},
    "ema": 0.9,
    "head": {"epochs": 1, "learning_rate": 0.001},
    "stem": {"epochs": 1, "learning_rate": RATE, "schedule": "constant"},
    "all": {"epochs": 2, "learning_rate": RATE, "schedule": "constant", "lower_layers": 0.5, "weight_decay": 0.01},
}
STEPS = 3 * 6  # of the phases that are distributed
# The same sums are rounded in another order. A gradient sums up to BATCH x 8 x 8 products, and a sum of n numbers in
# float32 (u = 2^-24) has a relative error of at most 8 sqrt(n) u, except with a probability of about 1e-13 (Higham and
# Mary 2019, SIAM J. Sci. Comput. 41(5), with lambda = 8). The clipped gradient's norm is at most CLIP, and with the
# momentum m a change of one gradient moves the weights by rate / (1 - m) times that in the end. So after all steps:
TOLERANCE = STEPS * RATE / (1 - MOMENTUM) * CLIP * 8 * (BATCH * 8 * 8) ** 0.5 * 2**-24
# With Adam there is no such bound: it divides a gradient by its own size, so a rounding error in a gradient that is
# zero (that of a bias before a BatchNormalization) becomes a whole step. The loss in training does not depend on such
# weights.
ADAM = {**SETTINGS, "optimizer": "adam"}
SMALL_LAST_BATCH = {**SETTINGS, "batch_size": 44}  # 90 images: the last batch has 2, for 3 devices


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """What the processes ended with, in one call, because its imports take longer than the training."""
    folder = tmp_path_factory.mktemp("workers")

    def worker(name, settings=SETTINGS, **more):
        return {"settings": settings, "out": str(folder / f"{name}.npz"), **more}

    kept = {"checkpoints": str(folder / "checkpoints")}
    groups = [
        [worker("three_devices", SMALL_LAST_BATCH, devices=3)],
        [worker("adam", ADAM, devices=2)],
        [worker("bfloat16", {**ADAM, "precision": "mixed_bfloat16"}, devices=2)],
        [worker("pair_0", trainings=2), worker("pair_1", trainings=2)],
        # Killed in its ninth step, the third of the phase "all".
        [worker("killed_0", **kept), worker("killed_1", kill_after=9)],
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.trainer.worker", json.dumps(groups)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    codes = json.loads(done.stdout.splitlines()[-1])
    results = {}
    for file in folder.glob("*.npz"):
        with np.load(file) as arrays:
            results[file.stem] = {name: arrays[name] for name in arrays.files}
    return SimpleNamespace(codes=codes, results=results, log=done.stderr)


@pytest.fixture
def one(train, pictures):
    """The same training on one device: its weights, and each epoch's loss, accuracy and validation loss."""

    def one(settings):
        done = train(images=weighted_split(*pictures), **settings)
        history = [[epoch.loss, epoch.accuracy, epoch.validation.loss] for epoch in done.training.history]
        return done.weights, np.array(history)

    return one


def weights_of(result):
    return [result[f"arr_{i}"] for i in range(len(result) - 1)]


@pytest.mark.parametrize(
    ("name", "settings"),
    [("three_devices", SMALL_LAST_BATCH), ("pair_0", SETTINGS), ("pair_1", SETTINGS)],
)
def test_several_train_like_one(workers, one, name, settings):
    weights, history = one(settings)
    result = workers.results[name]
    for ours, theirs in zip(weights_of(result), weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE * max(1.0, np.abs(theirs).max()))
    np.testing.assert_allclose(result["history"], history, rtol=1e-4)


def test_adam_trains_like_one(workers, one):
    _, history = one(ADAM)
    np.testing.assert_allclose(workers.results["adam"]["history"][:, :2], history[:, :2], rtol=1e-4)


def test_several_train_in_16_bits(workers, one):
    _, history = one(ADAM)
    found = workers.results["bfloat16"]["history"]
    # bfloat16 has 8 significant bits.
    np.testing.assert_allclose(found[:, 0], history[:, 0], rtol=0.05)
    assert (found[2:, 0] != history[2:, 0]).all()


def test_a_killed_worker_that_is_started_again_finishes_with_the_same_weights(workers):
    """The worker that was not killed stops with the code for a restart, and both go on from the chief's checkpoint."""
    ended = workers.codes[-1]
    assert ended[0] == [1, -9]
    assert [0, 138] in ended or [0, -6] in ended, "it noticed"
    assert sorted(ended[-2:]) == [[0, 0], [1, 0]]
    for name in ("killed_0", "killed_1"):
        for key, value in workers.results["pair_0"].items():
            np.testing.assert_array_equal(workers.results[name][key], value)


def test_what_the_chief_sends_arrives_whole():
    saved = Saved(
        Position("all", 1, 2, 3.5, history=(), best=Best("all", 1, -0.5)),
        [np.float32([[1, np.nan]]), np.int64(7), np.uint32([2**32 - 1])],
        [np.zeros((0, 3), np.float32)],
    )
    again = _loads(_dumps(saved))
    assert again.position == saved.position
    for ours, theirs in zip([*again.values, *again.best], [*saved.values, *saved.best], strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype
    assert _loads(_dumps(None)) is None
    assert _loads(_dumps(Saved(Position("head"), [], None))).best is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", (1, 0)),
        ('{"cluster": {}, "task": {"type": "worker", "index": 0}}', (1, 0)),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": "1"}}', (2, 1)),
    ],
)
def test_the_workers_are_read_from_the_environment(text, found):
    assert named_workers(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "evaluator", "index": 0}}',
    ],
)
def test_an_unusable_tf_config_is_refused(text):
    with pytest.raises(RestemError, match="TF_CONFIG"):
        named_workers(text)


def test_more_devices_than_images_are_refused_and_what_trains_is_logged(caplog):
    caplog.set_level(logging.INFO)
    four = Distribution(SimpleNamespace(num_replicas_in_sync=4), workers=2)
    with pytest.raises(RestemError, match=r"at least 4: 2 workers x 2 devices"):
        four.check(3)
    four.check(32)
    assert "training on 2 workers with 2 devices each; a step's 32 images are split into 4 parts" in caplog.text

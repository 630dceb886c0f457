"""Files: plain Keras reads a modified network, and the file contains its specification and report."""

import copy
import json
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest

from restem.stem import StemError, StemSpec, describe, modify_stem, save_network

from .networks import network, run

PLAIN = """
import sys, keras, numpy as np
folder = sys.argv[1]
x = np.load(folder + "/x.npy")
model = keras.saving.load_model(folder + "/net.keras")
np.save(folder + "/plain.npy", keras.ops.convert_to_numpy(model(x)))
whole = keras.saving.load_model(folder + "/whole.keras")
np.save(folder + "/plain_whole.npy", keras.ops.convert_to_numpy(whole(x)))
apart = keras.models.model_from_json(open(folder + "/net.json").read())
apart.load_weights(folder + "/net.weights.h5")
np.save(folder + "/plain_apart.npy", keras.ops.convert_to_numpy(apart(x)))
assert not any(name.startswith("restem") for name in sys.modules)
"""


@pytest.fixture(scope="module")
def result():
    spec = StemSpec(bands=("grey", "depth"), kernel=5, filters=96, batch_norm=True)
    return modify_stem(network(False), spec)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).uniform(0, 255, (2, 40, 33, 2)).astype("float32")


def test_plain_keras_reads_it_bit_for_bit(result, x, tmp_path):
    """In a process with Keras but without this library."""
    inputs = keras.Input((None, None, 2))
    whole = keras.Model(inputs, keras.layers.Dense(3)(result.model(inputs)))
    np.save(tmp_path / "x.npy", x)
    save_network(result.model, tmp_path / "net.keras")
    save_network(result.model, tmp_path / "net.weights.h5")
    whole.save(tmp_path / "whole.keras")
    subprocess.run([sys.executable, "-c", PLAIN, str(tmp_path)], cwd=tmp_path, check=True, timeout=300)
    assert np.array_equal(np.load(tmp_path / "plain.npy"), run(result.model, x))
    assert np.array_equal(np.load(tmp_path / "plain_apart.npy"), run(result.model, x))
    assert np.array_equal(np.load(tmp_path / "plain_whole.npy"), run(whole, x))


def test_a_file_keeps_specification_and_report(result, x, tmp_path):
    result.model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    assert np.array_equal(run(again, x), run(result.model, x))
    for known in (describe(again), describe(tmp_path / "net.keras")):
        assert StemSpec.from_dict(known["spec"]) == StemSpec.from_dict(result.report.spec)
        assert known["report"] == result.report.to_dict()
    again.save(tmp_path / "second.keras")
    assert describe(tmp_path / "second.keras") == describe(result.model)


def test_inside_another_network(result, x, tmp_path):
    inputs = keras.Input((40, 33, 2))
    whole = keras.Model(inputs, keras.layers.Dense(3)(result.model(inputs)))
    whole.save(tmp_path / "whole.keras")
    again = keras.saving.load_model(tmp_path / "whole.keras")
    assert np.array_equal(run(again, x), run(whole, x))
    assert describe(again) == describe(result.model)
    assert describe(network(False)) is None


def test_pickle_and_copies(result, x):
    for again in (pickle.loads(pickle.dumps(result.model)), copy.deepcopy(result.model)):
        assert np.array_equal(run(again, x), run(result.model, x))
        assert describe(again) == describe(result.model)


def test_json_configuration_contains_the_report(result):
    assert json.loads(result.model.to_json())["config"]["restem"]["report"]["claim"] == "approximate"


def test_only_file_endings_that_keras_reads(result, tmp_path):
    with pytest.raises(StemError, match=r"\.weights\.h5"):
        save_network(result.model, tmp_path / "net.pb")


def test_saved_model_through_a_tf_function(result, x, tmp_path):
    tf = pytest.importorskip("tensorflow")
    if keras.config.backend() != "tensorflow":
        pytest.skip("SavedModel needs TensorFlow")

    class Served(tf.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        @tf.function(input_signature=[tf.TensorSpec([None, 40, 33, 2], tf.float32)])
        def serve(self, images):
            return self.model(images, training=False)

    served = Served(result.model)
    tf.saved_model.save(served, str(tmp_path), signatures=served.serve)
    again = tf.saved_model.load(str(tmp_path))
    # A traced graph is fused differently from eager operations, so the results are equal up to rounding.
    assert np.allclose(again.serve(x).numpy(), run(result.model, x), rtol=1e-4, atol=1e-5)

"""`restem export --to torch`: what Keras's exporter writes with the backend torch answers as the network."""

import io
import sys

import keras
import numpy as np

import components
import components.stem.saved  # noqa: F401 - as restem.stem.saved
from components.convert.to_torch import answer, receive, send, write
from components.stem import StemSpec, load_backbone, modify_stem


def test_the_program_answers_as_the_network_for_any_number_of_images(tmp_path, monkeypatch):
    for name in ("", ".stem", ".stem.saved"):
        monkeypatch.setitem(sys.modules, f"restem{name}", sys.modules[f"components{name}"])
    backbone = load_backbone("ResNet18", "none")
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(layer.moving_variance * 1.5)
    modified = modify_stem(backbone, StemSpec(channels=2, small_images=True), source="torch").model
    inputs = keras.Input((33, 40, 2), name="pixels")
    network = keras.Model(inputs, keras.layers.Softmax()(keras.layers.Dense(3)(modified(inputs))))
    network.save(tmp_path / "model.keras")
    write(str(tmp_path / "model.keras"), str(tmp_path / "model.pt2"))
    batches = [np.random.default_rng(n).uniform(0, 255, (n, 33, 40, 2)).astype(np.float32) for n in (1, 3)]
    asked, answers = io.BytesIO(), io.BytesIO()
    for pixels in batches:
        send(pixels, asked)
    asked.seek(0)
    answer(str(tmp_path / "model.pt2"), asked, answers)
    answers.seek(0)
    for pixels in batches:
        expected = keras.ops.convert_to_numpy(network(pixels, training=False))
        np.testing.assert_allclose(receive(answers), expected, atol=1e-5)
    assert receive(answers) is None

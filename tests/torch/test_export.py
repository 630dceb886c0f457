"""`restem export --to torch`: what Keras's exporter writes with the backend torch answers as the network."""

import subprocess
import sys

import keras
import numpy as np
import torch

import components
import components.stem.saved  # noqa: F401 - as restem.stem.saved
from components.convert import torch_answers
from components.convert.to_torch import main
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
    answer = keras.layers.Softmax()(keras.layers.Dense(3)(modified(inputs)))
    network = keras.Model(inputs, answer)
    network.save(tmp_path / "model.keras")
    main(str(tmp_path / "model.keras"), str(tmp_path / "model.pt2"))
    command = [sys.executable, torch_answers.__file__, str(tmp_path / "model.pt2")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    program = torch.export.load(tmp_path / "model.pt2").module()
    for count in (1, 3):
        pixels = np.random.default_rng(count).uniform(0, 255, (count, 33, 40, 2)).astype(np.float32)
        with torch.no_grad():
            found = program(torch.from_numpy(pixels)).numpy()
        expected = keras.ops.convert_to_numpy(network(pixels, training=False))
        np.testing.assert_allclose(found, expected, atol=1e-5)
        torch_answers.send(process.stdin, pixels)
        np.testing.assert_allclose(torch_answers.receive(process.stdout), found, atol=1e-6)
    process.communicate()
    assert process.returncode == 0

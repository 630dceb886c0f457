"""A pushed model of a small ResNet in each format, judged on images in a folder."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from restem.convert.convert import convert
from restem.convert.formats import check_installed
from restem.convert.network import read_pushed
from restem.errors import RestemError
from restem.example_gen.config import DataConfig
from restem.images import encode_for_serving
from restem.images.config import ImageConfig
from restem.trainer import network as network_module
from restem.trainer.export import export
from restem.trainer.model_config import ModelConfig, StemConfig
from tests.stem import networks
from tests.tiny_model import record

CLASSES = ["dark", "light"]
IMAGE, STEM = ImageConfig(size=16, channels=1), StemConfig(small_images=True)
TEMPERATURE = 2.0


@pytest.fixture(scope="module", autouse=True)
def small_backbones():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_module, "load_backbone", lambda name, weights: networks.network(False, seed=1))
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Folders of grey images: 12 for training and 8 for testing of each class, and one that is no image."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 8)):
        for place, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(100 * place, 100 * place + 150, (20, 18), np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.tif")  # TensorFlow does not decode it
    (folder / "test" / "dark" / "broken.tif").write_bytes(b"II*\0")
    return folder


@pytest.fixture(scope="module")
def pushed(images, small_backbones, tmp_path_factory):
    """A pushed model's folder."""
    network = network_module.build_network(
        "candidate",
        IMAGE,
        ModelConfig(weights="none"),
        STEM,
        weights="none",
        classes=2,
        statistics=None,
        sample=np.zeros((2, 16, 16, 1), np.uint8),
    )
    sections = {
        "image": IMAGE.model_dump(mode="json"),
        "stem": STEM.model_dump(mode="json"),
        "model": {"source": "auto"},
        "data": DataConfig(path=str(images)).model_dump(mode="json"),
    }
    folder = tmp_path_factory.mktemp("serving") / "7"
    about = replace(record(IMAGE), config=sections, temperature=TEMPERATURE)
    export(network.model, IMAGE, CLASSES, str(folder), about, {"claim": "exact"})
    return folder


def served(folder, files):
    model = tf.saved_model.load(str(folder)).signatures["serving_default"]
    answer = model(image_bytes=tf.constant([encode_for_serving(file) for file in files]))
    return answer["probabilities"].numpy()


# PyTorch is in no set-up of this project; tests/torch has its exporter alone.
WITH_TORCH = [("torch", 1e-4)] if importlib.util.find_spec("torch") else []


@pytest.mark.parametrize(("kind", "limit"), [("keras", 1e-6), ("onnx", 1e-4), ("tflite", 1e-4), *WITH_TORCH])
def test_a_converted_model_answers_as_the_pushed_one(pushed, tmp_path, kind, limit):
    found = convert(str(pushed), kind, str(tmp_path / f"model.{kind}"))
    assert found.images == 16
    assert found.largest_difference <= limit
    assert found.other_answers == 0
    assert found.accuracy == found.accuracy_before
    low, high = found.difference[1:]
    assert low < found.difference[0] == 0 < high
    assert found.size == (tmp_path / f"model.{kind}").stat().st_size


def test_8_bits_are_smaller_and_the_difference_is_said(pushed, images, tmp_path):
    found = convert(str(pushed), "tflite", str(tmp_path / "small.tflite"), int8=True)
    assert found.format == "tflite, 8 bits"
    assert found.size < found.size_before / 2
    interpreter = tf.lite.Interpreter(str(tmp_path / "small.tflite"))
    assert any(tensor["dtype"] is np.int8 for tensor in interpreter.get_tensor_details())
    assert 0 < found.largest_difference < 0.5


def test_the_network_takes_pixels_and_has_the_temperature(pushed, images):
    model = read_pushed(str(pushed)).model
    files = sorted((images / "test" / "light").iterdir())
    pixels = np.stack([np.asarray(Image.open(file).resize((16, 16)), np.float32) for file in files])[..., None]
    assert model.input_shape == (None, 16, 16, 1)
    assert model(pixels).shape == served(pushed, files).shape
    assert model.get_layer("temperature").scale == pytest.approx(1 / TEMPERATURE)


def test_other_images_are_refused(pushed, images, tmp_path):
    other = tmp_path / "other"
    for split in ("train", "test"):
        for name in ("dark", "cloudy"):
            (other / split / name).mkdir(parents=True)
            (other / split / name / "0.tif").write_bytes((images / "test" / "dark" / "0.tif").read_bytes())
    with pytest.raises(RestemError, match=r"other classes than the model.*cloudy"):
        convert(str(pushed), "keras", str(tmp_path / "m.keras"), images=str(other))
    assert not (tmp_path / "m.keras").exists()


def test_what_is_no_pushed_model_is_refused(tmp_path):
    with pytest.raises(RestemError, match="this model cannot be converted"):
        read_pushed(str(tmp_path))


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RestemError, match=r"onnx, onnxruntime, tf2onnx are missing.*restem\[export\]"):
        check_installed("onnx")
    with pytest.raises(RestemError, match=r"--to torch: .*torch is missing.*pip install torch"):
        check_installed("torch")
    check_installed("tflite")

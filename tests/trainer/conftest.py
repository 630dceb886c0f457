"""A tiny network instead of a ResNet, and images that it can classify."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from restem.images.config import ImageConfig
from restem.run_record import EXTRA, read_evaluation, read_model
from restem.trainer import module
from restem.trainer.checkpoint import Checkpoints
from restem.trainer.config import TrainConfig
from restem.trainer.input import Split, arrays_as_split
from restem.trainer.model_config import ModelConfig, StemConfig
from restem.trainer.module import train_phases
from restem.trainer.network import Network
from restem.trainer.variables import CHECKPOINT_FOLDER, CHECKPOINT_SECONDS

CLASSES = ["dark", "light", "striped"]
PHASES = {
    "head": {"epochs": 3, "learning_rate": 0.03},
    "stem": {"epochs": 2, "learning_rate": 1e-3},
    "all": {"epochs": 2, "learning_rate": 1e-3},
}


@pytest.fixture(scope="session")
def image() -> ImageConfig:
    return ImageConfig(size=8, channels=1)


def make_pictures() -> tuple[np.ndarray, np.ndarray]:
    """90 grey images, uint8 [90, 8, 8, 1], and labels int64 [90]: dark, light, and striped ones."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    pixels = rng.integers(0, 60, (90, 8, 8, 1))
    pixels[labels == 1] += 190
    pixels[labels == 2, ::2] += 190
    return pixels.astype(np.uint8), labels


@pytest.fixture(scope="session")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    return make_pictures()


@pytest.fixture
def split(pictures) -> Split:
    pixels, labels = pictures
    return arrays_as_split(pixels, labels, np.array([f"class/{i}.png" for i in range(len(labels))]))


def weighted_split(pixels: np.ndarray, labels: np.ndarray) -> Split:
    """Images that count differently."""
    weights = np.linspace(0.5, 1.5, len(labels)).astype(np.float32)
    return arrays_as_split(pixels, labels, np.full(len(labels), "x"), weights)


def tiny_network() -> Network:
    """A network of a few filters; the same seed makes the same one."""
    pixels = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Conv2D(4, 3, name="conv1_conv")(x)
    x = keras.layers.BatchNormalization(name="conv1_bn")(x)
    x = keras.layers.Conv2D(6, 3, activation="relu", name="body_conv")(x)
    x = keras.layers.BatchNormalization(name="body_bn")(x)
    features = keras.layers.GlobalAveragePooling2D()(x)
    head = keras.layers.Dense(len(CLASSES), name="head")
    report = SimpleNamespace(to_text=lambda: "text", to_dict=dict, input={"bands": ["grey"]})
    return Network(
        keras.Model(pixels, head(features)), keras.Model(pixels, features), head, ("conv1_conv", "conv1_bn"), report
    )


@pytest.fixture
def network() -> Network:
    keras.utils.set_random_seed(0)
    return tiny_network()


@pytest.fixture
def val(pictures):
    pixels, labels = pictures
    return arrays_as_split(pixels[:30], labels[:30], np.array([f"val/{i}.png" for i in range(30)]))


@pytest.fixture
def train(split, val):
    """train(**settings): a network trained with these settings, and its Training."""

    def train(
        checkpoints=None, validation=val, images=split, make=tiny_network, on_epoch=lambda epoch: None, **settings
    ):
        keras.utils.set_random_seed(0)
        network = make()
        config = TrainConfig.model_validate({"batch_size": 16, **PHASES, **settings})
        training = train_phases(
            network,
            images,
            validation,
            config,
            checkpoints or Checkpoints(None, "", 0),
            white=255.0,
            pretrained=False,
            on_epoch=on_epoch,
        )
        return SimpleNamespace(network=network, training=training, weights=network.model.get_weights(), val=validation)

    return train


SETTINGS = {"head": {"epochs": 0}, "all": {"epochs": 2, "learning_rate": 0.01}, "batch_size": 32}


@pytest.fixture
def run_fn(tmp_path, monkeypatch, split, val, image):
    """run_fn(name, val=..., custom=..., **train): calls TFX's run_fn for a tiny network and the images of `split`.

    Returns its record, its evaluation and the model's folder. `run_fn.forget()` removes the checkpoints.
    """
    checkpoints = tmp_path / "checkpoints"
    monkeypatch.setenv(CHECKPOINT_FOLDER, str(checkpoints))
    monkeypatch.setenv(CHECKPOINT_SECONDS, "0")
    parts = {"train": split, "test": val}
    monkeypatch.setattr(module, "read_split", lambda files, *_, **__: parts[files[0].rpartition("-")[2].split("/")[0]])
    monkeypatch.setattr(module, "read_classes", lambda path: CLASSES)
    monkeypatch.setattr(module, "has_weights", lambda path: False)
    monkeypatch.setattr(module, "write_stem", lambda *_: None)
    monkeypatch.setattr(module, "build_network", lambda *_, **__: tiny_network())

    def run(name, *, val=None, custom=None, **train):
        parts["val"] = val or SimpleNamespace(count=0)
        folder = tmp_path / name
        (folder / "run").mkdir(parents=True, exist_ok=True)
        sections = {
            "image": image.model_dump(mode="json"),
            "model": ModelConfig(weights="none").model_dump(mode="json"),
            "stem": StemConfig().model_dump(mode="json"),
            "train": TrainConfig.model_validate({**SETTINGS, **train}).model_dump(mode="json"),
        }
        module.run_fn(
            SimpleNamespace(
                custom_config={"role": "candidate", **sections, "config": {}, **(custom or {})},
                train_files=[f"{tmp_path}/Split-train/*"],
                eval_files=[f"{tmp_path}/Split-test/*"],
                schema_path="",
                base_model=None,
                hyperparameters=None,
                model_run_dir=str(folder / "run"),
                serving_model_dir=str(folder / "model"),
            )
        )
        record = read_model(folder / "run")
        assert read_model(folder / "model" / EXTRA) == record
        return SimpleNamespace(record=record, evaluation=read_evaluation(folder / "run"), model=str(folder / "model"))

    run.forget = lambda: tf.io.gfile.rmtree(str(checkpoints))
    return run

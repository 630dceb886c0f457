"""KerasHub's ResNets against what is read from the folders of their presets: `make test-hub`.

It needs KerasHub and TensorFlow, but not TFX, so it runs in an environment of its own. Folders that are damaged or of
other networks: tests/stem/test_hub.py.
"""

import keras
import keras_hub
import numpy as np
import pytest

from components.stem import StemSpec, load_backbone, modify_stem

ONE = {"input_conv_filters": [64], "input_conv_kernel_sizes": [7]}
DEEP = {"input_conv_filters": [32, 32, 64], "input_conv_kernel_sizes": [3, 3, 3]}
BASIC, BOTTLENECK = "basic_block", "bottleneck_block"
SMALL, MIDDLE = [2, 2, 2, 2], [3, 4, 6, 3]
CASES = {
    "ResNet18": ("ResNet18", ONE, SMALL, BASIC, False),
    "ResNet34": ("ResNet34", ONE, MIDDLE, BASIC, False),
    "ResNet50 v1.5": ("ResNet50", ONE, MIDDLE, BOTTLENECK, False),
    "ResNet101 v1.5": ("ResNet101", ONE, [3, 4, 23, 3], BOTTLENECK, False),
    "ResNet50 V2": ("ResNet50V2", ONE, MIDDLE, BOTTLENECK, True),
    "ResNet18 vd": ("ResNet18", DEEP, SMALL, f"{BASIC}_vd", False),
    "ResNet50 vd": ("ResNet50", DEEP, MIDDLE, f"{BOTTLENECK}_vd", False),
}
SIZES = ((64, 64), (63, 97), (33, 50))


def preset(case, folder, channels=3):
    """A network with random BatchNormalization statistics, which hide no error, and the folder of its preset."""
    _, stem, blocks, block, preact = CASES[case]
    network = keras_hub.models.ResNetBackbone(
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_strides=[1, 2, 2, 2],
        stackwise_num_blocks=blocks,
        block_type=block,
        use_pre_activation=preact,
        image_shape=(None, None, channels),
        **stem,
    )
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape[0]
            between, around = rng.uniform(0.5, 1.5, (2, size)), rng.normal(0, 0.3, (2, size))
            layer.set_weights([between[0], around[0], around[1], between[1]])
    network.save_to_preset(folder)
    return network


def difference(old, new):
    return float(np.abs(old - new).max() / np.abs(old).max())


@pytest.mark.parametrize("case", CASES)
def test_the_features_are_the_same(case, tmp_path):
    network = preset(case, tmp_path)
    read = load_backbone(CASES[case][0], tmp_path)
    for size in SIZES:
        pixels = np.random.default_rng(1).normal(0, 1, (2, *size, 3)).astype(np.float32)
        expected = np.asarray(network(pixels, training=False)).mean(axis=(1, 2))
        assert difference(expected, np.asarray(read(pixels, training=False))) <= 1e-5, size


def test_five_channels_and_a_new_stem(tmp_path):
    network = preset("ResNet18", tmp_path, channels=5)
    read = load_backbone("ResNet18", tmp_path)
    pixels = np.random.default_rng(1).normal(0, 1, (2, 63, 97, 5)).astype(np.float32)
    expected = np.asarray(network(pixels, training=False)).mean(axis=(1, 2))
    assert difference(expected, np.asarray(read(pixels, training=False))) <= 1e-5


def test_the_image_converter_of_a_task_is_the_preprocessing(tmp_path):
    network = preset("ResNet18", tmp_path / "backbone")
    converter = keras_hub.layers.ResNetImageConverter(
        image_size=(64, 64), scale=[0.017, 0.0175, 0.0174], offset=[-2.1, -2.0, -1.8]
    )
    preprocessor = keras_hub.models.ResNetImageClassifierPreprocessor(image_converter=converter)
    task = keras_hub.models.ResNetImageClassifier(backbone=network, preprocessor=preprocessor, num_classes=4)
    task.save_to_preset(tmp_path / "task")
    result = modify_stem(load_backbone("ResNet18", tmp_path / "task"), StemSpec())
    assert result.report.claim == "exact"
    pixels = np.random.default_rng(1).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    expected = np.asarray(network(converter(pixels), training=False)).mean(axis=(1, 2))
    assert difference(expected, np.asarray(result.model(pixels, training=False))) <= 1e-5

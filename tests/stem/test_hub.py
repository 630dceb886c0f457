"""Folders in the format of KerasHub's save_to_preset, written here without KerasHub: read, or refused with the reason.

The features are those of the formula in test_pytorch.py, which has the same layers under PyTorch's names.
"""

import json
import re

import h5py
import keras
import numpy as np
import pytest

from restem.stem import StemError, StemSpec, load_backbone, modify_stem
from restem.stem.checkpoint.examine import examine
from restem.stem.checkpoint.form import FORMS
from restem.stem.checkpoint.summary import to_dict

from .networks import difference, run
from .test_pytorch import forward, state_dict

BLOCK = {(True, False): "basic_block", (False, False): "bottleneck_block", (False, True): "bottleneck_block_vd"}


@pytest.fixture(autouse=True)
def shallow(monkeypatch):
    """One block in each stage; the depth changes nothing."""
    for name, basic in (("ResNet50", False), ("ResNet18", True)):
        monkeypatch.setitem(FORMS, name, (basic, (1, 1, 1, 1)))


def registered(kind, config):
    return {
        "module": f"keras_hub.src.models.resnet.{kind.lower()}",
        "class_name": kind,
        "config": config,
        "registered_name": f"keras_hub>{kind}",
    }


def converter(scale, offset):
    return registered("ResNetImageConverter", {"image_size": [224, 224], "scale": scale, "offset": offset})


def hub_layers(state):
    """(KerasHub's name, arrays) of a PyTorch state, in the order of KerasHub's model.layers."""

    def conv(name):
        return [state[f"{name}.weight"].transpose(2, 3, 1, 0)]

    def norm(name):
        return [state[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]

    deep = "conv1.0.weight" in state
    for place in range(3 if deep else 1):
        yield f"conv{place + 1}_conv", conv(f"conv1.{3 * place}" if deep else "conv1")
        yield f"conv{place + 1}_bn", norm("bn1" if place == 2 or not deep else f"conv1.{3 * place + 1}")
    for stage in range(4):
        ours, theirs = f"stack{stage}_block0", f"layer{stage + 1}.0"
        last = 3 if f"{theirs}.conv3.weight" in state else 2
        average = f"{theirs}.downsample.2.weight" in state
        shortcut = f"{theirs}.downsample.{1 + average}.weight" in state
        for place in [*range(1, last), *([0] if shortcut else []), last]:
            names = (f"downsample.{int(average)}", f"downsample.{1 + average}")
            first, second = (f"conv{place}", f"bn{place}") if place else names
            yield f"{ours}_{place}_conv", conv(f"{theirs}.{first}")
            yield f"{ours}_{place}_bn", norm(f"{theirs}.{second}")


def v2_layers(seed=0):
    """The same of a ResNetV2 with random weights."""
    rng = np.random.default_rng(seed)

    def conv(into, filters, side):
        return [rng.normal(0, (2 / (into * side**2)) ** 0.5, (side, side, into, filters)).astype(np.float32)]

    def norm(size):
        parts = rng.uniform(0.5, 1.5, size), *rng.normal(0, 0.3, (2, size)), rng.uniform(0.5, 1.5, size)
        return [part.astype(np.float32) for part in parts]

    yield "conv1_conv", conv(3, 64, 7)
    into = 64
    for stage in range(4):
        name, width = f"stack{stage}_block0", 64 * 2**stage
        yield f"{name}_pre_activation_bn", norm(into)
        yield f"{name}_1_conv", conv(into, width, 1)
        yield f"{name}_1_bn", norm(width)
        yield f"{name}_2_conv", conv(width, width, 3)
        yield f"{name}_2_bn", norm(width)
        yield f"{name}_0_conv", conv(into, 4 * width, 1)
        yield f"{name}_3_conv", conv(width, 4 * width, 1)
        into = 4 * width
    yield "post_bn", norm(into)


def v2_forward(arrays, pixels):
    """KerasHub's ResNetV2: [n, height, width, 3] -> [n, 2048]."""

    def conv(x, name, stride=1):
        (kernel,) = arrays[name]
        pad = kernel.shape[0] // 2
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        return keras.ops.convert_to_numpy(keras.ops.conv(x, kernel, stride, "valid"))

    def relu_norm(x, name):
        gamma, beta, mean, variance = arrays[name]
        return np.maximum((x - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)

    x = np.pad(conv(pixels, "conv1_conv", 2), ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    x = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::2, ::2].max(axis=(-1, -2))
    for stage in range(4):
        name, stride = f"stack{stage}_block0", 2 if stage else 1
        before = relu_norm(x, f"{name}_pre_activation_bn")
        y = relu_norm(conv(before, f"{name}_1_conv"), f"{name}_1_bn")
        y = conv(relu_norm(conv(y, f"{name}_2_conv", stride), f"{name}_2_bn"), f"{name}_3_conv")
        x = conv(before, f"{name}_0_conv", stride) + y
    return relu_norm(x, "post_bn").mean(axis=(1, 2))


def save(folder, state, named=True, files=None, layers=None, **changes):
    """A preset's folder. `changes`: of its configuration."""
    basic, deep = "layer1.0.conv3.weight" not in state, "conv1.0.weight" in state
    config = {
        "name": "res_net_backbone",
        "input_conv_filters": [24, 32, 64] if deep else [64],
        "input_conv_kernel_sizes": [3, 3, 3] if deep else [7],
        "stackwise_num_filters": [64, 128, 256, 512],
        "stackwise_num_blocks": [1, 1, 1, 1],
        "stackwise_num_strides": [1, 2, 2, 2],
        "block_type": BLOCK[basic, deep],
        "use_pre_activation": False,
        "image_shape": [None, None, 3],
    }
    folder.mkdir(exist_ok=True)
    kind = changes.pop("class_name", "ResNetBackbone")
    (folder / "config.json").write_text(json.dumps(registered(kind, {**config, **changes})))
    (folder / "metadata.json").write_text(json.dumps({"keras_version": "3.15.1", "keras_hub_version": "0.32.0"}))
    for name, data in (files or {}).items():
        (folder / name).write_text(json.dumps(data))
    counts = {}
    with h5py.File(folder / "model.weights.h5", "w") as file:
        for name, arrays in layers or hub_layers(state):
            kind = "conv2d" if name.endswith("_conv") else "batch_normalization"
            count = counts[kind] = counts.get(kind, -1) + 1
            group = file.create_group(f"layers/{kind}{f'_{count}' if count else ''}/vars")
            if named:
                group.attrs["name"] = name
            for place, array in enumerate(arrays):
                group[str(place)] = array
    return folder


IMAGENET = {"image_converter.json": converter([0.017, 0.0175, 0.0174], [-2.1, -2.0, -1.8])}
CASES = {
    "ResNet18": ("ResNet18", {"basic": True}, True),
    "ResNet50, layers without names, 13 bands": ("ResNet50", {"channels": 13}, False),
    "ResNet50 vd": ("ResNet50", {"stem": (24, 32, 64), "average": True}, True),
}


@pytest.mark.parametrize("case", CASES)
def test_the_features_are_those_of_the_formula(tmp_path, case):
    name, options, named = CASES[case]
    state = state_dict(**options)
    network = load_backbone(name, save(tmp_path / "preset", state, named))
    channels = options.get("channels", 3)
    for size in ((32, 32), (33, 46)):
        pixels = np.random.default_rng(1).normal(0, 1, (2, *size, channels)).astype(np.float32)
        assert difference(forward(state, pixels), run(network, pixels)) <= 1e-5


@pytest.mark.parametrize("named", [True, False])
def test_v2_has_the_stride_in_the_first_block_and_its_pool_pads_with_minus_infinity(tmp_path, named):
    layers = [*v2_layers()]
    v2 = {"use_pre_activation": True, "files": IMAGENET}
    network = load_backbone("ResNet50V2", save(tmp_path / "preset", state_dict(), named, layers=layers, **v2))
    for size in ((32, 32), (33, 46)):
        pixels = np.random.default_rng(1).normal(0, 1, (2, *size, 3)).astype(np.float32)
        assert difference(v2_forward(dict(layers), pixels), run(network, pixels)) <= 1e-5
    if not named:
        return
    assert modify_stem(network, StemSpec(channels=1, kernel=9, filters=80, batch_norm=True)).report.claim == "exact"
    fewer = modify_stem(network, StemSpec(filters=32, pool=False))
    assert fewer.report.claim == "approximate"
    assert not any(layer.name.startswith("pool1") for layer in fewer.model.layers)


def test_the_preprocessing_is_that_of_the_image_converter_and_the_stem_changes_exactly(tmp_path):
    folder = save(tmp_path / "preset", state_dict(basic=True), files=IMAGENET)
    for path in (folder, folder / "model.weights.h5"):  # a configuration gives the file
        network = load_backbone("ResNet18", path)
        report = modify_stem(network, StemSpec(bands=("nir", "red", "green", "blue"))).report
        assert report.claim == "exact"
        assert report.source["scale"] == [0.017, 0.0175, 0.0174]
        assert report.source["offset"] == [-2.1, -2.0, -1.8]
        assert "image_converter.json" in report.source["decided"]
    with pytest.raises(StemError, match="contains no classifier"):
        load_backbone("ResNet18", folder, include_top=True)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "no image converter"),
        ({"image_converter.json": converter([1.0, 2.0], 0.0)}, "no scale and offset for 3"),
        ({"image_converter.json": converter(0, 0.0)}, "no scale and offset"),
        ({"image_converter.json": ["not", "one"]}, "no scale and offset"),
        ({"preprocessor.json": registered("MyPreprocessor", {"image_converter": None})}, "no scale and offset"),
        (
            IMAGENET | {"preprocessor.json": registered("P", {"image_converter": converter(1.0, 0.0)})},
            "scale the pixels differently",
        ),
    ],
)
def test_a_preprocessing_that_is_not_known_must_be_said(tmp_path, files, reason):
    folder = save(tmp_path / "preset", state_dict(basic=True), files=files)
    told = to_dict(examine(folder))["preprocessing"]
    assert told["must_be_said"]
    assert re.search(reason, told["told"])
    with pytest.raises(StemError, match=reason):
        modify_stem(load_backbone("ResNet18", folder), StemSpec(channels=1))


def test_an_old_converter_has_a_mean_and_a_variance(tmp_path):
    old = converter(0.5, None)
    old["config"] |= {"mean": [1.0, 2.0, 3.0], "variance": [4.0, 4.0, 4.0]}
    found = examine(save(tmp_path / "preset", state_dict(basic=True), files={"image_converter.json": old}))
    assert (found.front.scale, found.front.offset) == ((0.25,) * 3, (-0.5, -1.0, -1.5))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"use_pre_activation": True}, "V2: bottleneck_block"),
        ({"use_pre_activation": 1}, "use_pre_activation is 1"),
        ({"block_type": "bottleneck_block"}, "no weights for the layer"),
        ({"block_type": "basic_block_vd"}, "no weights for the layer 'stack0_block0_0_conv'"),
        ({"block_type": {}}, "block_type"),
        ({"stackwise_num_blocks": [1, 1, 1, 9]}, r"stackwise_num_blocks is \[1, 1, 1, 9\]"),
        ({"stackwise_num_filters": [64, 128, 256]}, "stackwise_num_filters"),
        ({"stackwise_num_strides": [1, 1, 2, 2]}, "stackwise_num_strides"),
        ({"input_conv_filters": [32]}, "no weights for the layer 'stack0_block0_0_conv'"),
        ({"input_conv_filters": [10**12]}, "input_conv_filters"),
        ({"input_conv_kernel_sizes": [5]}, "its stem"),
        ({"class_name": "EfficientNetBackbone"}, "KerasHub's EfficientNetBackbone"),
    ],
)
def test_what_is_not_read_is_refused_with_the_reason(tmp_path, changes, reason):
    with pytest.raises(StemError, match=reason):
        load_backbone("ResNet18", save(tmp_path / "preset", state_dict(basic=True), **changes))


def test_values_that_are_not_finite_and_a_folder_without_its_configuration_are_refused(tmp_path):
    state = state_dict(basic=True)
    state["layer2.0.bn1.bias"][3] = np.inf
    folder = save(tmp_path / "preset", state)
    with pytest.raises(StemError, match=r"conv3_block1_1_bn.*NaN or infinite"):
        load_backbone("ResNet18", folder)
    (folder / "config.json").unlink()
    with pytest.raises(StemError, match=r"ResNet of KerasHub.*folder of its preset"):
        load_backbone("ResNet18", folder / "model.weights.h5")


@pytest.mark.parametrize("name", ["resnet_50_imagenet", "kaggle://keras/resnetv1/keras/resnet_18_imagenet", "hf://a/b"])
def test_the_name_of_an_online_preset_says_how_to_save_it(name):
    with pytest.raises(StemError, match=r"from_preset\('\w.*'\)\.save_to_preset"):
        load_backbone("ResNet50", name)


def test_a_local_folder_may_have_the_name_of_an_online_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "resnet_18_imagenet", state_dict(basic=True), files=IMAGENET)
    assert load_backbone("ResNet18", "resnet_18_imagenet").output_shape == (None, 512)

"""The ResNets of torchvision, timm and Hugging Face against what is read from their checkpoints: `make test-torch`.

It needs PyTorch, torchvision, timm and transformers, but neither TensorFlow nor TFX, so it runs in an environment of
its own.
"""

import argparse

import keras
import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch.nn import Sequential
from transformers import ResNetConfig, ResNetForImageClassification

from components.stem import Preprocessing, StemError, StemSpec, load_backbone, modify_stem

CASES = {
    "torchvision resnet50": (lambda: torchvision.models.resnet50(), "ResNet50"),
    "torchvision resnet101": (lambda: torchvision.models.resnet101(), "ResNet101"),
    "torchvision resnet152": (lambda: torchvision.models.resnet152(), "ResNet152"),
    "torchvision wide_resnet50_2": (lambda: torchvision.models.wide_resnet50_2(), "ResNet50"),
    "torchvision wide_resnet101_2": (lambda: torchvision.models.wide_resnet101_2(), "ResNet101"),
    "timm resnet50, 13 bands": (lambda: timm.create_model("resnet50", in_chans=13, num_classes=5), "ResNet50"),
    "torchvision resnet18": (lambda: torchvision.models.resnet18(), "ResNet18"),
    "torchvision resnet34": (lambda: torchvision.models.resnet34(), "ResNet34"),
    "timm resnet18, 2 bands": (lambda: timm.create_model("resnet18", in_chans=2, num_classes=5), "ResNet18"),
    "timm resnet26": (lambda: timm.create_model("resnet26"), "ResNet26"),
    "timm resnet18d": (lambda: timm.create_model("resnet18d"), "ResNet18"),
    "timm resnet26t": (lambda: timm.create_model("resnet26t"), "ResNet26"),
    "timm resnet34d": (lambda: timm.create_model("resnet34d"), "ResNet34"),
    "timm resnet50c": (lambda: timm.create_model("resnet50c"), "ResNet50"),
    "timm resnet50d, 13 bands": (lambda: timm.create_model("resnet50d", in_chans=13), "ResNet50"),
    "timm resnet50s": (lambda: timm.create_model("resnet50s"), "ResNet50"),
    "timm resnet101d": (lambda: timm.create_model("resnet101d"), "ResNet101"),
    "timm wide_resnet50_2": (lambda: timm.create_model("wide_resnet50_2"), "ResNet50"),
    "timm resnet101": (lambda: timm.create_model("resnet101", num_classes=0), "ResNet101"),
}
OTHERS = {
    "resnet10t": (lambda: timm.create_model("resnet10t"), r"\(1, 1, 1, 1\) blocks of two convolutions"),
    "resnext50": (lambda: torchvision.models.resnext50_32x4d(), "grouped"),
    "ecaresnet50t": (lambda: timm.create_model("ecaresnet50t"), "a ResNet does not have"),
    "resnetrs50": (lambda: timm.create_model("resnetrs50"), "a ResNet does not have: .*se"),
    "seresnet50": (lambda: timm.create_model("seresnet50"), "a ResNet does not have"),
    "resnet200d": (lambda: timm.create_model("resnet200d"), "blocks of three convolutions in its stages"),
    "resnetv2_50": (lambda: timm.create_model("resnetv2_50"), r"no tensor layer1\.0"),
    "deeplabv3_resnet50": (
        lambda: torchvision.models.segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None),
        "DeepLab",
    ),
    "fcn_resnet50": (
        lambda: torchvision.models.segmentation.fcn_resnet50(weights=None, weights_backbone=None),
        "FCN",
    ),
    "a shortcut more": (lambda: with_shortcut(torchvision.models.resnet18()), r"layer2\.1\.downsample\.0"),
    "vgg": (lambda: torchvision.models.vgg11(), r"no tensor layer1\.0"),
}


def with_shortcut(network):
    network.layer2[1].downsample = Sequential(torch.nn.Conv2d(128, 128, 1), torch.nn.BatchNorm2d(128))
    return network


SIZES = ((64, 64), (63, 97), (33, 50))


def randomised(network, seed=0):
    """Random BatchNormalization statistics, which hide no error."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                tensor.data = torch.rand(tensor.shape, generator=generator) + 0.5
            for tensor in (module.bias, module.running_mean):
                tensor.data = 0.3 * torch.randn(tensor.shape, generator=generator)
    return network.eval()


def features(network, pixels):
    """[n, height, width, channels] -> [n, features], before the classifier."""
    network.fc = torch.nn.Identity()
    with torch.no_grad():
        return network(torch.tensor(pixels.transpose(0, 3, 1, 2))).numpy()


def difference(old, new):
    return float(np.abs(old - new).max() / np.abs(old).max())


@pytest.mark.parametrize("case", CASES)
def test_the_features_are_the_same(case, tmp_path):
    make, name = CASES[case]
    network = randomised(make())
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(network.state_dict(), path)
    channels = next(m for m in network.modules() if isinstance(m, torch.nn.Conv2d)).in_channels
    read = load_backbone(name, path)
    for size in SIZES:
        pixels = np.random.default_rng(1).normal(0, 1, (2, *size, channels)).astype(np.float32)
        found = keras.ops.convert_to_numpy(read(pixels, training=False))
        assert difference(features(network, pixels), found) <= 1e-5, size


def test_the_classifier_is_kept(tmp_path):
    network = randomised(torchvision.models.resnet50(num_classes=7))
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(network.state_dict(), path)
    pixels = np.random.default_rng(1).normal(0, 1, (2, 64, 64, 3)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.tensor(pixels.transpose(0, 3, 1, 2))).softmax(dim=1).numpy()
    read = load_backbone("ResNet50", path, include_top=True)
    assert difference(expected, keras.ops.convert_to_numpy(read(pixels, training=False))) <= 1e-4


MOCO = ("encoder_q", "encoder_k")
WRAPPED = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state, "optimizer": {}},
    "Lightning": lambda state: {"state_dict": {f"model.{name}": value for name, value in state.items()}},
    "DataParallel": lambda state: {f"module.{name}": value for name, value in state.items()},
    "backbone": lambda state: {f"backbone.{name}": value for name, value in state.items()},
    "torch.compile": lambda state: {f"module._orig_mod.{name}": value for name, value in state.items()},
    "moving average beside it": lambda state: {
        "model": state,
        "model_ema": {f"module.{name}": value * 2 for name, value in state.items()},
    },
    "MoCo": lambda state: {
        "state_dict": {f"module.{part}.{name}": value for part in MOCO for name, value in state.items()}
    },
}


@pytest.fixture(scope="module")
def resnet50():
    return randomised(torchvision.models.resnet50())


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_files_of_torch_save_are_read_in_their_wrappings(resnet50, wrapping, tmp_path):
    torch.save(WRAPPED[wrapping](resnet50.state_dict()), tmp_path / "model.pth")
    read = load_backbone("ResNet50", tmp_path / "model.pth")
    kernel = resnet50.layer3[2].conv2.weight.detach().numpy().transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(read.get_layer("conv4_block3_2_conv").kernel), kernel)


def test_a_whole_pickled_model_is_refused_and_nothing_in_it_runs(tmp_path):
    marker = tmp_path / "ran"

    class Call:
        def __reduce__(self):
            return (marker.touch, ())

    torch.save({"state_dict": Call()}, tmp_path / "call.pth")
    torch.save(torchvision.models.resnet18(), tmp_path / "model.pth")
    for name in ("call.pth", "model.pth"):
        with pytest.raises(StemError, match="weights_only=True"):
            load_backbone("ResNet50", tmp_path / name)
    assert not marker.exists()


def test_a_moving_average_a_quantised_network_and_two_networks_are_told_apart(resnet50, tmp_path):
    state = resnet50.state_dict()
    found = {
        "student": ({"student": state, "teacher": state}, "holds several networks"),
        "namespace": ({"model": state, "args": argparse.Namespace()}, "it needs argparse.Namespace"),
        "quantised": (
            {**state, "conv1.weight": torch.quantize_per_tensor(state["conv1.weight"], 0.1, 0, torch.qint8)},
            "conv1.weight.*quantised",
        ),
        "integers": ({**state, "conv1.weight": state["conv1.weight"].to(torch.int8)}, "conv1.weight.*quantised"),
    }
    for name, (value, reason) in found.items():
        torch.save(value, tmp_path / f"{name}.pth")
        with pytest.raises(StemError, match=reason):
            load_backbone("ResNet50", tmp_path / f"{name}.pth")


CHILDREN = {
    "RadImageNet": lambda network: {
        f"backbone.{name}": value for name, value in Sequential(*list(network.children())[:-1]).state_dict().items()
    },
    "fastai": lambda network: {
        "model": Sequential(Sequential(*list(network.children())[:-2]), torch.nn.BatchNorm1d(512)).state_dict()
    },
}


@pytest.mark.parametrize("kind", CHILDREN)
@pytest.mark.parametrize("name", ["resnet18", "resnet18d"])
def test_the_children_of_a_network_in_a_sequential(kind, name, tmp_path):
    network = randomised(timm.create_model(name))
    torch.save(CHILDREN[kind](network), tmp_path / "model.pth")
    read = load_backbone("ResNet18", tmp_path / "model.pth")
    pixels = np.random.default_rng(1).normal(0, 1, (2, 63, 97, 3)).astype(np.float32)
    found = keras.ops.convert_to_numpy(read(pixels, training=False))
    assert difference(features(network, pixels), found) <= 1e-5


HUGGING_FACE = {
    "ResNet18": {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"},
    "ResNet50": {"num_channels": 5},
}


@pytest.mark.parametrize("name", HUGGING_FACE)
def test_the_features_of_hugging_face_are_the_same(name, tmp_path):
    network = randomised(ResNetForImageClassification(ResNetConfig(num_labels=7, **HUGGING_FACE[name])))
    network.save_pretrained(tmp_path)
    read = load_backbone(name, tmp_path / "model.safetensors")
    for size in SIZES:
        shape = (2, *size, network.config.num_channels)
        pixels = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
        with torch.no_grad():
            expected = network.resnet(torch.tensor(pixels.transpose(0, 3, 1, 2))).pooler_output.numpy()[:, :, 0, 0]
        assert difference(expected, keras.ops.convert_to_numpy(read(pixels, training=False))) <= 1e-5


@pytest.mark.parametrize("case", OTHERS)
def test_other_networks_are_refused_with_the_reason(case, tmp_path):
    make, reason = OTHERS[case]
    safetensors.torch.save_file(make().state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(StemError, match=reason):
        load_backbone("ResNet50", tmp_path / "model.safetensors")


def test_thirteen_bands_become_four(tmp_path):
    names = tuple(f"b{i}" for i in range(1, 14))
    network = randomised(timm.create_model("resnet50", in_chans=13, num_classes=5))
    safetensors.torch.save_file(network.state_dict(), tmp_path / "model.safetensors")
    read = load_backbone("ResNet50", tmp_path / "model.safetensors")
    source = Preprocessing("own", names, (1 / 255,) * 13, (0.0,) * 13)
    spec = StemSpec(bands=("b4", "b3", "b2", "b8"), value_range=(0, 65535))
    report = modify_stem(read, spec, source=source).report
    assert [one["name"] for one in report.dropped]

"""The names in PyTorch's state dicts, and what beside them tells that the network is another one.

With PyTorch, timm and Hugging Face's transformers: tests/torch.
"""

import json

import numpy as np
import pytest
import safetensors.numpy

from restem.stem import StemError
from restem.stem.checkpoint.examine import examine
from restem.stem.checkpoint.form import FORMS
from restem.stem.checkpoint.pytorch import read_state
from restem.stem.checkpoint.state_file import read_shapes
from restem.stem.checkpoint.summary import to_dict

from .test_pytorch import state_dict


@pytest.fixture(autouse=True)
def shallow(monkeypatch):
    """One block in each stage; the depth changes nothing."""
    for name, basic in (("ResNet50", False), ("ResNet18", True)):
        monkeypatch.setitem(FORMS, name, (basic, (1, 1, 1, 1)))


STATE = {name: value.astype(np.float16) if value.ndim else value for name, value in state_dict(basic=True).items()}


def save(state, folder, file="model.safetensors"):
    folder.mkdir(exist_ok=True)
    safetensors.numpy.save_file({name: np.ascontiguousarray(value) for name, value in state.items()}, folder / file)
    return folder / file


CHILDREN = {"conv1": "0", "bn1": "1", "fc": "9", **{f"layer{stage}": str(stage + 3) for stage in range(1, 5)}}


def child(name):
    first, _, rest = name.partition(".")
    return f"{CHILDREN[first]}.{rest}" if first in CHILDREN else name


def hugging_face(name):
    module, _, rest = name.partition(".")
    kinds = {"conv": "convolution", "bn": "normalization"}
    if module in ("conv1", "bn1"):
        return f"resnet.embedder.embedder.{kinds[module[:-1]]}.{rest}"
    if module == "fc":
        return f"classifier.1.{rest}"
    block, layer, rest = rest.split(".", 2)
    if layer == "downsample":
        place, _, rest = rest.partition(".")
        inner = f"shortcut.{'normalization' if place == '1' else 'convolution'}"
    else:
        inner = f"layer.{int(layer[-1]) - 1}.{kinds[layer[:-1]]}"
    return f"resnet.encoder.stages.{int(module[-1]) - 1}.layers.{block}.{inner}.{rest}"


NAMES = {
    "torch.compile in DataParallel": (lambda name: f"module._orig_mod.{name}", True),
    "the children in one Sequential (RadImageNet)": (lambda name: f"backbone.{child(name)}", False),
    "a body and a head in a Sequential (fastai)": (lambda name: f"0.{child(name)}", False),
    "Hugging Face's ResNetForImageClassification": (hugging_face, True),
}


@pytest.mark.parametrize("names", NAMES)
def test_each_tensor_is_found_under_other_names(tmp_path, names):
    rename, top = NAMES[names]
    expected = read_state(examine(save(STATE, tmp_path)))
    found = examine(save({rename(name): value for name, value in STATE.items()}, tmp_path / "other"))
    assert (found.backbone, found.classes is not None) == ("ResNet18", top)
    given = read_state(found)
    for name, value in given.items():
        assert np.array_equal(value, expected[name]), name
    assert set(expected) - set(given) == (set() if top else {"predictions/kernel", "predictions/bias"})


def norm(name, size):
    return {f"{name}.{part}": np.ones(size, np.float32) for part in ("weight", "bias", "running_mean", "running_var")}


def ones(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        # The network would be read without them.
        ({"layer1.0.downsample.0.weight": ones(64, 64, 1, 1), **norm("layer1.0.downsample.1", 64)}, "layer1.0.downsam"),
        ({"conv1.1.weight": ones(64)}, "the layer conv1.1, which ResNet18 does not have"),
        ({"classifier.0.convs.0.0.weight": ones(2, 2, 1, 1)}, "DeepLab .*dilated"),
        ({"classifier.0.weight": ones(2, 2, 3, 3)}, "FCN .*dilated"),
        ({"conv1.weight": np.ones((64, 3, 7, 7), np.int8)}, "conv1.weight has values of the type I8: it is quantised"),
        ({f"online.{name}": ones(1) for name in STATE}, "holds several networks"),
    ],
)
def test_what_would_be_read_as_another_network_is_refused(tmp_path, more, reason):
    with pytest.raises(StemError, match=reason):
        read_state(examine(save({**STATE, **more}, tmp_path)))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"to_rgb.weight": ones(3, 13, 1, 1), "to_rgb.bias": ones(3)}, True),
        ({"normalize.mean": ones(1, 3, 1, 1), "normalize.std": ones(1, 3, 1, 1)}, True),
        (norm("bn0", 3), True),
        ({"decoder.blocks.0.weight": ones(3, 16, 3, 3), "head.bias": ones(3)}, False),
        ({"linear.weight": ones(3, 512), "linear.bias": ones(3)}, False),
        ({f"model_ema.module.{name}": value for name, value in STATE.items()}, False),
    ],
)
def test_layers_that_may_stand_in_front_make_the_preprocessing_unknown(tmp_path, more, said):
    found = examine(save({**STATE, **more}, tmp_path))
    assert to_dict(found)["preprocessing"]["must_be_said"] is said
    assert set(more) <= set(found.left_out)
    assert read_state(found)["conv1_conv/kernel"].shape == (7, 7, 3, 64)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"architecture": "resnetblur18"}, "timm's resnetblur18"),
        ({"architecture": "resnet18", "model_args": {"output_stride": 8}}, "output_stride"),
        ({"model_type": "resnet", "hidden_act": "gelu"}, "hidden_act gelu"),
        ({"model_type": "resnet", "downsample_in_bottleneck": True}, "downsample_in_bottleneck True"),
    ],
)
def test_a_configuration_beside_the_file_may_say_that_it_is_another_network(tmp_path, config, reason):
    path = save(STATE, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(StemError, match=f"config.json says .*{reason}"):
        examine(path)
    assert examine(save(STATE, tmp_path, "mine.safetensors")).backbone == "ResNet18"  # not that one's configuration


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"architecture": "resnet18", "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}, True),
        (
            {
                "architecture": "tv_resnet18.in1k",
                "pretrained_cfg": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
                "model_args": {"in_chans": 3},
            },
            False,
        ),
        ({"model_type": "resnet", "hidden_act": "relu"}, False),
        ({"model_type": "bert"}, False),
        (["not one"], False),
    ],
)
def test_a_configuration_beside_the_file_may_say_another_mean(tmp_path, config, said):
    path = save(STATE, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert to_dict(examine(path))["preprocessing"]["must_be_said"] is said


def test_sixteen_bits_are_read(tmp_path):
    shapes = read_shapes(save(STATE, tmp_path))
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    values = read_state(examine(tmp_path / "model.safetensors"))
    assert np.array_equal(values["conv1_conv/kernel"], STATE["conv1.weight"].astype(np.float32).transpose(2, 3, 1, 0))

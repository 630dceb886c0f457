"""The names in a state dict, turned into torchvision's; and what else in it tells that the network is another one.

Understood are the children of a ResNet in one nn.Sequential (RadImageNet, fastai, lightly: 0, 1, 4 to 7) and Hugging
Face's ResNetModel. Every other name stays as it is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .formats import CONFIG

Shape = tuple[int, ...]
MARK = "layer1.0.conv1.weight"
_CHILDREN = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
_SEQUENTIAL = re.compile(r"(.*\.)?4\.0\.conv1\.weight")
_HUGGING_FACE = re.compile(r"(.*\.)?embedder\.embedder\.convolution\.weight")
_STAGE = re.compile(
    r"encoder\.stages\.(\d+)\.layers\.(\d+)\.(?:(shortcut)|layer\.(\d+))\.(convolution|normalization)\.(.+)"
)
_STEM = re.compile(r"embedder\.embedder\.(convolution|normalization)\.(.+)")
_CONFIG_BYTES = 1 << 20
# Plain ResNets of timm; others of the same names and shapes blur (resnetblur50, resnetaa50) or have other activations.
_TIMM = re.compile(r"(tv_|gluon_|ssl_|swsl_|ig_)?(wide_)?resnet\d+(_2)?[cdst]?(_v1[bcds])?(\..*)?")
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def torchvision_names(names: Sequence[str]) -> dict[str, str]:
    """The present name of each tensor under torchvision's."""
    if any(name == MARK or name.endswith(f".{MARK}") for name in names):
        return {name: name for name in names}
    for pattern, rename in ((_HUGGING_FACE, _of_hugging_face), (_SEQUENTIAL, _of_sequential)):
        starts = [found[1] or "" for name in names if (found := pattern.fullmatch(name))]
        new = [rename(name, starts) for name in names]
        if starts and len({*new}) == len(new):
            return dict(zip(new, names, strict=True))
    return {name: name for name in names}


def _of_sequential(name: str, starts: list[str]) -> str:
    for start in starts:
        child, dot, rest = name.removeprefix(start).partition(".")
        if name.startswith(start) and dot and child in _CHILDREN:
            return f"{start}{_CHILDREN[child]}.{rest}"
    return name


def _of_hugging_face(name: str, starts: list[str]) -> str:
    for start in starts:
        rest = name.removeprefix(start)
        stem, block = _STEM.fullmatch(rest), _STAGE.fullmatch(rest)
        if name.startswith(start) and stem:
            return f"{start}{'conv1' if stem[1] == 'convolution' else 'bn1'}.{stem[2]}"
        if name.startswith(start) and block:
            convolution = block[5] == "convolution"
            if block[3]:
                module = f"downsample.{0 if convolution else 1}"
            else:
                module = f"{'conv' if convolution else 'bn'}{int(block[4]) + 1}"
            return f"{start}layer{int(block[1]) + 1}.{block[2]}.{module}.{block[6]}"
        if rest.startswith("classifier.1."):
            return f"{start}fc.{rest.removeprefix('classifier.1.')}"
    return name


def is_moving_average(prefix: str) -> bool:
    """Whether the dictionary of a network is that of the moving average of its weights: model_ema, state_dict_ema."""
    return "ema" in re.split(r"[._]", prefix)


def dilated(left_out: Mapping[str, Shape]) -> str:
    """The part of a segmentation network that needs a dilated ResNet; '' if there is none."""
    for name, shape in left_out.items():
        if "aspp" in name.lower() or re.search(r"classifier\.0\.convs\.", name):
            return f"DeepLab ({name})"
        if re.search(r"(^|\.)classifier\.0\.weight$", name) and shape[2:] == (3, 3):
            return f"FCN ({name})"
    return ""


_BEHIND = re.compile(
    r"(^|\.)(head|decoder|decode_head|segmentation_head|classifier|aux_classifier|fc|neck|fpn|rpn|roi_heads)\b"
)


def unsure_of(left_out: Mapping[str, Shape], channels: int) -> str:
    """Why layers in front of the network may change its input; '' if no tensor points to them."""
    dense = {name.rpartition(".")[0] for name, shape in left_out.items() if len(shape) == 2}
    found = [
        name
        for name, shape in left_out.items()
        if not _BEHIND.search(name)
        and name.rpartition(".")[0] not in dense
        and not name.endswith("num_batches_tracked")
        and ((len(shape) == 4 and shape[0] == channels) or (channels > 1 and math.prod(shape) == channels))
    ]
    if not found:
        return ""
    return (
        f"the file has tensors that may be of layers in front of the ResNet ({', '.join(found[:4])}), and a state dict "
        "does not say what they do to the pixels"
    )


def config_beside(path: Path) -> tuple[str, str]:
    """What the config.json of a Hugging Face folder says: why it is another network, and why its pixels must be said.

    Both are '' if there is none, or if it is one of another program.
    """
    beside = path.with_name(CONFIG)
    if not path.stem.startswith(("model", "pytorch_model")) or not beside.is_file():
        return "", ""
    with open(beside, "rb") as file:
        data = file.read(_CONFIG_BYTES + 1)
    try:
        config = json.loads(data) if len(data) <= _CONFIG_BYTES else None
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(config, dict):
        return "", ""
    if isinstance(config.get("architecture"), str):
        return _timm(config)
    if config.get("model_type") == "resnet":
        usual = {"hidden_act": "relu", "downsample_in_bottleneck": False, "downsample_in_first_stage": False}
        others = [f"{key} {config[key]!s:.40}" for key, value in usual.items() if config.get(key, value) != value]
        return (f"its config.json says {', '.join(others)}", "") if others else ("", "")
    return "", ""


def _timm(config: dict[str, Any]) -> tuple[str, str]:
    name, arguments = config["architecture"], config.get("model_args") or {}
    if not _TIMM.fullmatch(name):
        return (
            f"its config.json says that it is timm's {name:.60}, which has the names of a ResNet and other layers",
            "",
        )
    if isinstance(arguments, dict) and set(arguments) - {"in_chans", "num_classes", "drop_rate", "drop_path_rate"}:
        return f"its config.json says model_args {arguments!s:.120}, which may change its layers", ""
    pretrained = config.get("pretrained_cfg")
    given = pretrained if isinstance(pretrained, dict) else config
    mean, deviation = given.get("mean"), given.get("std")
    if mean is None or deviation is None or (_near(mean, _MEAN) and _near(deviation, _DEVIATION)):
        return "", ""
    return (
        "",
        f"its config.json says another mean and standard deviation ({mean!s:.60}, {deviation!s:.60}) than ImageNet's",
    )


def _near(given: Any, expected: tuple[float, ...]) -> bool:
    return (
        isinstance(given, (list, tuple))
        and len(given) == len(expected)
        and all(
            isinstance(one, (int, float)) and abs(one - two) < 1e-3 for one, two in zip(given, expected, strict=True)
        )
    )

"""KerasHub's ResNetBackbone (v1.5, vd, V2): the folder that save_to_preset writes, or a .keras file.

KerasHub itself is not needed. The configuration says which network it is (form.py), and the weights are found by the
layers' names, or by their class and count in files of older versions of Keras. Nothing in the files is executed.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

from ..errors import StemError
from ..given import Front
from . import formats
from .examined import MAX_CHANNELS, Examined
from .form import FORMS, Form, layout_of_form
from .hdf5 import TEXT_BYTES, Storage, Stored, Tensor
from .layout import BLOCKS, FIRST, WIDTH, Part
from .pytorch import changes_of

_PACKAGES = ("keras_hub", "keras_nlp")  # KerasHub's former name
_CONVERTER = "image_converter.json"
_PREPROCESSOR = "preprocessor.json"
_BACKBONE = "ResNetBackbone"
_STAGES = {"stackwise_num_filters": [WIDTH * 2**stage for stage in range(4)], "stackwise_num_strides": [1, 2, 2, 2]}
_KINDS = {"Conv2D": "conv2d", "BatchNormalization": "batch_normalization"}
_ONLINE = re.compile(r"(kaggle|hf):/.*|resnet_(v2_|vd_)?\d+_(\w+_)?imagenet")


@dataclasses.dataclass(frozen=True)
class Preset:
    """The network of a preset."""

    form: Form
    classes: None = None


def refuse_online(weights: str) -> None:
    """Raises StemError for the name of a preset that KerasHub would download, unless there is such a folder."""
    if _ONLINE.fullmatch(weights) and not Path(weights).exists():
        name = re.sub(r"^(kaggle|hf):/+", r"\1://", weights)
        raise StemError(
            f"{weights!r} is a preset that KerasHub downloads; here only its local folder is read. Where keras-hub is "
            f"installed, save it: keras_hub.models.ImageClassifier.from_preset({name!r}).save_to_preset('FOLDER'), and "
            "give FOLDER (in a configuration, FOLDER/model.weights.h5)."
        )


def folder_of(path: Path, kind: str) -> tuple[Path, str]:
    """The folder of a preset if only its weights file is given, as in a configuration; else what is given."""
    beside = path.with_name(formats.CONFIG)
    if kind == formats.HDF5 and path.name == formats.WEIGHTS and beside.is_file():
        with open(beside, "rb") as file:
            text = file.read(TEXT_BYTES + 1).decode("utf-8", "replace")
        if len(text) <= TEXT_BYTES and backbone_of(text):
            return path.parent, formats.FOLDER
    return path, kind


def backbone_of(text: str | None) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
    """The class of the network in a configuration, its settings and those of its task; None if it is not KerasHub's."""
    try:
        data = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    if not _is_hubs(data):
        return None
    outer = data["config"]
    inner = outer.get("backbone")
    if _is_hubs(inner):
        return str(inner["class_name"]), inner["config"], outer
    return str(data["class_name"]), outer, {}


def _is_hubs(data: Any) -> bool:
    if not isinstance(data, dict) or not isinstance(data.get("config"), dict) or "class_name" not in data:
        return False
    where = (str(data.get("registered_name")).partition(">")[0], str(data.get("module")).partition(".")[0])
    return any(package in where for package in _PACKAGES)


def refuse_weights_alone(storage: Storage, file: str) -> None:
    """Raises StemError for the weights of a preset without its configuration."""
    if any(layer.name == "stack0_block0_1_conv" for layer in storage.layers):
        raise StemError(
            f"{file!r} has the weights of a ResNet of KerasHub, but not its configuration: give the folder of its "
            "preset, which has config.json beside model.weights.h5."
        )


def examine_hub(path: Path, kind: str, storage: Storage) -> Examined:
    """Looks at a preset. `storage.config` is one of `backbone_of`.

    Raises:
        StemError: it is another network, or its weights do not fit its configuration.
    """
    file = str(path)
    known = backbone_of(storage.config)
    assert known is not None
    name, config, task = known
    form = _form(name, config, file)
    tensors = _tensors(storage, form, file)
    channels = tensors[FIRST]["kernel"].shape[2]
    form = dataclasses.replace(form, channels=channels)
    _check_shapes(tensors, form, file)
    front, unsure = _front(path, kind, task, channels)
    left = ("the classifier of the task: task.weights.h5",) if _has_task(path, kind, task) else ()
    return Examined(
        path=path,
        kind=kind,
        format="KerasHub preset (folder)" if kind == formats.FOLDER else "KerasHub model (.keras)",
        framework=f"KerasHub, Keras {storage.version or '3'}{f', {form.told}' if form.told else ''}",
        backbone=form.backbone,
        tensors=tensors,
        changes=changes_of(form),
        channels=channels,
        features=form.features,
        classes=None,
        front=front,
        unsure=unsure,
        left_out=left,
        assumed=(),
        described=Preset(form),
        storage=storage,
    )


def _form(name: str, config: dict[str, Any], file: str) -> Form:
    if name != _BACKBONE:
        raise StemError(
            f"{file!r} is KerasHub's {name:.60}, but none of {', '.join(FORMS)}: of KerasHub, {_BACKBONE} is read."
        )
    block = str(config.get("block_type"))
    basic, average = block.startswith("basic_block"), block.endswith("_vd")
    if block not in ("basic_block", "bottleneck_block", "basic_block_vd", "bottleneck_block_vd"):
        raise _other(file, f"its block_type is {block:.60}")
    for key, expected in _STAGES.items():
        if config.get(key) != expected:
            raise _other(file, f"its {key} is {config.get(key)!s:.60}, expected {expected}")
    blocks = config.get("stackwise_num_blocks")
    backbone = next((one for one, (two, counts) in FORMS.items() if two == basic and list(counts) == blocks), None)
    if backbone is None:
        has = ", ".join(f"{one} {list(counts)}" for one, (two, counts) in FORMS.items() if two == basic)
        raise _other(file, f"its stackwise_num_blocks is {blocks!s:.60}; known for {block} are {has}")
    preact = config.get("use_pre_activation", False)
    if not isinstance(preact, bool) or (preact and block != "bottleneck_block"):
        raise _other(
            file, f"its use_pre_activation is {preact!s:.60}, with a block_type of {block} (V2: bottleneck_block)"
        )
    stem, sides = config.get("input_conv_filters"), config.get("input_conv_kernel_sizes")
    if not isinstance(stem, list) or not all(type(one) is int and 0 < one <= MAX_CHANNELS for one in stem):
        raise _other(file, f"its input_conv_filters is {stem!s:.60}, expected whole numbers")
    if sides not in ([7], [3, 3, 3]) or len(stem) != len(sides):
        raise _other(
            file, f"its stem has {len(stem)} filters and the kernels {sides!s:.60}; known are one of 7 and three of 3"
        )
    if preact and (f"{backbone}V2" not in BLOCKS or sides != [7]):
        raise _other(
            file, f"V2 is read with 50, 101 and 152 layers and one 7x7 convolution, not {blocks!s:.60} and {sides}"
        )
    # KerasHub gives the first block a convolution in its shortcut, but not in networks of plain basic blocks.
    return Form(
        f"{backbone}V2" if preact else backbone,
        basic,
        FORMS[backbone][1],
        stem=tuple(stem),
        average=average,
        shortcut=block != "basic_block",
        preact=preact,
    )


def _name(ours: str) -> str:
    """KerasHub's name of a layer: conv3_block1_0_conv is stack1_block0_0_conv, conv1_2_bn is conv2_bn."""
    block = re.fullmatch(r"conv(\d)_block(\d+)_(.+)", ours)
    if block:
        rest = block[3].replace("preact_", "pre_activation_")
        return f"stack{int(block[1]) - 2}_block{int(block[2]) - 1}_{rest}"
    return re.sub(r"^conv1_(\d)_", r"conv\1_", ours)


def _in_keras_order(parts: list[Part]) -> list[Part]:
    """Convolutions, or norms, as Keras sorts a model's layers: a shortcut's one right before the last of its block."""
    ordered = list(parts)
    for part in parts:
        block, found, _ = part.name.partition("_0_")
        if found:
            last = max(place for place, one in enumerate(ordered) if one.name.startswith(f"{block}_"))
            ordered.remove(part)
            ordered.insert(last - 1, part)
    return ordered


def _tensors(storage: Storage, form: Form, file: str) -> dict[str, dict[str, Tensor]]:
    """The tensors of each layer, by our name and the role."""
    weighted = layout_of_form(form).weighted
    named: dict[str, list[Stored]] = {}
    counted: dict[tuple[str, int], list[Stored]] = {}
    for layer in storage.layers:
        if layer.name:
            named.setdefault(layer.name, []).append(layer)
        counted.setdefault((layer.kind, layer.number), []).append(layer)
    # Keras before 3.6 wrote no names.
    by_name = any(_name(part.name) in named for part in weighted)
    places: dict[str, list[Stored]] = {}
    for kind, group in _KINDS.items():
        for number, part in enumerate(_in_keras_order([part for part in weighted if part.kind == kind])):
            places[part.name] = named.get(_name(part.name), []) if by_name else counted.get((group, number), [])
    found = {}
    for part in weighted:
        stored = [layer for layer in places[part.name] if layer.kind == _KINDS[part.kind]]
        if len(stored) != 1:
            what = "no weights" if not stored else f"weights in {len(stored)} places"
            raise _other(file, f"it has {what} for the layer {_name(part.name)!r}")
        roles = ("kernel",) if part.kind == "Conv2D" else ("gamma", "beta", "moving_mean", "moving_variance")
        if len(stored[0].tensors) != len(roles):
            raise _other(
                file, f"the layer {_name(part.name)!r} has {len(stored[0].tensors)} tensors, expected {len(roles)}"
            )
        found[part.name] = dict(zip(roles, stored[0].tensors, strict=True))
    total = sum(layer.kind in _KINDS.values() for layer in storage.layers)
    if total != len(weighted):
        raise _other(file, f"it has {total} convolutions and norms, but its configuration has {len(weighted)}")
    kernel = found[FIRST]["kernel"].shape
    if len(kernel) != 4 or not 1 <= kernel[2] <= MAX_CHANNELS:
        raise _other(file, f"its first convolution has the shape {kernel} (1 to {MAX_CHANNELS} channels are allowed)")
    return found


def _check_shapes(tensors: dict[str, dict[str, Tensor]], form: Form, file: str) -> None:
    for part in layout_of_form(form).weighted:
        wanted = part.shapes({"use_bias": False} if part.kind == "Conv2D" else {})
        for role, shape in wanted.items():
            given = tensors[part.name][role].shape
            if given != shape:
                raise _other(file, f"the {role} of {_name(part.name)!r} has the shape {given}, expected {shape}")


def _has_task(path: Path, kind: str, task: dict[str, Any]) -> bool:
    return bool(task) or (kind == formats.FOLDER and (path / "task.weights.h5").is_file())


def _front(path: Path, kind: str, task: dict[str, Any], channels: int) -> tuple[Front | None, str]:
    """What the preset's image converter does to the pixels, or why that cannot be known."""
    given: dict[str, Any] = {}
    if kind == formats.FOLDER:
        given = {name: _read_json(path / name) for name in (_CONVERTER, _PREPROCESSOR) if (path / name).is_file()}
    elif task:
        given = {"preprocessor": task.get("preprocessor")}
    found: dict[tuple[tuple[float, ...], tuple[float, ...]], str] = {}
    for name, data in given.items():
        try:
            inner = data if name == _CONVERTER else data["config"]["image_converter"]
            found.setdefault(_scaling(inner, channels), name)
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
            return None, f"the preset's {name} has no scale and offset for {channels} channel(s) that are known here"
    if not found:
        return None, "the preset has no image converter, so it does not say how the pixels were scaled"
    if len(found) > 1:
        return None, f"the preset's {' and '.join(found.values())} scale the pixels differently"
    ((scale, offset), name) = next(iter(found.items()))
    return Front(scale, offset, f"KerasHub's {name}"), ""


def _scaling(data: dict[str, Any], channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scale and offset of an ImageConverter, per channel (keras_hub/src/layers/preprocessing/image_converter.py)."""
    if data["class_name"] not in ("ResNetImageConverter", "ImageConverter") or not _is_hubs(data):
        raise ValueError(data["class_name"])
    config = data["config"]
    scale, offset = (_per_channel(config.get(key), channels, usual) for key, usual in (("scale", 1), ("offset", 0)))
    if "mean" in config and "variance" in config:  # before KerasHub 0.17
        spread = [math.sqrt(one) for one in _per_channel(config["variance"], channels, 1)]
        offset = tuple(-m / s for m, s in zip(_per_channel(config["mean"], channels, 0), spread, strict=True))
        scale = tuple(one / s for one, s in zip(scale, spread, strict=True))
    if 0 in scale:
        raise ValueError("scale")
    return scale, offset


def _per_channel(value: Any, channels: int, usual: float) -> tuple[float, ...]:
    many = value if isinstance(value, list) else [usual if value is None else value] * channels
    numbers = tuple(float(one) for one in many)
    if len(numbers) == 1:
        numbers *= channels
    if len(numbers) != channels or not all(math.isfinite(one) for one in numbers):
        raise ValueError(value)
    return numbers


def _read_json(path: Path) -> Any:
    """A small JSON file; None if it is not one."""
    with open(path, "rb") as file:
        data = file.read(TEXT_BYTES + 1)
    try:
        return json.loads(data) if len(data) <= TEXT_BYTES else None
    except (ValueError, RecursionError):
        return None


def _other(file: str, why: str) -> StemError:
    return StemError(f"{file!r} is a preset of KerasHub, but none of {', '.join(FORMS)} that is read here: {why}.")

"""Checkpoints of torchvision's and timm's ResNets: their names, shapes and tensors. The network: ../pytorch.py."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import StemError
from . import formats
from .examined import Examined
from .form import FORMS, Form, layout_of_form
from .hdf5 import Tensor
from .head import TOP
from .layout import BLOCKS, layout_of
from .state import MARK, Shape, config_beside, dilated, is_moving_average, torchvision_names, unsure_of
from .state_file import read_pickle, read_safetensors, read_shapes

_BLOCK = re.compile(r"layer([1-4])\.(\d+)\.(.+)")
NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
_PART = re.compile(r"(layer[1-4]|conv1|bn1)\.")
_DEEP = 3  # convolutions of a deep stem: conv1.0, conv1.3 and conv1.6, with a BatchNormalization and a ReLU between

ASSUMED = (
    "A state dict has no settings. Assumed are those of torchvision and timm: ReLU, the stride of a stage in its first "
    "3x3 convolution, no dilation, a max pool of 3x3 with stride 2, no blurring, BatchNormalization with an epsilon of "
    "1e-05. If the network had others, the results will be wrong without a message."
)
_TOP_ASSUMED = "If the classifier is kept: softmax behind it."
CONVENTION = "torch"  # how torchvision and timm scale colours: ImageNet's mean and standard deviation


@dataclasses.dataclass(frozen=True)
class Described:
    """A ResNet in a state dict, from its names and shapes.

    Attributes:
        form: the network.
        classes: of the layer `fc`; None if there is none.
        prefix: of the network's names.
        left_out: names that are not taken.
        unsure: why something in front of the network may change its input; '' if nothing points to it.
        stored: the name in the file of each tensor with torchvision's name.
        state: the tensors, of a file that was unpickled to look at it; otherwise they are read later.
    """

    form: Form
    classes: int | None
    prefix: str
    left_out: tuple[str, ...]
    unsure: str = ""
    stored: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False, compare=False)
    state: Mapping[str, np.ndarray] | None = dataclasses.field(default=None, repr=False, compare=False)


def describe_state(shapes: Mapping[str, Shape], file: str) -> Described:
    """Recognises a ResNet.

    Args:
        shapes: of all tensors, by name.
        file: its name, for the message.

    Raises:
        StemError: it is none, or one with other layers.
    """
    prefix = _prefix(shapes, file)
    own = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    stem, channels = _stem(own, file)
    modules: dict[tuple[int, int], set[str]] = {}
    for name in own:
        found = _BLOCK.fullmatch(name)
        if found and not name.endswith("num_batches_tracked"):
            modules.setdefault((int(found[1]), int(found[2])), set()).add(found[3])
    blocks = tuple(sum(stage == one for stage, _ in modules) for one in range(1, 5))
    basic = "conv3.weight" not in modules[1, 0]
    average = any(len(own.get(f"layer{stage}.0.downsample.1.weight", ())) == 4 for stage in range(1, 5))
    known = {
        f"{module}.{part}"
        for place in range(0, 3 if basic else 4)
        for kind in ("conv", "bn")
        for module in [_block_module(place, kind, average)]
        for part in (("weight", "bias") if kind == "conv" else NORM.values())
    }
    strange = sorted({f"layer{s}.{b}.{part}" for (s, b), parts in modules.items() for part in parts - known})
    strange += sorted(name for name in own if name.startswith("maxpool."))
    if strange:
        raise _other(file, f"it has layers that a ResNet does not have: {', '.join(strange[:3])}")
    first_block = own["layer1.0.conv1.weight"]
    middle = own.get("layer1.0.conv2.weight", ())
    if len(middle) == 4 and middle[0] != middle[1]:
        raise _other(file, "its convolutions are grouped (ResNeXt)")
    backbone = next((name for name, counts in FORMS.items() if counts == (basic, blocks)), None)
    if backbone is None:
        kind = "two" if basic else "three"
        has = ", ".join(f"{name} {counts}" for name, (two, counts) in FORMS.items() if two == basic)
        raise _other(file, f"it has {blocks} blocks of {kind} convolutions in its stages; known are {has}")
    form = Form(backbone, basic, blocks, first_block[0], channels, stem, average)
    fc = own.get("fc.weight", ())
    classes = fc[0] if len(fc) == 2 and fc[1] == form.features else None
    taken = re.compile(r"(conv1|bn1)\..*|layer[1-4]\..*" + ("" if classes is None else r"|fc\.(weight|bias)"))
    left = tuple(
        name for name in shapes if not (name.startswith(prefix) and taken.fullmatch(name.removeprefix(prefix)))
    )
    rest = {name: shapes[name] for name in left}
    what = dilated(rest)
    if what:
        raise _other(
            file,
            f"it is the ResNet of a segmentation network, {what}, whose last stages are mostly dilated instead of "
            "strided, and a state dict does not say how; give a ResNet that classifies images",
        )
    described = Described(form, classes, prefix, left, unsure_of(rest, channels))
    _check_shapes(described, own, file)
    return described


def _stem(own: Mapping[str, Shape], file: str) -> tuple[tuple[int, ...], int]:
    """The filters of the stem's convolutions, and the channels of the first."""
    first = own.get("conv1.weight")
    if first is not None and len(first) == 4 and first[2:] == (7, 7):
        return (first[0],), first[1]
    deep = [own.get(f"conv1.{3 * place}.weight", ()) for place in range(_DEEP)]
    if first is None and all(len(one) == 4 and one[2:] == (3, 3) for one in deep):
        return tuple(one[0] for one in deep), deep[0][1]
    what = f"conv1.weight has the shape {first}"
    if deep[0]:
        what = f"it has convolutions conv1.0, ... of the shapes {', '.join(str(one) for one in deep if one)}"
    raise _other(file, f"its stem is neither one 7x7 convolution nor three of 3x3: {what}")


def examine_pytorch(path: Path, kind: str) -> Examined:
    """Looks at a checkpoint of PyTorch; of a .safetensors file, only its header is read.

    Raises:
        StemError: it is damaged, cannot be opened safely, or holds another network.
    """
    state = None if kind == formats.SAFETENSORS else read_pickle(path)
    stored_shapes = read_shapes(path) if state is None else {name: array.shape for name, array in state.items()}
    stored = torchvision_names([*stored_shapes])
    if state is not None:
        state = {name: state[old] for name, old in stored.items()}
    other, unsure = config_beside(path)
    if other:
        raise _other(str(path), other)
    described = describe_state({name: stored_shapes[old] for name, old in stored.items()}, str(path))
    found = dataclasses.replace(described, state=state, stored=stored)
    form = found.form
    tensors: dict[str, dict[str, Tensor]] = {}
    for name, module, shape in parts_of(found):
        if name.endswith("_bn"):
            parts = {role: Tensor(f"{found.prefix}{module}.{part}", role, shape) for role, part in NORM.items()}
        else:
            filters, into, rows, columns = shape
            parts = {"kernel": Tensor(f"{found.prefix}{module}.weight", "kernel", (rows, columns, into, filters))}
        tensors[name] = parts
    return Examined(
        path=path,
        kind=kind,
        format=kind,
        framework=f"PyTorch (torchvision, timm){f', {form.told}' if form.told else ''}",
        backbone=form.backbone,
        tensors=tensors,
        changes=changes_of(form),
        channels=form.channels,
        features=form.features,
        classes=found.classes,
        front=None,
        unsure=found.unsure or unsure,
        left_out=tuple(stored[name] for name in found.left_out),
        assumed=(ASSUMED, *((_TOP_ASSUMED,) if found.classes else ())),
        described=found,
    )


def changes_of(form: Form) -> dict[str, dict[str, Any]]:
    """The settings in which a network differs from that of its name: of a bottleneck ResNet, that of Keras."""
    changes: dict[str, dict[str, Any]] = {}
    if form.backbone not in BLOCKS:
        return changes
    stock = {part.name: part.settings for part in layout_of(form.backbone).parts}
    for part in layout_of_form(form).parts:
        known = stock.get(part.name, {})
        keys = {"epsilon", "strides"} if part.kind in ("Conv2D", "BatchNormalization") else set()
        found = {key: part.settings[key] for key in keys & set(known) if known[key] != part.settings[key]}
        if "strides" in found and part.settings["strides"] == [2, 2] and part.settings["kernel_size"] == [3, 3]:
            found["padding"] = "1 on each side"
        if found:
            changes[part.name] = found
    return changes


def read_state(found: Examined) -> dict[str, np.ndarray]:
    """The weights of each layer of the network, as float32: of `name/role` in Keras's names and shapes."""
    described = found.described
    state: Mapping[str, np.ndarray]
    if described.state is not None:
        state = described.state
    else:
        names = [tensor.path for tensors in found.tensors.values() for tensor in tensors.values()]
        modules = [module for name, module, _ in parts_of(described) if name.endswith("_conv")]
        names += [f"{described.prefix}{module}.bias" for module in modules]
        names += [f"{described.prefix}fc.{part}" for part in ("weight", "bias")]
        stored = described.stored
        values_of = read_safetensors(found.path, [stored[name] for name in names if name in stored])
        state = {name: values_of[stored[name]] for name in names if name in stored}
    values: dict[str, np.ndarray] = {}
    for name, module, _ in parts_of(described):
        if name.endswith("_bn"):
            values |= {f"{name}/{role}": state[f"{described.prefix}{module}.{part}"] for role, part in NORM.items()}
        else:
            kernel = state[f"{described.prefix}{module}.weight"].transpose(2, 3, 1, 0)
            bias = state.get(f"{described.prefix}{module}.bias")
            values |= {f"{name}/kernel": kernel, f"{name}/bias": _bias(bias, kernel)}
    if described.classes is not None:
        kernel = state[f"{described.prefix}fc.weight"].T
        bias = state.get(f"{described.prefix}fc.bias")
        values |= {f"{TOP}/kernel": kernel, f"{TOP}/bias": _bias(bias, kernel)}
    return values


def _bias(bias: np.ndarray | None, kernel: np.ndarray) -> np.ndarray:
    return np.zeros(kernel.shape[-1], np.float32) if bias is None else bias


def parts_of(described: Described) -> Iterator[tuple[str, str, Shape]]:
    """Each layer but the classifier: its name in Keras, its module in PyTorch, and the shape of the module's weight."""
    form = described.form
    for part in layout_of_form(form).weighted:
        shape = next(iter(part.shapes().values()))
        if part.kind == "Conv2D":
            rows, columns, into, filters = shape
            shape = (filters, into, rows, columns)
        yield part.name, _module(part.name, form), shape


_OURS = re.compile(r"conv(\d)_block(\d+)_(\d)_(conv|bn)")


def _module(name: str, form: Form) -> str:
    """The module of a layer in PyTorch: conv3_block2_1_conv is layer2.1.conv1."""
    block = _OURS.fullmatch(name)
    if block:
        return f"layer{int(block[1]) - 1}.{int(block[2]) - 1}.{_block_module(int(block[3]), block[4], form.average)}"
    start, _, kind = name.rpartition("_")
    if len(form.stem) == 1:
        return f"{kind}1"
    place = int(start.removeprefix("conv1_")) - 1 if start != "conv1" else 0
    if kind == "bn" and place == len(form.stem) - 1:
        return "bn1"
    return f"conv1.{3 * place + (kind == 'bn')}"


def _block_module(place: int, kind: str, average: bool) -> str:
    if place:
        return f"{kind}{place}"
    # With average pooling, downsample.0 is the pool.
    return f"downsample.{int(average) + (kind == 'bn')}"


def _prefix(shapes: Mapping[str, Shape], file: str) -> str:
    """What stands in front of the network's names, as in module.encoder_q.layer1.0.conv1.weight."""
    found = [name.removesuffix(MARK) for name in shapes if name == MARK or name.endswith(f".{MARK}")]
    plain = [prefix for prefix in found if not is_moving_average(prefix)]
    found = plain if len(plain) == 1 else found
    # MoCo's checkpoints have the network and its moving average.
    queries = [prefix for prefix in found if "encoder_q." in prefix]
    if len(found) > 1 and len(queries) == 1:
        return queries[0]
    if len(found) > 1:
        raise _other(file, f"it holds several networks ({', '.join(found)}): save one of them")
    if not found:
        first = ", ".join(sorted(shapes)[:3])
        raise _other(file, f"it has no tensor {MARK}{f' (but {first})' if first else ''}")
    return found[0]


def _check_shapes(described: Described, own: Mapping[str, Shape], file: str) -> None:
    """Every tensor that the network needs is there, with its shape, and no other one is in its blocks and stem."""
    modules = {module for _, module, _ in parts_of(described)}
    more = sorted({name.rpartition(".")[0] for name in own if _PART.match(name)} - modules)
    if more:
        raise _other(
            file, f"it has the layer {described.prefix}{more[0]}, which {described.form.backbone} does not have"
        )
    for name, module, shape in parts_of(described):
        for part in NORM.values() if name.endswith("_bn") else ("weight",):
            given = own.get(f"{module}.{part}")
            if given != shape:
                what = "is missing" if given is None else f"has the shape {given}"
                raise _other(file, f"{described.prefix}{module}.{part} {what}, expected {shape}")
        _check_bias(own, module, shape[0], described.prefix, file)
    if described.classes is not None:
        _check_bias(own, "fc", described.classes, described.prefix, file)


def _check_bias(own: Mapping[str, Shape], module: str, size: int, prefix: str, file: str) -> None:
    given = own.get(f"{module}.bias", (size,))
    if given != (size,):
        raise _other(file, f"{prefix}{module}.bias has the shape {given}, expected ({size},)")


def _other(file: str, why: str) -> StemError:
    return StemError(f"{file!r} is a PyTorch checkpoint, but none of {', '.join(FORMS)}: {why}.")

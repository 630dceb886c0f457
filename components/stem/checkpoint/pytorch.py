"""Checkpoints of torchvision's and timm's ResNets: their names, shapes and tensors. The network: ../pytorch.py.

A .safetensors file is read by the library safetensors. Files of torch.save are pickles: torch.load reads them with
weights_only=True, which refuses everything but tensors, if PyTorch is installed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import StemError
from . import formats
from .examined import Examined
from .hdf5 import Tensor

DEPTHS: dict[tuple[int, ...], str] = {(3, 4, 6, 3): "ResNet50", (3, 4, 23, 3): "ResNet101", (3, 8, 36, 3): "ResNet152"}
_MARK = "layer1.0.conv1.weight"
_BLOCK = re.compile(r"layer([1-4])\.(\d+)\.(.+)")
NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
# The BatchNormalization behind each convolution of a block.
_NORM_OF = {"conv1": "bn1", "conv2": "bn2", "conv3": "bn3", "downsample.0": "downsample.1"}
# Beside the parts of a Lightning or training checkpoint, the dictionaries that hold the network.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "ema_state_dict", "state_dict_ema")

EPSILON = 1e-5  # of BatchNormalization
WIDTH = 64
CONVENTION = "torch"  # how torchvision and timm scale colours: ImageNet's mean and standard deviation

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Described:
    """A ResNet in a state dict, from its names and shapes.

    Attributes:
        backbone: the name of the stock network with as many blocks.
        blocks: of each stage.
        width: filters of the first stage's 3x3 convolutions: 64, or 128 in a wide ResNet.
        channels: of the first convolution.
        classes: of the layer `fc`; None if there is none.
        prefix: of the network's names.
        left_out: names that are not taken.
    """

    backbone: str
    blocks: tuple[int, ...]
    width: int
    channels: int
    classes: int | None
    prefix: str
    left_out: tuple[str, ...]


def describe_state(shapes: Mapping[str, Shape], file: str) -> Described:
    """Recognises a ResNet with bottleneck blocks.

    Args:
        shapes: of all tensors, by name.
        file: its name, for the message.

    Raises:
        StemError: it is none, or one with other layers.
    """
    prefix = _prefix(shapes, file)
    own = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    first = own.get("conv1.weight")
    if first is None or len(first) != 4 or first[2:] != (7, 7) or first[0] != 64:
        deep = "conv1.0.weight" in own
        what = "it has several convolutions (a deep stem)" if deep else f"conv1.weight has the shape {first}"
        raise _other(file, f"its first layer is not one 7x7 convolution with 64 filters: {what}")
    modules: dict[tuple[int, int], set[str]] = {}
    for name in own:
        found = _BLOCK.fullmatch(name)
        if found and not name.endswith("num_batches_tracked"):
            modules.setdefault((int(found[1]), int(found[2])), set()).add(found[3])
    blocks = tuple(sum(stage == one for stage, _ in modules) for one in range(1, 5))
    if "conv3.weight" not in modules[1, 0]:
        raise _other(file, "it has blocks of two convolutions, as ResNet18 and ResNet34; only those of three are read")
    known = {f"{conv}.{part}" for conv in _NORM_OF for part in ("weight", "bias")}
    known |= {f"{norm}.{part}" for norm in _NORM_OF.values() for part in NORM.values()}
    strange = sorted({f"layer{s}.{b}.{part}" for (s, b), parts in modules.items() for part in parts - known})
    if strange:
        raise _other(file, f"it has layers that a ResNet does not have: {', '.join(strange[:3])}")
    first_block = own["layer1.0.conv1.weight"]
    middle = own.get("layer1.0.conv2.weight", ())
    if len(middle) == 4 and middle[0] != middle[1]:
        raise _other(file, "its convolutions are grouped (ResNeXt)")
    backbone = DEPTHS.get(blocks)
    if backbone is None:
        raise _other(
            file, f"it has {blocks} blocks in its stages; ResNet50, 101 and 152 have {', '.join(map(str, DEPTHS))}"
        )
    fc = own.get("fc.weight")
    taken = re.compile(r"(conv1|bn1)\..*|layer[1-4]\..*|fc\.(weight|bias)")
    left = tuple(
        name for name in shapes if not (name.startswith(prefix) and taken.fullmatch(name.removeprefix(prefix)))
    )
    described = Described(backbone, blocks, first_block[0], first[1], fc[0] if fc else None, prefix, left)
    _check_shapes(described, own, file)
    return described


def examine_pytorch(path: Path, kind: str) -> Examined:
    """Looks at a checkpoint of PyTorch; of a .safetensors file, only its header is read.

    Raises:
        StemError: it is damaged, cannot be opened safely, or holds another network.
    """
    shapes = read_shapes(path) if kind == formats.SAFETENSORS else {n: t.shape for n, t in read_pickle(path).items()}
    found = describe_state(shapes, str(path))
    tensors: dict[str, dict[str, Tensor]] = {}
    changes: dict[str, dict[str, Any]] = {}
    for name, module, shape in parts_of(found):
        if name.endswith("_bn"):
            parts = {role: Tensor(f"{found.prefix}{module}.{part}", role, shape) for role, part in NORM.items()}
            changes[name] = {"epsilon": EPSILON}
        else:
            filters, into, rows, columns = shape
            parts = {"kernel": Tensor(f"{found.prefix}{module}.weight", "kernel", (rows, columns, into, filters))}
        tensors[name] = parts
    for stage in range(3, 6):
        changes[f"conv{stage}_block1_1_conv"] = {"strides": [1, 1]}
        changes[f"conv{stage}_block1_2_conv"] = {"strides": [2, 2], "padding": "1 on each side"}
    return Examined(
        path=path,
        kind=kind,
        format=kind,
        framework=f"PyTorch (torchvision, timm){'' if found.width == WIDTH else f', wide: {found.width} filters'}",
        backbone=found.backbone,
        tensors=tensors,
        changes=changes,
        channels=found.channels,
        features=256 * 2**3,
        classes=found.classes,
        front=None,
        unsure="",
        left_out=found.left_out,
        assumed=(),
        described=found,
    )


def read_state(found: Examined) -> dict[str, np.ndarray]:
    """All tensors that the network takes, as float32."""
    described = found.described
    names = [tensor.path for tensors in found.tensors.values() for tensor in tensors.values()]
    names += [f"{described.prefix}{module}.bias" for name, module, _ in parts_of(described) if name.endswith("_conv")]
    names += [f"{described.prefix}fc.{part}" for part in ("weight", "bias")]
    if found.kind == formats.SAFETENSORS:
        return read_safetensors(found.path, names)
    return read_pickle(found.path)


def parts_of(described: Described) -> Iterator[tuple[str, str, Shape]]:
    """Each layer but the classifier: its name in Keras, its module in PyTorch, and the shape of the module's weight."""
    yield "conv1_conv", "conv1", (64, described.channels, 7, 7)
    yield "conv1_bn", "bn1", (64,)
    into = 64
    for stage, count in enumerate(described.blocks):
        width, out = described.width * 2**stage, 256 * 2**stage
        for block in range(count):
            ours, theirs = f"conv{stage + 2}_block{block + 1}", f"layer{stage + 1}.{block}"
            convolutions = {1: ("conv1", (width, into, 1, 1)), 2: ("conv2", (width, width, 3, 3))}
            convolutions[3] = ("conv3", (out, width, 1, 1))
            if block == 0:
                convolutions[0] = ("downsample.0", (out, into, 1, 1))
            for place, (module, shape) in convolutions.items():
                yield f"{ours}_{place}_conv", f"{theirs}.{module}", shape
                yield f"{ours}_{place}_bn", f"{theirs}.{_NORM_OF[module]}", shape[:1]
            into = out


def _prefix(shapes: Mapping[str, Shape], file: str) -> str:
    """What stands in front of the network's names, as in module.encoder_q.layer1.0.conv1.weight."""
    found = [name.removesuffix(_MARK) for name in shapes if name == _MARK or name.endswith(f".{_MARK}")]
    # MoCo's checkpoints have the network and its moving average.
    queries = [prefix for prefix in found if "encoder_q." in prefix]
    if len(found) > 1 and len(queries) == 1:
        return queries[0]
    if len(found) > 1:
        raise _other(file, f"it holds several networks ({', '.join(found)}): save one of them")
    if not found:
        raise _other(file, f"it has no tensor {_MARK}")
    return found[0]


def _check_shapes(described: Described, own: Mapping[str, Shape], file: str) -> None:
    """Every tensor that `set_weights` needs is there, with the shape that `build` makes."""
    for name, module, shape in parts_of(described):
        for part in NORM.values() if name.endswith("_bn") else ("weight",):
            given = own.get(f"{module}.{part}")
            if given != shape:
                what = "is missing" if given is None else f"has the shape {given}"
                raise _other(file, f"{described.prefix}{module}.{part} {what}, expected {shape}")


def _other(file: str, why: str) -> StemError:
    return StemError(f"{file!r} is a PyTorch checkpoint, but not one of ResNet50, 101 or 152: {why}.")


def read_shapes(path: Path) -> dict[str, Shape]:
    """The shapes in a .safetensors file, from its header alone.

    Raises:
        StemError: it is damaged, or the library safetensors is missing.
    """
    with _opened(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - it is no dict


def read_safetensors(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Tensors of a .safetensors file as float32.

    Raises:
        StemError: it is damaged, or the library safetensors is missing.
    """
    with _opened(path) as file:
        held = set(file.keys())
        return {name: np.asarray(file.get_tensor(name), np.float32) for name in names if name in held}


def _opened(path: Path) -> Any:
    try:
        import safetensors
    except ModuleNotFoundError:
        raise StemError(
            f"{str(path)!r} is a safetensors file, and the package safetensors is missing: pip install safetensors"
        ) from None
    try:
        return safetensors.safe_open(str(path), framework="numpy")
    except (safetensors.SafetensorError, OSError) as error:
        raise StemError(f"{str(path)!r} is damaged or incomplete: {error}. Copy or download it again.") from None


def read_pickle(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file of torch.save as float32; nothing but tensors is unpickled.

    Raises:
        StemError: PyTorch is missing, or the file holds more than tensors and plain values.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise StemError(
            f"{str(path)!r} is a PyTorch file. Its pickle is read by PyTorch alone, which is not installed: pip "
            "install torch, or save the tensors there: safetensors.torch.save_file(model.state_dict(), FILE)."
        ) from None
    try:
        loaded = torch.load(str(path), map_location="cpu", weights_only=True)
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise StemError(
            f"{str(path)!r} cannot be read with torch.load(weights_only=True): {first}. Save its state_dict() alone."
        ) from None
    tensors: dict[str, np.ndarray] = {}

    def collect(value: Any, above: str) -> None:
        for key, one in value.items():
            if isinstance(one, torch.Tensor):
                tensors[f"{above}{key}"] = one.float().numpy()
            elif isinstance(one, Mapping) and key in WRAPPERS:
                collect(one, f"{above}{key}.")

    if not isinstance(loaded, Mapping):
        raise StemError(f"{str(path)!r} holds a {type(loaded).__name__}, not a state dict. Save model.state_dict().")
    collect(loaded, "")
    return tensors

"""What was found in a checkpoint, for people and for programs."""

from __future__ import annotations

import math
from typing import Any

from .examined import Examined
from .head import TOP

SHOWN = 3  # layers named for each setting that differs
_SAY = "Say it with model.source in a configuration, or --source of restem stem"


def to_dict(found: Examined) -> dict[str, Any]:
    """The result of `restem checkpoint --json`."""
    body = {name: tensors for name, tensors in found.tensors.items() if name != TOP}
    must_be_said, preprocessing = _preprocessing(found)
    return {
        "file": str(found.path),
        "format": found.format,
        "framework": found.framework,
        "architecture": f"modified {found.backbone}" if found.own else found.backbone,
        "channels": found.channels,
        "features": found.features or None,
        "classes": found.classes,
        "layers": len(body),
        "values": sum(math.prod(tensor.shape) for tensors in body.values() for tensor in tensors.values()),
        "settings": settings_told(found),
        "preprocessing": {"told": preprocessing, "must_be_said": must_be_said},
        "left_out": list(found.left_out),
        "assumed": list(found.assumed),
    }


def to_text(found: Examined) -> str:
    """The same in lines."""
    told = to_dict(found)
    size = f"{told['channels']} channels" + (f", {told['features']} features" if told["features"] else "")
    taken = f"{told['layers']} layers with {told['values']:,} values"
    kept = (
        f"one Dense layer with {told['classes']} classes, kept with --include-top"
        if told["classes"]
        else "none that can be kept"
    )
    lines = [
        ("file", told["file"]),
        ("format", f"{told['format']}, {told['framework']}"),
        ("network", f"{told['architecture']}, {size}"),
        ("taken", "the network as it is, with its preprocessing" if found.own else taken),
        *([] if found.own else [("classifier", kept)]),
        *(("settings", sentence) for sentence in told["settings"]),
        ("preprocessing", told["preprocessing"]["told"]),
        *(("left out", sentence) for sentence in told["left_out"]),
        *(("assumed", sentence) for sentence in told["assumed"]),
    ]
    return "\n".join(f"{name:<14} {text}" for name, text in lines)


def settings_told(found: Examined) -> list[str]:
    """Where the file's settings differ from those of keras.applications."""
    by_value: dict[tuple[str, str], list[str]] = {}
    for layer, changes in found.changes.items():
        for key, value in changes.items():
            if layer != TOP:
                by_value.setdefault((key, str(value)), []).append(layer)
    told = [
        f"{key} {value} in {len(layers)} layer(s), not Keras's value: {', '.join(layers[:SHOWN])}"
        + (", ..." if len(layers) > SHOWN else "")
        for (key, value), layers in by_value.items()
    ]
    strides = {layer: changes["strides"] for layer, changes in found.changes.items() if "strides" in changes}
    moved = [layer for layer, value in strides.items() if layer.endswith("_2_conv") and value == [2, 2]]
    if moved and all(strides.get(layer.replace("_2_conv", "_1_conv")) == [1, 1] for layer in moved):
        told.append("the stride of a stage is in its 3x3 convolution: the form v1.5")
    return told


def must_be_said(found: Examined) -> str:
    """Why the preprocessing cannot be taken from the file or from Keras's convention; '' if it can."""
    if found.own or (found.front and found.channels in (1, 3)):
        return ""
    if found.front:
        return f"the file does not name its {found.channels} channels"
    if found.unsure or found.channels == 3:
        return found.unsure
    return f"the file does not say what its {found.channels} channel(s) are"


def _preprocessing(found: Examined) -> tuple[bool, str]:
    """Whether the user must say it, and what is known of it."""
    reason = must_be_said(found)
    if found.own:
        return False, "inside the network, as its report says"
    if found.front:
        told = (
            f"found in the file ({found.front.layers}): "
            + ("reverses the channels, " if found.front.reverse else "")
            + f"multiplies by {_numbers(found.front.scale)}, adds {_numbers(found.front.offset)}"
        )
        return bool(reason), f"{told}; {reason}. {_SAY}" if reason else told
    if reason:
        return True, f"must be said: {reason}. {_SAY}"
    if found.described is not None and found.storage is None:
        return False, (
            "not in the file: that of torchvision and timm is assumed (torch: red, green, blue from 0 to 1, minus "
            "ImageNet's mean, divided by its standard deviation). If this network was trained with another one, the "
            f"results will be wrong without a message. {_SAY}"
        )
    v2 = found.backbone.endswith("V2")
    convention = "tf: red, green, blue from -1 to 1" if v2 else "caffe: blue, green, red, minus ImageNet's means"
    return False, (
        f"not in the file: that of Keras's {found.backbone} is assumed ({convention}). If this network was trained "
        f"with another one, the results will be wrong without a message. {_SAY}"
    )


def _numbers(values: tuple[float, ...]) -> str:
    shown = values[:1] if len(set(values)) == 1 else values
    return ", ".join(f"{value:.6g}" for value in shown)

"""The layers of the stock ResNets with their settings and shapes, as keras.applications builds them.

Written down here so that a file can be compared with them without Keras, in milliseconds. A test compares this with
Keras.
"""

from __future__ import annotations

import dataclasses
from typing import Any

FIRST = "conv1_conv"
PAD = "conv1_pad"
EPSILON = 1.001e-5
STEM_FILTERS = 64
# Blocks per stage, and the filters of the first stage's 3x3 convolutions.
BLOCKS = {
    f"ResNet{depth}{version}": blocks
    for version in ("", "V2")
    for depth, blocks in {"50": (3, 4, 6, 3), "101": (3, 4, 23, 3), "152": (3, 8, 36, 3)}.items()
}
WIDTH = 64


@dataclasses.dataclass(frozen=True)
class Part:
    """One layer: its class, the layers that it reads, and the settings that its answers depend on."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    settings: dict[str, Any]
    channels: int = 0  # input channels of a convolution, channels of a BatchNormalization

    def shapes(self, changes: dict[str, Any] | None = None) -> dict[str, tuple[int, ...]]:
        """The shapes of its tensors, in Keras's order, with other values of its settings."""
        now = {**self.settings, **(changes or {})}
        if self.kind == "Conv2D":
            found = {"kernel": (*now["kernel_size"], self.channels // now["groups"], now["filters"])}
            return {**found, **({"bias": (now["filters"],)} if now["use_bias"] else {})}
        if self.kind == "BatchNormalization":
            one = (self.channels,)
            found = {"gamma": one} if now["scale"] else {}
            found |= {"beta": one} if now["center"] else {}
            return {**found, "moving_mean": one, "moving_variance": one}
        return {}


@dataclasses.dataclass(frozen=True)
class Layout:
    """A stock network without its top: the layers in the order of Keras's model.layers, and its last layer."""

    backbone: str
    parts: tuple[Part, ...]
    end: str
    features: int

    @property
    def weighted(self) -> tuple[Part, ...]:
        """The convolutions and BatchNormalizations."""
        return tuple(part for part in self.parts if part.shapes())

    def other_order(self) -> tuple[Part, ...]:
        """The same with shortcut and last convolution of each first block exchanged, as Keras 2.0 had them."""
        names = {part.name: part for part in self.parts}
        swap = {"_0_": "_3_", "_3_": "_0_"}

        def other(part: Part) -> Part:
            for here, there in swap.items():
                name = part.name.replace(here, there)
                if here in part.name and name in names and part.name.replace(here, "_0_") in names:
                    return names[name]
            return part

        return tuple(other(part) for part in self.weighted)


def layout_of(backbone: str, channels: int = 3) -> Layout:
    """The layout of a backbone whose images have so many channels."""
    build = Builder(channels)
    v2 = backbone.endswith("V2")
    blocks = BLOCKS[backbone]
    x = build.add("ZeroPadding2D", PAD, ("input",), padding=[[3, 3], [3, 3]])
    x = build.conv(FIRST, x, STEM_FILTERS, 7, strides=2)
    if not v2:
        x = build.relu("conv1_relu", build.norm("conv1_bn", x))
    x = build.add("ZeroPadding2D", "pool1_pad", (x,), padding=[[1, 1], [1, 1]])
    x = build.add("MaxPooling2D", "pool1_pool", (x,), pool_size=[3, 3], strides=[2, 2], padding="valid")
    for place, count in enumerate(blocks):
        filters = WIDTH * 2**place
        for block in range(1, count + 1):
            name = f"conv{place + 2}_block{block}"
            if v2:
                stride = 2 if block == count and place < len(blocks) - 1 else 1
                x = build.block_v2(name, x, filters, stride, shortcut=block == 1)
            else:
                x = build.block_v1(name, x, filters, 2 if block == 1 and place else 1, shortcut=block == 1)
    if v2:
        x = build.relu("post_relu", build.norm("post_bn", x))
    return Layout(backbone, tuple(build.parts), x, build.width[x])


class Builder:
    """Collects the layers of a network, and how many channels each gives."""

    def __init__(self, channels: int, epsilon: float = EPSILON) -> None:
        self.parts: list[Part] = []
        self.width = {"input": channels}
        self.epsilon = epsilon

    def add(self, kind: str, name: str, inputs: tuple[str, ...], width: int = 0, **settings: Any) -> str:
        self.parts.append(Part(name, kind, inputs, settings, self.width[inputs[0]]))
        self.width[name] = width or self.width[inputs[0]]
        return name

    def conv(self, name: str, x: str, filters: int, size: int, **settings: Any) -> str:
        side = settings.pop("strides", 1)
        return self.add(
            "Conv2D",
            name,
            (x,),
            filters,
            filters=filters,
            kernel_size=[size, size],
            strides=[side, side],
            dilation_rate=[1, 1],
            groups=1,
            activation="linear",
            **{"padding": "valid", "use_bias": True, **settings},
        )

    def norm(self, name: str, x: str) -> str:
        return self.add("BatchNormalization", name, (x,), axis=3, epsilon=self.epsilon, center=True, scale=True)

    def pad(self, name: str, x: str, zeros: int) -> str:
        return self.add("ZeroPadding2D", name, (x,), padding=[[zeros, zeros], [zeros, zeros]])

    def relu(self, name: str, x: str) -> str:
        return self.add("Activation", name, (x,), activation="relu")

    def block_v1(self, name: str, x: str, filters: int, stride: int, shortcut: bool) -> str:
        y = self.conv(f"{name}_1_conv", x, filters, 1, strides=stride)
        y = self.relu(f"{name}_1_relu", self.norm(f"{name}_1_bn", y))
        y = self.conv(f"{name}_2_conv", y, filters, 3, padding="same")
        y = self.relu(f"{name}_2_relu", self.norm(f"{name}_2_bn", y))
        other = self.conv(f"{name}_0_conv", x, 4 * filters, 1, strides=stride) if shortcut else x
        y = self.conv(f"{name}_3_conv", y, 4 * filters, 1)
        other = self.norm(f"{name}_0_bn", other) if shortcut else x
        y = self.norm(f"{name}_3_bn", y)
        return self.relu(f"{name}_out", self.add("Add", f"{name}_add", (other, y)))

    def block_v2(self, name: str, x: str, filters: int, stride: int, shortcut: bool) -> str:
        before = self.relu(f"{name}_preact_relu", self.norm(f"{name}_preact_bn", x))
        y = self.conv(f"{name}_1_conv", before, filters, 1, use_bias=False)
        y = self.relu(f"{name}_1_relu", self.norm(f"{name}_1_bn", y))
        y = self.add("ZeroPadding2D", f"{name}_2_pad", (y,), padding=[[1, 1], [1, 1]])
        y = self.conv(f"{name}_2_conv", y, filters, 3, strides=stride, use_bias=False)
        y = self.relu(f"{name}_2_relu", self.norm(f"{name}_2_bn", y))
        other = x
        if shortcut:
            other = self.conv(f"{name}_0_conv", before, 4 * filters, 1, strides=stride)
        elif stride > 1:
            # Keras counts the names of these pools up in a process.
            name_of_pool, strides = f"{name}_pool", [stride, stride]
            other = self.add("MaxPooling2D", name_of_pool, (x,), pool_size=[1, 1], strides=strides, padding="valid")
        return self.add("Add", f"{name}_out", (other, self.conv(f"{name}_3_conv", y, 4 * filters, 1)))

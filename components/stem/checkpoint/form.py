"""ResNets in PyTorch's form (v1.5): which there are, and their layers under Keras's names, in one place for all.

The network is built from these layers (../pytorch.py), and files are compared with them. It differs from that of
keras.applications: the stride of a stage is in its 3x3 convolution, which pads both sides with a zero, and
BatchNormalization's epsilon is 1e-5. It has Keras's names otherwise, and biases (of zero, if a file has none), so that
every change of the stem is the same.
"""

from __future__ import annotations

import dataclasses

from .layout import BLOCKS, FIRST, PAD, STEM_FILTERS, Builder, Layout, layout_of

EPSILON = 1e-5  # of BatchNormalization
WIDTH = 64
Blocks = tuple[int, ...]
# The kind of block (basic: two 3x3 convolutions) and the blocks of each stage.
FORMS: dict[str, tuple[bool, Blocks]] = {
    "ResNet18": (True, (2, 2, 2, 2)),
    "ResNet26": (False, (2, 2, 2, 2)),
    "ResNet34": (True, (3, 4, 6, 3)),
    "ResNet50": (False, (3, 4, 6, 3)),
    "ResNet101": (False, (3, 4, 23, 3)),
    "ResNet152": (False, (3, 8, 36, 3)),
}


# Those that keras.applications does not have: these names always mean PyTorch's form.
OTHERS = tuple(name for name in FORMS if name not in BLOCKS)
KNOWN = (*BLOCKS, *OTHERS)


@dataclasses.dataclass(frozen=True)
class Form:
    """A ResNet in PyTorch's form.

    Attributes:
        backbone: its name, one of FORMS.
        basic: blocks of two 3x3 convolutions; otherwise bottlenecks of 1x1, 3x3 and 1x1.
        blocks: of each stage.
        width: filters of the first stage's 3x3 convolutions: 64, or 128 in a wide ResNet.
        channels: of the first convolution.
        stem: filters of the stem's convolutions: one of 7x7, or several of 3x3 (ResNet-C and -D).
        average: a shortcut with a stride is an average pool of 2x2, then a convolution without a stride (ResNet-D).
        shortcut: the first block has a convolution in its shortcut also where the sizes do not need one (KerasHub).
        preact: BatchNormalization and ReLU stand in front of the convolutions (ResNetV2).
    """

    backbone: str
    basic: bool
    blocks: Blocks
    width: int = WIDTH
    channels: int = 3
    stem: tuple[int, ...] = (STEM_FILTERS,)
    average: bool = False
    shortcut: bool = False
    preact: bool = False

    @property
    def features(self) -> int:
        return self.out(len(self.blocks) - 1)

    def out(self, stage: int) -> int:
        """The features of a stage, counted from 0."""
        return (self.width if self.basic else 4 * WIDTH) * 2**stage

    @property
    def told(self) -> str:
        """How it differs from the usual network of its name; '' if it does not."""
        parts = [] if self.width == WIDTH else [f"wide: {self.width} filters"]
        if len(self.stem) > 1:
            parts.append(f"a deep stem of 3x3 convolutions with {', '.join(map(str, self.stem))} filters")
        elif self.stem != (STEM_FILTERS,):
            parts.append(f"{self.stem[0]} filters in the stem")
        if self.average:
            parts.append("average pooling in its shortcuts (ResNet-D)")
        if self.preact:
            parts.append("V2 with the stride in the first block of a stage")
        return ", ".join(parts)


def form_of(backbone: str, channels: int = 3) -> Form:
    """The usual form of a name in FORMS."""
    return Form(backbone, *FORMS[backbone], channels=channels)


def known_layout(backbone: str, channels: int = 3) -> Layout:
    """The layers of a network by its name: as keras.applications builds it, or in PyTorch's form if Keras has none."""
    return layout_of(backbone, channels) if backbone in BLOCKS else layout_of_form(form_of(backbone, channels))


def layout_of_form(form: Form) -> Layout:
    """Its layers, without a top, in the order in which they are computed."""
    build = Builder(form.channels, EPSILON)
    x = "input"
    for place, filters in enumerate(form.stem):
        start = "conv1" if place == 0 else f"conv1_{place + 1}"
        side, stride = (7 if len(form.stem) == 1 else 3), (2 if place == 0 else 1)
        x = build.pad(PAD if place == 0 else f"{start}_pad", x, side // 2)
        x = build.conv(FIRST if place == 0 else f"{start}_conv", x, filters, side, strides=stride)
        if not form.preact:
            x = build.relu(f"{start}_relu", build.norm(f"{start}_bn", x))
    if form.preact:
        # Padding with minus infinity, of built-in layers: stride 1 pads both sides alike, then every second pixel.
        x = build.add("MaxPooling2D", "pool1_pool", (x,), pool_size=[3, 3], strides=[1, 1], padding="same")
        x = build.add("MaxPooling2D", "pool1_take", (x,), pool_size=[1, 1], strides=[2, 2], padding="valid")
    else:
        # PyTorch pads with minus infinity; nothing here is below zero.
        x = build.pad("pool1_pad", x, 1)
        x = build.add("MaxPooling2D", "pool1_pool", (x,), pool_size=[3, 3], strides=[2, 2], padding="valid")
    for stage, count in enumerate(form.blocks):
        for block in range(count):
            name = f"conv{stage + 2}_block{block + 1}"
            make = _preact_block if form.preact else _block
            x = make(build, form, stage, name, x, 2 if stage and block == 0 else 1)
    if form.preact:
        x = build.relu("post_relu", build.norm("post_bn", x))
    return Layout(form.backbone, tuple(build.parts), x, build.width[x])


def _block(build: Builder, form: Form, stage: int, name: str, x: str, stride: int) -> str:
    width, out = form.width * 2**stage, form.out(stage)
    before = x
    if stride > 1 or build.width[x] != out or (form.shortcut and name == "conv2_block1"):
        if form.average and stride > 1:
            # As PyTorch's ceil_mode without counting the padding: at an odd edge, the mean of what is there.
            before = build.add(
                "AveragePooling2D",
                f"{name}_0_pool",
                (before,),
                pool_size=[stride, stride],
                strides=[stride, stride],
                padding="same",
            )
        side = 1 if form.average else stride
        before = build.norm(f"{name}_0_bn", build.conv(f"{name}_0_conv", before, out, 1, strides=side))
    sides = (3, 3) if form.basic else (1, 3, 1)
    strided = sides.index(3)  # the first 3x3 convolution has the stride
    y = x
    for place, side in enumerate(sides):
        last = place == len(sides) - 1
        start = f"{name}_{place + 1}"
        if side == 3:
            # Keras's own padding "same" would pad one side only where the stride is 2.
            y = build.pad(f"{start}_pad", y, 1)
        y = build.conv(f"{start}_conv", y, out if last else width, side, strides=stride if place == strided else 1)
        y = build.norm(f"{start}_bn", y)
        y = y if last else build.relu(f"{start}_relu", y)
    return build.relu(f"{name}_out", build.add("Add", f"{name}_add", (before, y)))


def _preact_block(build: Builder, form: Form, stage: int, name: str, x: str, stride: int) -> str:
    width, out = form.width * 2**stage, form.out(stage)
    before = build.relu(f"{name}_preact_relu", build.norm(f"{name}_preact_bn", x))
    other = build.conv(f"{name}_0_conv", before, out, 1, strides=stride) if name.endswith("_block1") else x
    y = build.conv(f"{name}_1_conv", before, width, 1)
    y = build.pad(f"{name}_2_pad", build.relu(f"{name}_1_relu", build.norm(f"{name}_1_bn", y)), 1)
    y = build.conv(f"{name}_2_conv", y, width, 3, strides=stride)
    y = build.relu(f"{name}_2_relu", build.norm(f"{name}_2_bn", y))
    return build.add("Add", f"{name}_out", (other, build.conv(f"{name}_3_conv", y, out, 1)))

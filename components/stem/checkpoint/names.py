"""The names of a ResNet's layers over the years, each turned into the present one of keras.applications."""

from __future__ import annotations

import re

# keras.applications since 2.2.5, and since tf.keras 2.0.
_NOW = re.compile(r"(conv1_(?:conv|bn)|conv\d_block\d+_(?:[0-3]|preact)_(?:conv|bn)|post_bn)(?:_\d+)?")
# Before: res2a_branch1, bn4f_branch2c; in deeper networks res3b7_branch2a.
_BEFORE = re.compile(r"(res|bn)(\d)([a-z])(\d*)_branch(1|2a|2b|2c)(?:_\d+)?")
_PLACE = {"1": "0", "2a": "1", "2b": "2", "2c": "3"}


def present_name(name: str) -> str | None:
    """The present name of a convolution or BatchNormalization of a ResNet; None for every other layer.

    Keras and TensorFlow 1 append a count if a network is built several times in one process: conv1_conv_1.
    """
    now = _NOW.fullmatch(name)
    if now:
        return now[1]
    if name in ("conv1", "bn_conv1"):
        return "conv1_conv" if name == "conv1" else "conv1_bn"
    before = _BEFORE.fullmatch(name)
    if not before:
        return None
    kind, stage, letter, count, branch = before.groups()
    block = 1 + int(count) if count else 1 + ord(letter) - ord("a")
    return f"conv{stage}_block{block}_{_PLACE[branch]}_{'conv' if kind == 'res' else 'bn'}"


def is_old(name: str) -> bool:
    """Whether a name is one of Keras 2.0's, whose BatchNormalization had an epsilon of 0.001."""
    return name in ("conv1", "bn_conv1") or _BEFORE.fullmatch(name) is not None


_OTHERS = {
    "ResNet of classification_models (segmentation_models), whose layers are in another order": "stage1_unit1_conv1",
    "VGG": "block1_conv1",
    "MobileNet": "conv_dw_1",
    "MobileNetV2": "Conv1_relu",
    "Xception": "block14_sepconv2",
    "DenseNet": "conv1/conv",
    "EfficientNet": "stem_conv",
    "NASNet": "stem_conv1",
}


def other_family(names: set[str]) -> str:
    """A known network that is not a ResNet, for the message; empty if none is recognised."""
    return next((family for family, name in _OTHERS.items() if name in names), "")

"""One checkpoint file, what is right about it, and the networks that most of them have."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint_models import Layer, dense, plain, resnet

BLOCKS = {"ResNet50": (2, 2), "ResNet101": (2, 3), "ResNet152": (3, 3)}
BLOCKS |= {f"{name}V2": counts for name, counts in BLOCKS.items()}
WIDTH = 4
FEATURES = 4 * WIDTH * 2


@dataclasses.dataclass
class Case:
    """A file, and what is right.

    Attributes:
        group: of the table.
        told: the file, in words.
        write: makes the file in a folder, and gives its path and the tensors that it must be read with.
        words: of the message, if it must be refused; else None.
        changes: settings that must be found, by layer.
        front: scale and offset of the layers in front, or `say` if the preprocessing must be said.
        classes: of the classifier that can be kept.
        assumed: words in the sentences about what is assumed.
    """

    group: str
    told: str
    write: Callable[[Path], tuple[Path, Layer | None]]
    words: str | None = None
    changes: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    front: Any = None
    classes: int | None = None
    assumed: str = ""
    backbone: str = "ResNet50"


CASES: list[Case] = []


def case(group, told, file, words=None, **right):
    """Registers a function from a path to the ResNet whose tensors are right, or None."""

    def register(write):
        CASES.append(Case(group, told, lambda folder: (folder / file, write(folder / file)), words, **right))
        return write

    return register


V1, V2 = resnet, lambda **options: resnet("ResNet50V2", **options)
GAP = plain("GlobalAveragePooling2D", "avg_pool", "")
POOLED = {"conv1_bn": {"epsilon": 1e-3}}
STRIDES = {"conv3_block1_1_conv": {"strides": [1, 1]}, "conv3_block1_2_conv": {"strides": [2, 2]}}


def head(*units, features=FEATURES):
    layers, rows = [GAP], features
    for place, columns in enumerate(units):
        activation = "softmax" if place == len(units) - 1 else "relu"
        name = "predictions" if len(units) == 1 else f"dense_{place}"
        layers += [dense(name, rows, columns, "", activation)]
        rows = columns
    return layers


def adapted(values=((3.0, 4.0, 5.0), (4.0, 9.0, 16.0))):
    tensors = {name: np.array(v, "float32") for name, v in zip(("mean", "variance"), values, strict=True)}
    return Layer("Normalization", "norm", {"axis": -1, "mean": None}, [], tensors | {"count": np.array(7)})


LAMBDA = plain("Lambda", "evil", "", function={"class_name": "__lambda__", "config": {"code": "4wEAAAA="}})

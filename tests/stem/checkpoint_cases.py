"""Checkpoint files of different make: what people have, and what becomes of each."""

import dataclasses
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .checkpoint_models import (
    Layer,
    around,
    changed,
    config_of,
    dense,
    flat,
    old_name,
    plain,
    renamed,
    resnet,
    write_archive,
    write_counted,
    write_named,
    write_weights,
)

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
INSIDE = "nested"


def head(*units, features=FEATURES):
    layers, rows = [GAP], features
    for place, columns in enumerate(units):
        activation = "softmax" if place == len(units) - 1 else "relu"
        name = "predictions" if len(units) == 1 else f"dense_{place}"
        layers += [dense(name, rows, columns, "", activation)]
        rows = columns
    return layers


def in_group(_, layer):
    return layer.name


# Weights alone, with names -------------------------------------------------------------------------------------------
def weights_with_names():
    group = "weights with names (.h5)"
    for told, options in {
        "Keras 2, TensorFlow": {},
        "Keras 3": {"version": "3.15.0", "suffix": ""},
        "names of the layers in several attributes": {"version": "chunked"},
        "TensorFlow 1, built a second time in one process": {"scope": lambda _, layer: f"{layer.name}_1"},
    }.items():

        @case(group, f"{told}, without top", "notop.h5")
        def _(path, options=options):
            return (write_named(path, model := V1(), **options), model)[1]

    @case(group, "V2", "v2.h5", backbone="ResNet50V2")
    def _(path):
        return (write_named(path, model := V2()), model)[1]

    @case(group, "ResNet101", "deep.h5", backbone="ResNet101")
    def _(path):
        return (write_named(path, model := resnet("ResNet101")), model)[1]

    @case(group, "with its top of 1000 classes", "top.h5", classes=1000, assumed="softmax")
    def _(path):
        return (write_named(path, flat(model := V1(), head=head(1000))), model)[1]

    @case(group, "with a head of two Dense layers", "two.h5")
    def _(path):
        return (write_named(path, flat(model := V1(), head=head(16, 3))), model)[1]

    @case(group, "the ending .hdf5", "weights.hdf5")
    def _(path):
        return (write_named(path, model := V1()), model)[1]

    @case(group, "12 channels, 43 classes", "bands.h5", classes=43, front="say")
    def _(path):
        return (write_named(path, flat(model := V1(channels=12), head=head(43))), model)[1]

    @case(group, "the ResNet inside a Sequential, one Dense", "inside.h5", classes=3)
    def _(path):
        return (write_named(path, around(model := V1(), head=head(3), sequential=True)), model)[1]

    @case(group, "the ResNet inside a model, three Dense, names of Keras 3", "three.h5")
    def _(path):
        model = V1()
        write_named(path, around(model, head=head(64, 16, 3)), version="3.15.0", suffix="")
        return model

    @case(group, "the ResNet inside a model of a class of its own", "class.h5", classes=3)
    def _(path):
        model = V1()
        write_named(path, around(model, head=head(3)), scope=lambda g, x: f"my_model/{g.name}/{x.name}")
        return model

    @case(group, "Keras 2.0: res2a_branch2a, without top", "old.h5", assumed="epsilon of 0.001")
    def _(path):
        return (write_named(path, renamed(model := V1(), old_name), version="2.0.8"), model)[1]

    @case(group, "Keras 2.0 inside a Sequential, two Dense", "oldin.h5", assumed="epsilon of 0.001")
    def _(path):
        model = V1()
        write_named(path, around(renamed(model, old_name), head=head(8, 3), sequential=True), version="2.1.6")
        return model

    @case(group, "Keras 1: res2a_branch2a_W, running_std", "keras1.h5", assumed="epsilon of 0.001")
    def _(path):
        model = V1()
        write_named(path, renamed(model, old_name), version="1.2.2", scope=lambda g, _: "", suffix=":0")
        with h5py.File(path, "r+") as file:
            endings = {"kernel": "W", "bias": "b", "moving_mean": "running_mean", "moving_variance": "running_std"}
            for name, group in file.items():
                new = []
                for weight in list(group):
                    role = weight.split(":")[0]
                    new.append(f"{name}_{endings.get(role, role)}:0")
                    group.move(weight, new[-1])
                order = ["W", "b", "gamma", "beta", "running_mean", "running_std"]
                group.attrs["weight_names"] = sorted(
                    (one.encode() for one in new), key=lambda one: order.index(one.decode()[len(name) + 1 : -2])
                )
        return model

    @case(group, "layers renamed afterwards, tensors not", "renamed.h5")
    def _(path):
        model = V1()
        back = {f"{layer.name}_rgb": layer.name for layer in model.layers}
        write_named(path, renamed(model, "{}_rgb".format), scope=lambda _, layer: back[layer.name])
        return model

    @case(group, "convolutions without bias", "nobias.h5", assumed="bias")
    def _(path):
        model = V1()
        model = changed(model, **{x.name: {"use_bias": False} for x in model.layers if x.kind == "Conv2D"})
        return (write_named(path, model), model)[1]

    @case(group, "no BatchNormalization has a scale", "noscale.h5")
    def _(path):
        model = V1()
        model = changed(model, **{x.name: {"scale": False} for x in model.layers if x.kind == "BatchNormalization"})
        return (write_named(path, model), model)[1]

    @case(group, "names of its own, in Keras's order", "own.h5", assumed="order and shapes", front="say")
    def _(path):
        model = V1()
        write_named(path, renamed(model, lambda name: f"layer_{name.replace('_', '')}"))
        return model

    @case(group, "a layer Rescaling in front", "front.h5", front="say", classes=3)
    def _(path):
        front = [plain("Rescaling", "rescaling", "", scale=1 / 255)]
        return (write_named(path, around(model := V1(), front, head(3))), model)[1]

    @case(group, "a Normalization in front", "norm.h5", front="say", classes=4)
    def _(path):
        return (write_named(path, around(model := V1(), [adapted()], head(4))), model)[1]

    @case(group, "an unknown convolution in front", "conv.h5", front="say", classes=4)
    def _(path):
        first = Layer("Conv2D", "to_rgb", {}, [], {"kernel": np.ones((1, 1, 5, 3), "float32")})
        return (write_named(path, around(model := V1(), [first], head(4))), model)[1]


def adapted(values=((3.0, 4.0, 5.0), (4.0, 9.0, 16.0))):
    tensors = {name: np.array(v, "float32") for name, v in zip(("mean", "variance"), values, strict=True)}
    return Layer("Normalization", "norm", {"axis": -1, "mean": None}, [], tensors | {"count": np.array(7)})


# Weights alone, by class and count -----------------------------------------------------------------------------------
def weights_by_count():
    group = "weights by class and count (.weights.h5)"
    makers = {
        "Keras 3.6 and later": {"names": True},
        "Keras 3.0 to 3.5, tf_keras 2.16 and later": {},
        "Keras 2.12 to 2.15": {"attribute": "_layer_checkpoint_dependencies"},
    }
    for told, options in makers.items():
        order = "" if options.get("names") else "order and shapes"

        @case(group, told, "plain.weights.h5", assumed=order)
        def _(path, options=options):
            return (write_weights(path, model := V1(), **options), model)[1]

        @case(group, f"{told}, V2", "v2.weights.h5", assumed=order, backbone="ResNet50V2")
        def _(path, options=options):
            return (write_weights(path, model := V2(), **options), model)[1]

        @case(group, f"{told}, inside a Sequential, one Dense", "in.weights.h5", assumed=order, classes=3)
        def _(path, options=options):
            return (write_weights(path, around(model := V1(), head=head(3), sequential=True), **options), model)[1]

        @case(group, f"{told}, inside a model, two Dense", "two.weights.h5", assumed=order)
        def _(path, options=options):
            return (write_weights(path, around(model := V1(), head=head(16, 3)), **options), model)[1]

        @case(group, f"{told}, a Rescaling in front", "front.weights.h5", assumed=order, front="say", classes=3)
        def _(path, options=options):
            front = [plain("Rescaling", "rescaling", "", scale=1 / 255)]
            return (write_weights(path, around(model := V1(), front, head(3)), **options), model)[1]

        @case(group, f"{told}, augmentation in front", "aug.weights.h5", assumed=order, classes=3)
        def _(path, options=options):
            front = [plain("RandomFlip", "random_flip", ""), plain("RandomRotation", "random_rotation", "")]
            return (write_weights(path, around(model := V1(), front, head(3)), **options), model)[1]

    @case(group, "of a ResNet with Keras 2.0's names", "old.weights.h5", assumed="epsilon of 0.001")
    def _(path):
        return (write_weights(path, renamed(model := V1(), old_name), names=True), model)[1]

    @case(group, "shortcut and last convolution in the other order", "other.weights.h5", assumed="order and shapes")
    def _(path):
        model = V1()
        layers = list(model.layers)
        for block in ("conv2_block1", "conv3_block1"):
            for kind in ("conv", "bn"):
                a, b = (next(i for i, x in enumerate(layers) if x.name == f"{block}_{n}_{kind}") for n in "03")
                layers[a], layers[b] = layers[b], layers[a]
        return (write_weights(path, dataclasses.replace(model, layers=layers)), model)[1]

    @case(group, "kernels in 16 bits (bfloat16)", "half.weights.h5")
    def _(path):
        model = V1()
        for layer in model.layers:
            layer.tensors = {k: (v.view("uint32") & 0xFFFF0000).view("float32") for k, v in layer.tensors.items()}
        write_weights(path, model, names=True)
        with h5py.File(path, "r+") as file:
            place = file["layers/conv2d/vars"]
            value = (place["0"][...].view("uint32") >> 16).astype("uint16")
            del place["0"]
            data = place.create_dataset("0", data=value.view(np.dtype("V2")))
            data.attrs["dtype"] = "bfloat16"
        return model


# Whole models --------------------------------------------------------------------------------------------------------
def whole_models():
    group = "whole models"
    for told, version, attribute in (
        ("Keras 3 .keras", "3.15.0", "layers"),
        ("tf_keras .keras", "2.21.0", "layers"),
        ("Keras 2.13 .keras", "2.13.1", "_layer_checkpoint_dependencies"),
    ):

        @case(group, f"{told}, the ResNet alone", "alone.keras")
        def _(path, version=version, attribute=attribute):
            return (write_archive(path, model := V1(), version, attribute=attribute), model)[1]

        @case(group, f"{told}, inside a Sequential, two Dense", "in.keras")
        def _(path, version=version, attribute=attribute):
            outer = around(model := V1(), head=head(8, 3), sequential=True)
            return (write_archive(path, outer, version, attribute=attribute), model)[1]

        @case(
            group,
            f"{told}, Rescaling(1/127.5, -1) in front, one Dense",
            "front.keras",
            front=(1 / 127.5, -1),
            classes=3,
        )
        def _(path, version=version, attribute=attribute):
            front = [plain("Rescaling", "r", "", scale=1 / 127.5, offset=-1)]
            return (write_archive(path, around(model := V1(), front, head(3)), version, attribute=attribute), model)[1]

    for told, ending in (("Keras 2 .h5", "h5"), ("Keras 2 .hdf5", "hdf5"), ("Keras 2 .keras that is HDF5", "keras")):

        @case(group, f"{told}, the ResNet alone, BatchNormalization's axis as a list", f"alone.{ending}")
        def _(path):
            return (write_named(path, model := V1(), whole=True), model)[1]

    @case(group, "Keras 2 .h5, inside a Sequential, one Dense", "in.h5", classes=5)
    def _(path):
        return (write_named(path, around(model := V1(), head=head(5), sequential=True), whole=True), model)[1]

    @case(group, "Keras 3 .h5, inside a model", "in3.h5", classes=5)
    def _(path):
        outer = around(model := V1(), head=head(5))
        write_named(path, outer, whole=True, version="3.15.0", suffix="", config=config_of(outer, 3))
        return model

    @case(group, "Keras 2 .h5, in one model with its head, V2", "flat2.h5", classes=5, backbone="ResNet50V2")
    def _(path):
        return (write_named(path, flat(model := V2(), head=head(5)), whole=True), model)[1]

    @case(group, "adapted Normalization in front, .h5", "norm.h5", front=((1 / 2, 1 / 3, 1 / 4), (-1.5, -4 / 3, -1.25)))
    def _(path):
        return (write_named(path, around(model := V1(), [adapted()]), whole=True), model)[1]

    @case(
        group, "adapted Normalization in front, .keras", "n.keras", front=((1 / 2, 1 / 3, 1 / 4), (-1.5, -4 / 3, -1.25))
    )
    def _(path):
        return (write_archive(path, around(model := V1(), [adapted()])), model)[1]

    caffe = (1, (-103.939, -116.779, -123.68))

    @case(
        group, "preprocess_input of Keras 2 in front (SlicingOpLambda, TFOpLambda)", "caffe.h5", front=caffe, classes=3
    )
    def _(path):
        spec = [{"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}]
        front = [
            Layer(
                "SlicingOpLambda", "getitem", {"function": "__operators__.getitem"}, [], arguments={"slice_spec": spec}
            ),
            Layer(
                "TFOpLambda",
                "bias_add",
                {"function": "nn.bias_add"},
                [],
                arguments={"bias": list(caffe[1]), "data_format": "NHWC"},
            ),
        ]
        return (write_named(path, around(model := V1(), front, head(3)), whole=True), model)[1]

    @case(group, "a Lambda behind the ResNet", "behind.keras")
    def _(path):
        return (write_archive(path, around(model := V1(), head=[GAP, LAMBDA])), model)[1]

    @case(group, "a custom layer behind the ResNet", "custom.keras")
    def _(path):
        extra = plain("Attention", "attention", "", package="my_project.layers", heads=4)
        return (write_archive(path, around(model := V1(), head=[extra, *head(3)])), model)[1]

    @case(group, "strides in the 3x3 (v1.5)", "v15.keras", changes=STRIDES)
    def _(path):
        return (write_archive(path, model := changed(V1(), **STRIDES)), model)[1]

    @case(group, "strides in the 3x3 (v1.5), Keras 2 .h5, inside a model", "v15.h5", changes=STRIDES)
    def _(path):
        return (write_named(path, around(model := changed(V1(), **STRIDES)), whole=True), model)[1]

    @case(group, "an epsilon of 0.001", "epsilon.keras", changes=POOLED)
    def _(path):
        return (write_archive(path, model := changed(V1(), **POOLED)), model)[1]

    @case(group, "no bias in the first convolution", "first.h5", changes={"conv1_conv": {"use_bias": False}})
    def _(path):
        return (write_named(path, model := changed(V1(), conv1_conv={"use_bias": False}), whole=True), model)[1]

    every = {part.name: {"epsilon": 1e-3} for part in V1().layers if part.kind == "BatchNormalization"}

    @case(group, "Keras 2.0: its names, epsilon 0.001", "old.h5", changes=every)
    def _(path):
        return (
            write_named(path, renamed(model := changed(V1(), **every), old_name), whole=True, version="2.0.8"),
            model,
        )[1]

    @case(group, "names counted by Keras (conv2d_12)", "counted.keras")
    def _(path):
        model = V1()
        names = {layer.name: f"{layer.kind.lower()}_{place}" for place, layer in enumerate(model.layers)}
        return (write_archive(path, renamed(model, names.get)), model)[1]

    @case(group, "ReLU layers instead of Activation", "relu.keras")
    def _(path):
        model = V1()
        layers = [
            dataclasses.replace(x, kind="ReLU", config={"max_value": None}) if x.kind == "Activation" else x
            for x in model.layers
        ]
        return (write_archive(path, dataclasses.replace(model, layers=layers)), model)[1]

    @case(group, "channels-first images", "first.keras")
    def _(path):
        model = V1()
        other = {x.name: {"axis": 1} for x in model.layers if x.kind == "BatchNormalization"}
        other |= {x.name: {"data_format": "channels_first"} for x in model.layers if x.kind == "Conv2D"}
        return (write_archive(path, changed(model, **other)), model)[1]

    @case(group, "packed again with compression", "packed.keras")
    def _(path):
        return (write_archive(path, model := V1(), compression=zipfile.ZIP_DEFLATED), model)[1]

    @case(group, "a folder instead of an archive", "folder")
    def _(path):
        path.mkdir()
        (path / "config.json").write_text(json.dumps(config_of(model := V1())))
        with h5py.File(path / "model.weights.h5", "w") as file:
            write_counted(file, model)
        return model

    @case(group, "a class of its own around the ResNet", "subclass.keras", front="say", classes=3)
    def _(path):
        config = {"module": "my", "class_name": "Net", "config": {}, "registered_name": "Net"}
        return (write_archive(path, around(model := V1(), head=head(3)), config=config, names=True), model)[1]


LAMBDA = plain("Lambda", "evil", "", function={"class_name": "__lambda__", "config": {"code": "4wEAAAA="}})


# Refused -------------------------------------------------------------------------------------------------------------
def refused():
    group = "refused"

    def bytes_of(told, file, content, words):
        @case(group, told, file, words)
        def _(path):
            path.write_bytes(content)

    for told, layer in {
        "a Lambda in front of the ResNet": LAMBDA,
        "a custom layer in front": plain("Scale", "scale", "", package="my.layers"),
        "a custom layer that calls itself Rescaling": plain("Rescaling", "mine", "", package="my.layers", scale=1),
        "a Resizing in front": plain("Resizing", "resizing", "", height=224, width=224),
        "an unknown operation in front": Layer("TFOpLambda", "tf.math.log", {"function": "math.log"}, [""]),
    }.items():

        @case(group, told, "front.keras", rf"'{layer.name}' \({layer.kind}\) is in front of the ResNet")
        def _(path, layer=layer):
            write_archive(path, around(V1(), [layer], head(3)))

    @case(group, "two ResNets, whole", "pair.keras", r"contains 2 ResNets \('left', 'right'\)")
    def _(path):
        write_archive(path, around(V1(name="left"), head=[V1(name="right")]))

    @case(group, "two ResNets, weights", "pair.h5", "contains 2 ResNets .in left, right")
    def _(path):
        write_named(path, around(V1(name="left"), head=[V1(name="right")]))

    @case(group, "another depth", "depth.h5", "contains no stock ResNet; compared with ResNet50: it has 8 layer")
    def _(path):
        write_named(path, depth(path, (2, 2, 1)))

    @case(group, "a layer between two blocks", "between.keras", "conv3_block1_.* reads .*another network")
    def _(path):
        model = V1()
        at = next(i for i, layer in enumerate(model.layers) if layer.name == "conv2_block2_out")
        extra = plain("LayerScale", "between", "conv2_block2_out", package="my")
        layers = [*model.layers[: at + 1], extra]
        for layer in model.layers[at + 1 :]:
            layers.append(
                dataclasses.replace(layer, inputs=[s.replace("conv2_block2_out", "between") for s in layer.inputs])
            )
        write_archive(path, dataclasses.replace(model, layers=layers))

    @case(group, "an activation of its own", "mine.keras", "conv1_relu.*activation of its own")
    def _(path):
        write_archive(path, changed(V1(), conv1_relu={"activation": {"class_name": "function", "config": "mine"}}))

    @case(group, "strides that are no numbers", "strides.keras", "'conv1_conv' has strides='two'")
    def _(path):
        write_archive(path, changed(V1(), conv1_conv={"strides": "two"}))

    @case(group, "a setting that Keras does not have", "setting.keras", "setting blur=3, which is not known")
    def _(path):
        write_archive(path, changed(V1(), pool1_pool={"blur": 3}))

    @case(group, "a convolution with other shapes", "wide.h5", "weights of 'conv2_block1_1_conv' have shapes")
    def _(path):
        model = V1()
        part = next(layer for layer in model.layers if layer.name == "conv2_block1_1_conv")
        part.tensors["kernel"] = np.zeros((1, 1, 64, 5), "float32")
        write_named(path, model)

    @case(group, "kernels in PyTorch's order", "torch.h5", r"order of PyTorch and Theano .*transpose")
    def _(path):
        model = V1()
        for layer in model.layers:
            if "kernel" in layer.tensors:
                layer.tensors["kernel"] = layer.tensors["kernel"].transpose(3, 2, 0, 1)
        write_named(path, model)

    @case(group, "Keras with Theano", "theano.h5", "Theano, whose kernels are flipped")
    def _(path):
        write_named(path, V1(), backend="theano")

    @case(group, "a network without a ResNet (VGG)", "vgg.keras", "contains no keras.applications ResNet.*VGG")
    def _(path):
        first = Layer(
            "Conv2D", "block1_conv1", {"kernel_size": [3, 3]}, [], {"kernel": np.ones((3, 3, 3, 4), "float32")}
        )
        write_archive(path, around(first, head=head(3)), names=True)

    @case(group, "Dense layers alone", "dense.weights.h5", "expected one 7x7 convolution, found 0")
    def _(path):
        write_weights(path, around(dense("d", 3, 4, "")))

    @case(group, "HDF5 of another program", "data.mat", "no weights in one of Keras's formats")
    def _(path):
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=[1, 2])

    header = json.dumps({"conv1.weight": {"dtype": "F32", "shape": [64, 13, 7, 7], "data_offsets": [0, 8]}}).encode()
    bytes_of(
        "safetensors whose header contradicts itself",
        "net.safetensors",
        struct.pack("<Q", len(header)) + header + b"\0" * 8,
        "damaged or incomplete: .*header",
    )
    bytes_of(
        "an old PyTorch file (in an environment without PyTorch)",
        "net.pth",
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
        "a PyTorch file.*not installed",
    )
    bytes_of(
        "a pickle that calls a function", "net.h5", b"\x80\x04cos\nsystem\n(S'touch hacked'\ntR.", "pickle.*not opened"
    )
    bytes_of("a web page", "page.h5", b"<!DOCTYPE html><html>login", "web page.*login")
    bytes_of("a pointer of Git LFS", "lfs.keras", b"version https://git-lfs.github.com/spec/v1\noid x", "git lfs pull")
    bytes_of("an empty file", "empty.h5", b"", "empty")
    bytes_of("gzip", "net.h5.gz", b"\x1f\x8b\x08\x00rest", "Unpack it")
    bytes_of("JSON of an architecture", "net.json", b'{"class_name": "Functional"}', "no weights")
    bytes_of("TFLite", "net.tflite", b"\x1c\0\0\0TFL3....", "TFLite")
    bytes_of("random bytes", "net.bin", b"\x00\x01\x02\x03\x04", "not a weights file")

    def zipped(told, file, members, words):
        @case(group, told, file, words)
        def _(path):
            with zipfile.ZipFile(path, "w") as archive:
                for name, data in members.items():
                    archive.writestr(name, data)

    zipped(
        "a PyTorch file (in an environment without PyTorch)",
        "net.pt",
        {"net/data.pkl": b"cos\nsystem\n(S'touch hacked'\ntR.", "net/data/0": b"1"},
        "a PyTorch file.*not installed",
    )
    zipped("TorchScript", "script.pt", {"n/data.pkl": b"x", "n/constants.pkl": b"x"}, "TorchScript")
    zipped("NumPy's .npz", "net.npz", {"a.npy": b"x"}, "NumPy")
    zipped("a zip archive with a checkpoint inside", "net.zip", {"folder/net.h5": b"x"}, "Unpack")

    @case(group, "a SavedModel folder", "saved", "SavedModel.*tf_keras")
    def _(path):
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"x")

    @case(group, "a TensorFlow checkpoint (prefix)", "model.ckpt", "TensorFlow checkpoint.*load_weights")
    def _(path):
        Path(f"{path}.index").write_bytes(b"x" * 40 + bytes.fromhex("57fb808b247547db"))
        Path(f"{path}.data-00000-of-00001").write_bytes(b"x")

    @case(group, "no such file", "missing.h5", "not found")
    def _(path):
        pass


def depth(path, blocks):
    """A ResNet of a depth that Keras does not have."""
    from restem.stem.checkpoint import layout

    before = layout.BLOCKS["ResNet50"]
    layout.BLOCKS["ResNet50"] = blocks
    try:
        return V1()
    finally:
        layout.BLOCKS["ResNet50"] = before


# Hostile and damaged -------------------------------------------------------------------------------------------------
def hostile():
    group = "hostile or damaged"

    @case(group, "a Lambda with code behind the ResNet: its tensors are read, its code is not", "code.keras")
    def _(path):
        return (write_archive(path, around(model := V1(), head=[GAP, LAMBDA])), model)[1]

    @case(group, "an archive with a member ../hacked: only model.weights.h5 is read", "up.keras")
    def _(path):
        return (
            write_archive(path, model := V1(), extra={"../hacked": b"x", str(path.with_name("hacked")): b"x"}),
            model,
        )[1]

    for share in (0.02, 0.3, 0.6, 0.9, 0.999):
        for ending, write in ((".h5", write_named), (".keras", write_archive)):

            @case(group, f"{ending} cut after {share:.1%}", f"cut{ending}", "damaged or incomplete")
            def _(path, write=write, share=share):
                write(path, V1())
                data = path.read_bytes()
                path.write_bytes(data[: int(len(data) * share)])

    @case(group, "one byte of an archive's tensors changed", "flip.keras", "checksum")
    def _(path):
        write_archive(path, V1())
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)

    def shaped(shape, **options):
        def write(path, model=None):
            write_named(path, model or V1())
            with h5py.File(path, "r+") as file:
                group = file["conv1_conv"]
                del group["conv1_conv/kernel:0"]
                group.create_dataset("conv1_conv/kernel:0", shape, "float32", **options)

        return write

    case(group, "10 GB of declared shape in the first convolution", "huge.h5", "declares 1000000 channels")(
        shaped((7, 7, 1_000_000, 64), chunks=(7, 7, 100, 64), compression="gzip")
    )

    @case(group, "10 GB of declared shape in the classifier", "top.h5", "declares .* are stored")
    def _(path):
        write_named(path, flat(V1(), head=head(3)))
        with h5py.File(path, "r+") as file:
            group = file["predictions/predictions"]
            del group["kernel:0"], group["bias:0"]
            group.create_dataset("kernel:0", (FEATURES, 80_000_000), "float32", chunks=(1, 1000), compression="gzip")
            group.create_dataset("bias:0", (80_000_000,), "float32", chunks=(1000,), compression="gzip")

    case(group, "a kernel that is declared and not stored", "hollow.h5", "declares .* are stored")(
        shaped((7, 7, 4000, 64))
    )

    @case(group, "a tensor in another file", "external.h5", "damaged or incomplete: the tensor")
    def _(path):
        secret = path.with_name("secret.bin")
        secret.write_bytes(b"\0" * (7 * 7 * 3 * 64 * 4))
        shaped((7, 7, 3, 64), external=[(str(secret), 0, 7 * 7 * 3 * 64 * 4)])(path)

    @case(group, "a link to another file", "link.h5", "the group .conv1_conv. is missing, or a link")
    def _(path):
        write_named(path, V1())
        write_named(path.with_name("other.h5"), V1(seed=3))
        with h5py.File(path, "r+") as file:
            del file["conv1_conv"]
            file["conv1_conv"] = h5py.ExternalLink("other.h5", "/conv1_conv")

    @case(group, "a configuration that is no JSON", "json.keras", "damaged or incomplete")
    def _(path):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", "{" * 100_000)
            archive.writestr("model.weights.h5", b"x")

    @case(group, "a configuration in a thousand models inside each other", "deep.keras", "damaged or incomplete")
    def _(path):
        config = config_of(V1())
        for _ in range(300):
            config = {"class_name": "Sequential", "config": {"name": "s", "layers": [config]}}
        write_archive(path, V1(), config=config)

    @case(group, "layers that read each other in a circle", "circle.keras", "reads itself")
    def _(path):
        model = V1()
        write_archive(path, changed_inputs(model, conv1_pad=["conv1_pad"]))


def changed_inputs(model, **inputs):
    layers = [dataclasses.replace(x, inputs=inputs.get(x.name, x.inputs)) for x in model.layers]
    return dataclasses.replace(model, layers=layers)


def make_cases() -> list[Case]:
    """All cases; the small networks must already be the stock ones."""
    if not CASES:
        for part in (weights_with_names, weights_by_count, whole_models, refused, hostile):
            part()
    return CASES

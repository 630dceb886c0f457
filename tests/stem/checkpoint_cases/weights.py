"""Files with weights alone: with the layers' names, or by their class and count."""

import dataclasses

import h5py
import numpy as np

from ..checkpoint_models import (
    Layer,
    around,
    changed,
    dense,
    flat,
    old_name,
    plain,
    renamed,
    resnet,
    write_named,
    write_weights,
)
from .case import FEATURES, GAP, V1, V2, adapted, case, head


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

    @case(group, "Keras 2.0, whose max pool has no padding", "nopad.h5", changes=UNPADDED, assumed="pools without one")
    def _(path):
        model = renamed(V1(), lambda name: {"conv1_pad": "zero_padding2d_1"}.get(name, old_name(name)))
        layers = [layer for layer in model.layers if layer.name != "pool1_pad"]
        write_named(path, dataclasses.replace(model, layers=layers), version="2.0.8")
        return V1()

    @case(group, "padding by the convolutions themselves (KerasCV)", "same.h5", "lists 0 padding and 1 pooling")
    def _(path):
        write_named(path, without_pads(V1()))

    @case(group, "classification_models, also in segmentation_models", "qubvel.h5", "ResNet of classification_models")
    def _(path):
        write_named(path, renamed(with_norm(V2()), unit_name))

    @case(group, "a BatchNormalization more, under other names", "norm64.h5", "but other shapes or another order")
    def _(path):
        write_named(path, renamed(with_norm(V2()), lambda name: f"layer_{name}"))

    @case(group, "a classifier of 8-bit numbers: it cannot be kept", "int8.h5")
    def _(path):
        top = dense("predictions", FEATURES, 4, "")
        top.tensors["kernel"] = top.tensors["kernel"].astype("int8")
        write_named(path, flat(model := V1(), head=[GAP, top]))
        return model

    @case(group, "a convolution of 8-bit numbers", "int8conv.h5", "type int8: it is quantised")
    def _(path):
        model = V1()
        model.layers[2].tensors["kernel"] = model.layers[2].tensors["kernel"].astype("int8")
        write_named(path, model)

    @case(group, "bfloat16, as Keras 3's .h5 has it", "bfloat16.h5")
    def _(path):
        model = V1()
        for layer in model.layers:
            layer.tensors = {k: (v.view("uint32") & 0xFFFF0000).view("float32") for k, v in layer.tensors.items()}
        halves = [
            dataclasses.replace(
                layer,
                tensors={k: (v.view("uint32") >> 16).astype("uint16").view("V2") for k, v in layer.tensors.items()},
            )
            for layer in model.layers
        ]
        return (write_named(path, dataclasses.replace(model, layers=halves)), model)[1]


UNPADDED = {"pool1_pad": {"padding": [[0, 0], [0, 0]]}}


def without_pads(model):
    return dataclasses.replace(model, layers=[layer for layer in model.layers if layer.kind != "ZeroPadding2D"])


def with_norm(model):
    """A V2 whose first convolution has a BatchNormalization behind it, as many pre-activation ResNets have."""
    place = next(i for i, layer in enumerate(model.layers) if layer.name == "conv1_conv")
    one = next(layer for layer in model.layers if layer.name == "conv2_block1_1_bn")
    tensors = {role: np.ones(64, "float32") for role in one.tensors}
    norm = dataclasses.replace(one, name="bn0", tensors=tensors)
    return dataclasses.replace(model, layers=[*model.layers[: place + 1], norm, *model.layers[place + 1 :]])


def unit_name(name):
    """The name that classification_models gives to a layer."""
    if name.startswith("conv") and "block" in name:
        stage, block, rest = name.split("_", 2)
        return f"stage{int(stage[4:]) - 1}_unit{block[5:]}_{rest.replace('_conv', '').replace('1', 'conv1')}"
    return name.replace("conv1_conv", "conv0")


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

    @case(group, "padding by the convolutions themselves (KerasCV)", "same.weights.h5", "lists 0 padding and 1 pooling")
    def _(path):
        write_weights(path, without_pads(V1()))

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

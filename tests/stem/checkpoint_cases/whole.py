"""Whole models."""

import dataclasses
import json
import zipfile

import h5py
import numpy as np

from ..checkpoint_models import (
    Layer,
    around,
    changed,
    config_of,
    dense,
    flat,
    old_name,
    plain,
    renamed,
    write_archive,
    write_counted,
    write_named,
)
from .case import FEATURES, GAP, LAMBDA, POOLED, STRIDES, V1, V2, adapted, case, head


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

    @case(group, "Keras 2, the ResNet is called with training=True", "training.h5", classes=3, assumed="training=True")
    def _(path):
        outer = around(model := V1(), head=head(3))
        outer.layers[1].arguments = {"training": True}
        return (write_named(path, outer, whole=True), model)[1]

    @case(group, "mixed_float16", "mixed.keras", assumed="computes in mixed_float16")
    def _(path):
        model = V1()
        policy = {"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}
        other = changed(model, **{layer.name: {"dtype": policy} for layer in model.layers})
        return (write_archive(path, other), model)[1]

    @case(group, "LoRA in a convolution, whose kernel is stored with it", "lora.keras")
    def _(path):
        return (write_archive(path, changed(model := V1(), conv2_block1_2_conv={"lora_rank": 4})), model)[1]

    @case(group, "a classifier of 8-bit numbers without a bias: it cannot be kept", "int8.keras")
    def _(path):
        scale, top = np.ones(4, "float32"), dense("d", FEATURES, 4, "")
        top.tensors = {"kernel": top.tensors["kernel"].astype("int8"), "scale": scale}
        return (write_archive(path, around(model := V1(), head=[GAP, top])), model)[1]

    @case(group, "augmentation of Keras 3.15 in front", "augment.keras", front=(1 / 255, 0), classes=3)
    def _(path):
        kinds = ("RandAugment", "AugMix", "MixUp", "CutMix", "RandomInvert", "RandomPerspective")
        front = [plain(kind, kind.lower(), "") for kind in kinds]
        front.append(plain("Rescaling", "r", "", scale=1 / 255))
        return (write_archive(path, around(model := V1(), front, head(3))), model)[1]

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

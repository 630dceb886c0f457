"""Files that are refused, with the reason."""

import dataclasses
import json
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np

from ..checkpoint_models import Layer, around, changed, dense, plain, write_archive, write_named, write_weights
from .case import LAMBDA, V1, case, head

SSTABLE = bytes.fromhex("57fb808b247547db")  # the end of TensorFlow's tables


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
    bytes_of("ONNX, as PyTorch exports it", "net.bin", b"\x08\x08\x12\x07pytorch\x1a\x052.5.0", "an ONNX model")
    bytes_of("ONNX, of any program", "net.onnx", b"\x0a\x01x", "an ONNX model.*exported from")
    bytes_of("a frozen graph of TensorFlow", "graph.pb", b"\x0a\x05\x0a\x01x", "a frozen graph")
    bytes_of(
        "TensorFlow's file named checkpoint", "checkpoint", b'model_checkpoint_path: "model.ckpt-9"', "TensorFlow check"
    )
    bytes_of("TensorFlow 1, slim: one file", "resnet_v1_50.ckpt", b"x" * 40 + SSTABLE, "TensorFlow checkpoint")
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
    zipped("a program of torch.export", "net.pt2", {"n/archive_format": b"pt2"}, "torch.export")
    zipped("NumPy's .npz", "net.npz", {"a.npy": b"x"}, "NumPy")
    zipped("a zip archive with a checkpoint inside", "net.zip", {"folder/net.h5": b"x"}, "Unpack")

    @case(group, "a SavedModel folder", "saved", "SavedModel.*tf_keras")
    def _(path):
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"x")

    @case(group, "a TensorFlow checkpoint (prefix)", "model.ckpt", "TensorFlow checkpoint.*load_weights")
    def _(path):
        Path(f"{path}.index").write_bytes(b"x" * 40 + SSTABLE)
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

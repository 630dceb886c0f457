"""Hostile and damaged files."""

import dataclasses
import zipfile

import h5py

from ..checkpoint_models import around, config_of, flat, write_archive, write_named
from .case import FEATURES, GAP, LAMBDA, V1, case, head


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

"""Checkpoints of PyTorch's ResNets, in safetensors, against their formula written out here. With PyTorch itself:
tests/torch."""

import sys
import zipfile

import keras
import numpy as np
import pytest
import safetensors.numpy

from restem.stem import Preprocessing, StemError, StemSpec, load_backbone, modify_stem
from restem.stem.allowed import check_allowed, form_before_reading
from restem.stem.checkpoint import layout
from restem.stem.checkpoint.form import FORMS as BLOCKS
from restem.stem.contents import check_contents

from .networks import difference, randomise, run


@pytest.fixture(autouse=True)
def shallow(monkeypatch):
    """One block in each stage; the depth changes nothing."""
    for name, basic in (("ResNet50", False), ("ResNet18", True)):
        monkeypatch.setitem(BLOCKS, name, (basic, (1, 1, 1, 1)))


def state_dict(channels=3, width=64, classes=5, seed=0, basic=False, stem=(64,), average=False):
    """As torchvision's and timm's ResNets name and shape their tensors, with one block in each stage."""
    rng, state = np.random.default_rng(seed), {}

    def conv(name, filters, into, side):
        state[f"{name}.weight"] = rng.normal(0, (2 / (into * side**2)) ** 0.5, (filters, into, side, side))

    def norm(name, size):
        state[f"{name}.weight"], state[f"{name}.running_var"] = rng.uniform(0.5, 1.5, (2, size))
        state[f"{name}.bias"], state[f"{name}.running_mean"] = rng.normal(0, 0.3, (2, size))
        state[f"{name}.num_batches_tracked"] = np.array(5)

    into = channels
    for place, filters in enumerate(stem):
        conv(f"conv1.{3 * place}" if len(stem) > 1 else "conv1", filters, into, 3 if len(stem) > 1 else 7)
        norm("bn1" if place == len(stem) - 1 else f"conv1.{3 * place + 1}", filters)
        into = filters
    for stage in range(4):
        inner, outer, block = width * 2**stage, (64 if basic else 256) * 2**stage, f"layer{stage + 1}.0"
        sizes = (
            ((inner, into, 3), (outer, inner, 3)) if basic else ((inner, into, 1), (inner, inner, 3), (outer, inner, 1))
        )
        for place, (filters, before, side) in enumerate(sizes, start=1):
            conv(f"{block}.conv{place}", filters, before, side)
            norm(f"{block}.bn{place}", filters)
        if stage or into != outer:
            conv(f"{block}.downsample.{int(average)}", outer, into, 1)
            norm(f"{block}.downsample.{1 + average}", outer)
        into = outer
    state["fc.weight"], state["fc.bias"] = rng.normal(0, 0.1, (classes, into)), rng.normal(0, 1, classes)
    return {name: np.asarray(value, np.float32 if value.ndim else np.int64) for name, value in state.items()}


def forward(state, pixels):
    """PyTorch's forward pass: [n, height, width, channels] -> [n, features]."""

    def conv(x, name, stride=1):
        kernel = state[f"{name}.weight"].transpose(2, 3, 1, 0)
        pad = kernel.shape[0] // 2
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        return keras.ops.convert_to_numpy(keras.ops.conv(x, kernel, stride, "valid"))

    def norm(x, name):
        part = {key: state[f"{name}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")}
        return (x - part["running_mean"]) / np.sqrt(part["running_var"] + 1e-5) * part["weight"] + part["bias"]

    def average(x):
        """AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)."""
        x = np.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)), constant_values=np.nan)
        return np.nanmean(np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(1, 2))[:, ::2, ::2], axis=(-1, -2))

    if "conv1.weight" in state:
        x = np.maximum(norm(conv(pixels, "conv1", 2), "bn1"), 0)
    else:
        x = np.maximum(norm(conv(pixels, "conv1.0", 2), "conv1.1"), 0)
        x = np.maximum(norm(conv(x, "conv1.3"), "conv1.4"), 0)
        x = np.maximum(norm(conv(x, "conv1.6"), "bn1"), 0)
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    x = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::2, ::2].max(axis=(-1, -2))
    for stage in range(4):
        block, stride = f"layer{stage + 1}.0", 2 if stage else 1
        if f"{block}.conv3.weight" in state:
            y = np.maximum(norm(conv(x, f"{block}.conv1"), f"{block}.bn1"), 0)
            y = np.maximum(norm(conv(y, f"{block}.conv2", stride), f"{block}.bn2"), 0)
            y = norm(conv(y, f"{block}.conv3"), f"{block}.bn3")
        else:
            y = np.maximum(norm(conv(x, f"{block}.conv1", stride), f"{block}.bn1"), 0)
            y = norm(conv(y, f"{block}.conv2"), f"{block}.bn2")
        if f"{block}.downsample.2.weight" in state:
            x = norm(conv(average(x) if stride == 2 else x, f"{block}.downsample.1"), f"{block}.downsample.2")
        elif f"{block}.downsample.0.weight" in state:
            x = norm(conv(x, f"{block}.downsample.0", stride), f"{block}.downsample.1")
        x = np.maximum(y + x, 0)
    return x.mean(axis=(1, 2))


def save(state, folder, prefix=""):
    path = folder / "model.safetensors"
    safetensors.numpy.save_file({f"{prefix}{name}": np.ascontiguousarray(v) for name, v in state.items()}, path)
    return path


DEEP = {"stem": (24, 32, 64), "average": True}
FORMS = {
    "ResNet50": ("ResNet50", {}),
    "wide, 13 bands": ("ResNet50", {"channels": 13, "width": 128, "prefix": "module.backbone."}),
    "ResNet18": ("ResNet18", {"basic": True}),
    "ResNet50-D": ("ResNet50", DEEP),
    "ResNet18-D, 2 bands": ("ResNet18", {"basic": True, "channels": 2, **DEEP}),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_features_are_those_of_pytorch(tmp_path, form):
    name, options = FORMS[form]
    channels, prefix = options.get("channels", 3), options.get("prefix", "")
    state = state_dict(**{key: value for key, value in options.items() if key != "prefix"})
    network = load_backbone(name, save(state, tmp_path, prefix))
    for size in ((32, 32), (33, 46)):
        pixels = np.random.default_rng(1).normal(0, 1, (2, *size, channels)).astype(np.float32)
        assert difference(forward(state, pixels), run(network, pixels)) <= 1e-5


def test_the_classifier_is_kept_or_left_out(tmp_path):
    state = state_dict()
    path = save(state, tmp_path)
    pixels = np.random.default_rng(1).normal(0, 1, (2, 32, 32, 3)).astype(np.float32)
    logits = forward(state, pixels) @ state["fc.weight"].T + state["fc.bias"]
    answers = run(load_backbone("ResNet50", path, include_top=True), pixels)
    assert difference(keras.ops.convert_to_numpy(keras.ops.softmax(logits)), answers) <= 1e-4
    assert load_backbone("ResNet50", path).output_shape == (None, 2048)


def test_the_stem_changes_exactly_and_keeps_bands_by_name(tmp_path):
    names = tuple(f"b{i}" for i in range(1, 14))
    state = state_dict(13)
    source = Preprocessing("own", names, (1 / 255,) * 13, (0.0,) * 13)
    network = load_backbone("ResNet50", save(state, tmp_path))
    wanted = ("b4", "b3", "b2", "b8")
    report = modify_stem(
        network, StemSpec(bands=(*wanted, *[n for n in names if n not in wanted])), source=source
    ).report
    assert report.claim == "exact"
    report = modify_stem(network, StemSpec(bands=wanted, value_range=(0, 65535)), source=source).report
    assert report.claim == "approximate"  # nine bands are missing
    assert len(report.dropped) >= 9


def changed(**changes):
    """Names to arrays; None removes one."""
    state = state_dict()
    for name, value in changes.items():
        name = name.replace("__", ".")
        if value is None:
            del state[name]
        else:
            state[name] = value
    return state


def ones(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"layer2__0__bn2__weight": None}, r"layer2\.0\.bn2\.weight is missing"),
        (
            {"layer2__0__conv1__weight": ones(128, 255, 1, 1)},
            r"has the shape \(128, 255, 1, 1\), expected \(128, 256, 1, 1\)",
        ),
        ({"layer1__0__conv2__weight": ones(64, 2, 3, 3)}, "grouped"),
        ({"conv1__bias": ones(63)}, r"conv1\.bias has the shape \(63,\), expected \(64,\)"),
        ({"fc__bias": ones(4)}, r"fc\.bias has the shape \(4,\), expected \(5,\)"),
        ({"layer1__0__se__fc1__weight": ones(4, 64, 1, 1)}, r"does not have: layer1\.0\.se"),
        ({"layer1__0__conv3__weight": None}, r"does not have: layer1\.0\.bn3"),
        ({"maxpool__0__weight": ones(64, 64, 3, 3)}, "does not have: maxpool"),
        ({"layer1__1__conv1__weight": ones(64, 256, 1, 1)}, r"\(2, 1, 1, 1\) blocks"),
        ({"conv1__weight": ones(64, 3, 3, 3)}, "7x7"),
        ({"conv1__weight": None, "conv1__0__weight": ones(32, 3, 3, 3)}, "nor three of 3x3"),
        ({"layer1__0__conv1__weight": None}, "no tensor layer1"),
        ({"momentum__layer1__0__conv1__weight": ones(64, 64, 1, 1)}, "several networks"),
        ({"bn1__running_var": -ones(64)}, "negative"),
        ({"bn1__bias": ones(64) * np.nan}, "NaN"),
    ],
)
def test_what_is_not_such_a_network_is_refused_with_the_reason(tmp_path, changes, reason):
    path = save(changed(**changes), tmp_path)
    for look in (load_backbone, lambda name, path: check_contents(path, name)):  # before a run, too
        with pytest.raises(StemError, match=reason):
            look("ResNet50", path)


def test_a_cut_file_and_another_depth_are_refused(tmp_path):
    path = save(state_dict(), tmp_path)
    with pytest.raises(StemError, match="does not contain ResNet101"):
        load_backbone("ResNet101", path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StemError, match="damaged or incomplete"):
        load_backbone("ResNet50", path)


def test_a_pickle_is_not_opened_without_pytorch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with zipfile.ZipFile(tmp_path / "model.pth", "w") as archive:
        archive.writestr("model/data.pkl", b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(StemError, match=r"PyTorch.*pip install torch"):
        load_backbone("ResNet50", tmp_path / "model.pth")


RULES = {
    "bands": {"bands": ("nir", "red", "green", "blue")},
    "kernel, BatchNorm": {"kernel": 9, "batch_norm": True},
    "small images": {"small_images": True},
}


@pytest.mark.parametrize("form", ["ResNet18", "ResNet50-D"])
def test_exact_rules_are_exact_on_every_form(tmp_path, float64, form):
    name, options = FORMS[form]
    network = load_backbone(name, save(state_dict(**options), tmp_path))
    rules = RULES | ({} if form == "ResNet18" else {"filters": {"filters": 80}})
    for rule, fields in rules.items():
        report = modify_stem(network, StemSpec(**fields)).report
        assert report.claim == "exact", rule
        assert report.error <= 1e-12, rule
    assert modify_stem(network, StemSpec(pool=False)).report.claim == "approximate"


def test_a_modified_network_of_every_form_is_read_again_and_without_its_pool(tmp_path):
    for form in ("ResNet18", "ResNet50-D"):
        name, options = FORMS[form]
        network = load_backbone(name, save(state_dict(**options), tmp_path))
        modified = modify_stem(network, StemSpec(channels=1, pool=False)).model
        assert not any(layer.name.startswith("pool1") for layer in modified.layers)
        modified.save(tmp_path / "modified.keras")
        again = load_backbone(name, tmp_path / "modified.keras")
        pixels = np.random.default_rng(1).uniform(0, 255, (1, 33, 40, 1)).astype(np.float32)
        assert difference(run(modified, pixels), run(again, pixels)) <= 1e-6
        assert modify_stem(again, StemSpec(kernel=9)).report.claim == "exact"


@pytest.mark.parametrize("file", ["model.weights.h5", "model.h5"])
def test_weights_alone_do_not_say_that_their_strides_are_those_of_pytorch(tmp_path, monkeypatch, file):
    monkeypatch.setitem(layout.BLOCKS, "ResNet50", (1, 1, 1, 1))  # Keras's, with the same names and shapes
    network = load_backbone("ResNet50", save(state_dict(), tmp_path))
    network.save_weights(tmp_path / file) if "weights" in file else network.save(tmp_path / file)
    with pytest.raises(StemError, match="lists 6 padding and 1 pooling" if "weights" in file else "conv2_block1_2"):
        load_backbone("ResNet50", tmp_path / file)


@pytest.mark.parametrize(
    ("form", "fields", "reason"),
    [
        ("ResNet18", {"filters": 128}, "conv2_block1_add.* identity shortcut"),
        ("ResNet18", {"filters": 32}, "conv2_block1_add.* identity shortcut"),
        ("ResNet50-D", {"filters": 16}, "without a deep stem; here conv1_2_conv"),
        ("ResNet50-D", {"deep": True}, "deep stem already"),
    ],
)
def test_what_a_form_does_not_allow_is_refused_with_the_reason(tmp_path, form, fields, reason):
    name, options = FORMS[form]
    path = save(state_dict(**options), tmp_path)
    with pytest.raises(StemError, match=reason):
        modify_stem(load_backbone(name, path), StemSpec(**fields))
    with pytest.raises(StemError):  # known before anything is built
        check_allowed(StemSpec(**fields), form_before_reading(name, check_contents(path, name)))


def test_a_network_that_keras_does_not_have_is_built_saved_and_read(tmp_path):
    network = load_backbone("ResNet18", "none", channels=2)
    assert (network.input_shape[-1], network.output_shape[-1]) == (2, 512)
    randomise(network, 4)
    pixels = np.random.default_rng(1).normal(0, 1, (1, 33, 40, 2)).astype(np.float32)
    for file in ("model.keras", "model.weights.h5", "model.h5"):
        network.save_weights(tmp_path / file) if "weights" in file else network.save(tmp_path / file)
        assert difference(run(network, pixels), run(load_backbone("ResNet18", tmp_path / file), pixels)) <= 1e-6
    with pytest.raises(StemError, match="Keras has no ImageNet weights of ResNet18"):
        load_backbone("ResNet18")

"""Checkpoints of PyTorch's ResNets, in safetensors, against their formula written out here. With PyTorch itself:
tests/torch."""

import keras
import numpy as np
import pytest
import safetensors.numpy

from restem.stem import Preprocessing, StemError, StemSpec, load_backbone, modify_stem
from restem.stem.checkpoint import pytorch

from .networks import difference, run


@pytest.fixture(autouse=True)
def shallow(monkeypatch):
    """One block in each stage; the depth changes nothing."""
    monkeypatch.setattr(pytorch, "DEPTHS", {(1, 1, 1, 1): "ResNet50"})


def state_dict(channels=3, width=64, classes=5, seed=0):
    """As torchvision's bottleneck ResNets name and shape their tensors."""
    rng, state = np.random.default_rng(seed), {}

    def conv(name, filters, into, side):
        state[f"{name}.weight"] = rng.normal(0, (2 / (into * side**2)) ** 0.5, (filters, into, side, side))

    def norm(name, size):
        state[f"{name}.weight"], state[f"{name}.running_var"] = rng.uniform(0.5, 1.5, (2, size))
        state[f"{name}.bias"], state[f"{name}.running_mean"] = rng.normal(0, 0.3, (2, size))
        state[f"{name}.num_batches_tracked"] = np.array(5)

    conv("conv1", 64, channels, 7)
    norm("bn1", 64)
    into = 64
    for stage in range(4):
        inner, outer, block = width * 2**stage, 256 * 2**stage, f"layer{stage + 1}.0"
        for place, (filters, before, side) in enumerate(
            ((inner, into, 1), (inner, inner, 3), (outer, inner, 1)), start=1
        ):
            conv(f"{block}.conv{place}", filters, before, side)
            norm(f"{block}.bn{place}", filters)
        conv(f"{block}.downsample.0", outer, into, 1)
        norm(f"{block}.downsample.1", outer)
        into = outer
    state["fc.weight"], state["fc.bias"] = rng.normal(0, 0.1, (classes, 2048)), rng.normal(0, 1, classes)
    return {name: np.asarray(value, np.float32 if value.ndim else np.int64) for name, value in state.items()}


def forward(state, pixels):
    """PyTorch's forward pass: [n, height, width, channels] -> [n, 2048]."""

    def conv(x, name, stride=1):
        kernel = state[f"{name}.weight"].transpose(2, 3, 1, 0)
        pad = kernel.shape[0] // 2
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        return keras.ops.convert_to_numpy(keras.ops.conv(x, kernel, stride, "valid"))

    def norm(x, name):
        part = {key: state[f"{name}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")}
        return (x - part["running_mean"]) / np.sqrt(part["running_var"] + 1e-5) * part["weight"] + part["bias"]

    x = np.maximum(norm(conv(pixels, "conv1", 2), "bn1"), 0)
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    x = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::2, ::2].max(axis=(-1, -2))
    for stage in range(4):
        block, stride = f"layer{stage + 1}.0", 2 if stage else 1
        y = np.maximum(norm(conv(x, f"{block}.conv1"), f"{block}.bn1"), 0)
        y = np.maximum(norm(conv(y, f"{block}.conv2", stride), f"{block}.bn2"), 0)
        y = norm(conv(y, f"{block}.conv3"), f"{block}.bn3")
        x = np.maximum(y + norm(conv(x, f"{block}.downsample.0", stride), f"{block}.downsample.1"), 0)
    return x.mean(axis=(1, 2))


def save(state, folder, prefix=""):
    path = folder / "model.safetensors"
    safetensors.numpy.save_file({f"{prefix}{name}": np.ascontiguousarray(v) for name, v in state.items()}, path)
    return path


@pytest.mark.parametrize(("channels", "width", "prefix"), [(3, 64, ""), (13, 128, "module.backbone.")])
def test_the_features_are_those_of_pytorch(tmp_path, channels, width, prefix):
    state = state_dict(channels, width)
    network = load_backbone("ResNet50", save(state, tmp_path, prefix))
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
        ({"layer1__0__se__fc1__weight": ones(4, 64, 1, 1)}, r"does not have: layer1\.0\.se"),
        ({"layer1__0__conv3__weight": None}, "blocks of two convolutions"),
        ({"layer1__1__conv1__weight": ones(64, 256, 1, 1)}, r"\(2, 1, 1, 1\) blocks"),
        ({"conv1__weight": ones(64, 3, 3, 3)}, "7x7"),
        ({"conv1__weight": None, "conv1__0__weight": ones(32, 3, 3, 3)}, "deep stem"),
        ({"layer1__0__conv1__weight": None}, "no tensor layer1"),
        ({"momentum__layer1__0__conv1__weight": ones(64, 64, 1, 1)}, "several networks"),
        ({"bn1__running_var": -ones(64)}, "negative"),
        ({"bn1__bias": ones(64) * np.nan}, "NaN"),
    ],
)
def test_what_is_not_such_a_network_is_refused_with_the_reason(tmp_path, changes, reason):
    with pytest.raises(StemError, match=reason):
        load_backbone("ResNet50", save(changed(**changes), tmp_path))


def test_a_cut_file_and_another_depth_are_refused(tmp_path):
    path = save(state_dict(), tmp_path)
    with pytest.raises(StemError, match="does not contain ResNet101"):
        load_backbone("ResNet101", path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StemError, match="damaged or incomplete"):
        load_backbone("ResNet50", path)


def test_a_pickle_is_not_opened_without_pytorch(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "model.pth", "w") as archive:
        archive.writestr("model/data.pkl", b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(StemError, match=r"PyTorch.*pip install torch|weights_only"):
        load_backbone("ResNet50", tmp_path / "model.pth")

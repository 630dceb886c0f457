"""What modify_stem returns and rejects: approximations, report, errors."""

import json

import keras
import numpy as np
import pytest

from restem.stem import StemError, StemSpec, measure_bands, modify_stem
from restem.stem import modify as modify_module
from restem.stem.prior import natural_images
from restem.stem.proof import features

from .networks import network, run

FAMILIES = pytest.mark.parametrize("v2", [False, True], ids=["V1", "V2"])


def images(count=6, side=40, channels=3, seed=9):
    x = natural_images(count, side, channels, np.random.default_rng(seed))
    return np.clip(127.5 + 60 * x, 0, 255)


def entry(report, name):
    return next(w for w in report.weights if w["name"] == name)


def conv_output(model, x):
    return run(keras.Model(model.inputs, model.get_layer("conv1_conv").output), x.astype("float32"))


@FAMILIES
def test_shrinking_errors_are_ordered_and_reported_correctly(v2):
    """Errors of the convolution's output, on the given images."""
    original = network(v2)
    batch = images()
    old = conv_output(modify_stem(original, StemSpec()).model, batch)
    error = {}
    for rule in ("least_squares", "pseudo_inverse", "bilinear", "crop"):
        result = modify_stem(original, StemSpec(kernel=5, shrink=rule), images=batch)
        gap = (conv_output(result.model, batch) - old)[:, 2:-2, 2:-2]
        bias = original.get_layer("conv1_conv").get_weights()[1]
        error[rule] = np.sqrt(np.mean(gap**2) / np.mean((old - bias)[:, 2:-2, 2:-2] ** 2))
        reported = result.report.approximations[0]
        assert np.isclose(reported["error"], error[rule], rtol=0.1)
        assert "6 calibration images" in reported["measure"]
        assert result.report.claim == "approximate"
        assert result.report.tolerance is None
    assert error["least_squares"] < 0.8 * min(v for k, v in error.items() if k != "least_squares")
    assert max(error, key=error.get) == "crop"


def test_a_source_with_random_weights_is_named():
    """One trained BatchNormalization is enough to know that a network was trained."""
    original = keras.models.clone_model(network(False))
    report = modify_stem(original, StemSpec()).report
    assert not report.source["trained"]
    assert "the source was never trained" in report.to_text().splitlines()[0]
    norm = next(layer for layer in original.layers if isinstance(layer, keras.layers.BatchNormalization))
    norm.moving_mean.assign(norm.moving_mean + 0.5)
    report = modify_stem(original, StemSpec()).report
    assert report.source["trained"]
    assert report.about == "The source's function is kept on any image."


@pytest.mark.parametrize("batch", [np.zeros((1, 4, 4, 3)), np.full((2, 9, 9, 3), 77.0), images(1, 3)])
@pytest.mark.parametrize("fields", [{"kernel": 5}, {"filters": 32}, {"batch_norm": True}, {"deep": True}])
def test_uninformative_images_do_no_harm(fields, batch):
    """Images smaller than the kernel, black, or flat: the result stays finite and as good as with the prior."""
    result = modify_stem(network(True), StemSpec(**fields), images=batch)
    assert all(np.isfinite(w).all() for w in result.model.get_weights())
    assert np.isfinite(result.report.error)
    if "kernel" in fields:
        assert result.report.approximations[0]["error"] < 0.7


@FAMILIES
def test_narrowing_errors_are_ordered(v2):
    """Dropping is worst, folding means is better, refitting is best."""
    original = network(v2)
    batch = images()
    stock = modify_stem(original, StemSpec()).model
    old = run(stock, batch.astype("float32"))
    error = {}
    for rule in ("least_squares", "mean", "drop"):
        result = modify_stem(original, StemSpec(filters=32, narrow=rule), images=batch)
        error[rule] = np.sqrt(np.mean((run(result.model, batch.astype("float32")) - old) ** 2))
        assert len(next(d for d in result.report.dropped if "filters" in d)["filters"]) == 32
    assert error["least_squares"] < error["mean"] < error["drop"]


def test_v2_readers_without_bias_pass_the_shift_to_the_next_norm():
    result = modify_stem(network(True), StemSpec(filters=40))
    assert entry(result.report, "conv2_block1_1_bn/moving_mean")["origin"] == "derived"
    assert entry(result.report, "conv2_block1_1_bn/gamma")["origin"] == "identical"
    assert "conv2_block1_1_bn" in result.stem_layers


@FAMILIES
def test_extra_batch_norm_has_correct_statistics(v2):
    """Batches in training mode hardly change its statistics, because they are correct from the start."""
    result = modify_stem(network(v2), StemSpec(batch_norm=True), images=images(side=64))
    norm = result.model.get_layer("stem_bn")
    if not v2:
        source = network(v2).get_layer("conv1_bn").get_weights()
        assert np.array_equal(norm.get_weights()[2], source[2])
        return
    before = norm.get_weights()
    stem = keras.Model(result.model.inputs, norm.output)
    for _ in range(200):
        run(stem, images(side=64).astype("float32"), training=True)
    after = norm.get_weights()
    spread = np.sqrt(before[3])
    assert np.abs((after[2] - before[2]) / spread).max() < 0.05
    assert np.abs(np.log(after[3] / before[3])).max() < 0.05


@FAMILIES
def test_deep_stem_keeps_the_scale_of_activations(v2):
    batch = images(side=64)
    original = network(v2)
    result = modify_stem(original, StemSpec(deep=True, channels=1, batch_norm=True), images=batch[..., :1])
    assert result.report.claim == "approximate"
    grey = batch[..., :1]
    stock = modify_stem(original, StemSpec(channels=1)).model
    old, new = conv_output(stock, grey), conv_output(result.model, grey)
    assert np.allclose(new.mean((0, 1, 2)), old.mean((0, 1, 2)), atol=0.02 * old.std())
    assert np.allclose(new.std((0, 1, 2)), old.std((0, 1, 2)), rtol=0.02)
    origins = {w["name"]: w["origin"] for w in result.report.weights}
    assert origins["stem_deep1_conv/kernel"] == "initialised"
    assert origins["conv1_conv/kernel"] == "derived"
    assert {"stem_deep1_conv", "stem_deep2_bn", "conv1_conv", "stem_bn"} <= set(result.stem_layers)


@pytest.mark.parametrize("fields", [{"stride": 1}, {"pool": False}, {"kernel": 3, "stride": 1, "pool": False}])
def test_stride_and_pool_changes_are_reported_as_approximate(fields):
    result = modify_stem(network(False, pooling=None), StemSpec(**fields))
    assert result.report.claim == "approximate"
    assert result.report.error > 1e-3
    scale = 2 if ("pool" in fields and "stride" not in fields) or fields == {"stride": 1} else 4
    x = np.zeros((1, 32, 32, 3), "float32")
    assert run(result.model, x).shape[1] == scale * 8


def test_every_weight_has_an_origin_and_untouched_ones_are_bit_identical():
    original = network(True)
    result = modify_stem(original, StemSpec(bands=("nir", "red", "green", "blue"), filters=80, kernel=9))
    names = [f"{layer.name}/{w.name}" for layer in result.model.layers for w in layer.weights]
    assert [w["name"] for w in result.report.weights] == names
    for w in result.report.weights:
        layer, variable = w["name"].split("/")
        new = next(v for v in result.model.get_layer(layer).weights if v.name == variable)
        assert list(new.shape) == w["shape"]
        if w["origin"] == "identical":
            old = next(v for v in original.get_layer(layer).weights if v.name == variable)
            assert np.array_equal(keras.ops.convert_to_numpy(old), keras.ops.convert_to_numpy(new))
    changed = {w["name"].split("/")[0] for w in result.report.weights if w["origin"] != "identical"}
    assert changed == set(result.stem_layers)
    assert changed == {"conv1_conv", "conv2_block1_preact_bn", "conv2_block1_0_conv", "conv2_block1_1_conv"}


def test_the_original_is_not_changed():
    original = network(False)
    before = [w.copy() for w in original.get_weights()]
    config = original.to_json()
    modify_stem(original, StemSpec(channels=1, filters=32, kernel=5, batch_norm=True))
    assert original.to_json() == config
    assert all(np.array_equal(a, b) for a, b in zip(before, original.get_weights(), strict=True))


def test_report_as_text_json_and_picture(tmp_path):
    result = modify_stem(network(False), StemSpec(channels=1, kernel=5, filters=32, value_range=(0, 65535)))
    report = json.loads(result.report.to_json())
    assert report == result.report.to_dict()
    assert report["claim"] == "approximate"
    assert report["input"]["value_range"] == [0, 65535]
    assert report["input"]["bands"] == ["grey"]
    assert {"claim", "error", "input", "weights", "dropped"} <= set(report)
    assert any("taps" in d["why"] for d in report["dropped"])
    text = result.report.to_text()
    assert text.startswith("Claim: approximate.")
    assert "0 (black) to 65535 (white)" in text
    result.report.save_picture(tmp_path / "stem.png")
    assert (tmp_path / "stem.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_colour_is_reported():
    report = modify_stem(network(False), StemSpec(bands=("red", "green"))).report
    assert report.claim == "approximate"
    assert any("slice of blue" in d["why"] for d in report.dropped)


def test_extra_bands_at_the_mean_are_approximate():
    fields = {"bands": ("nir", "red", "green", "blue")}
    result = modify_stem(network(True), StemSpec(**fields, extra_bands="mean"))
    kernel = result.model.get_layer("conv1_conv").get_weights()[0]
    assert np.allclose(kernel[:, :, 0], kernel[:, :, 1:].mean(2), atol=1e-6)
    assert result.report.claim == "approximate"


def test_bands_without_any_pretrained_kernel_need_extra_bands_mean():
    with pytest.raises(StemError, match="set extra_bands to 'mean'"):
        modify_stem(network(True), StemSpec(bands=("vv", "vh")))
    assert modify_stem(network(True), StemSpec(bands=("vv", "vh"), extra_bands="mean")).report.claim == "exact"
    assert modify_stem(network(True), StemSpec(bands=("xray",))).report.claim == "exact"


def test_measured_band_statistics_reach_the_input():
    raw = np.random.default_rng(0).normal((900, 50), (300, 9), (4, 16, 16, 2))
    statistics = measure_bands(raw, ("depth", "grey"))
    spec = StemSpec(bands=("depth", "grey"), band_statistics={"depth": statistics["depth"]})
    given = modify_stem(network(True), spec).report.input
    depth = raw[..., 0] * given["scale"][0] + given["offset"][0]
    assert abs(depth.mean()) < 1e-6
    # The standard deviation of ImageNet's channels in V2's range -1..1.
    assert np.isclose(depth.std(), np.mean([0.229, 0.224, 0.225]) * 2)
    with pytest.raises(StemError, match="constant"):
        measure_bands(np.ones((1, 2, 2, 1)), ("depth",))


def test_a_refuted_claim_raises(monkeypatch):
    """A rule that is off by one pixel, as with padding='same'."""
    original_rule = modify_module.design_stem

    def shifted(*args):
        design = original_rule(*args)
        design.weights["conv1_conv"][0] = np.roll(design.weights["conv1_conv"][0], 1, axis=0)
        return design

    monkeypatch.setattr(modify_module, "design_stem", shifted)
    with pytest.raises(StemError, match="should keep the function"):
        modify_stem(network(False), StemSpec(channels=1))


@pytest.mark.parametrize(
    ("layer", "value", "words"),
    [
        ("conv2_block1_2_conv", np.nan, "conv2_block1_2_conv.*NaN or infinite"),
        ("conv1_conv", np.inf, "conv1_conv.*NaN or infinite"),
        ("conv1_conv", 1e38, "finite, but so large"),
    ],
)
def test_weights_that_are_not_finite_or_too_large_are_named(layer, value, words):
    original = network(False)
    kernel, bias = original.get_layer(layer).get_weights()
    kernel[0, 0] = value
    original.get_layer(layer).set_weights([kernel, bias])
    with pytest.raises(StemError, match=words):
        modify_stem(original, StemSpec(channels=1))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 3)]), "no layer 'conv1_conv'"),
        (lambda: keras.Sequential([keras.Input((32, 32, 3)), network(False), keras.layers.Dense(2)]), "get_layer"),
        (lambda: "ResNet50", "takes a Keras model"),
    ],
)
def test_other_networks_are_rejected(model, words):
    with pytest.raises(StemError, match=words):
        modify_stem(model(), StemSpec())


def test_wrong_arguments_are_rejected():
    original = network(False)
    for kwargs, words in (
        ({"source": "keras"}, "source must be"),
        ({"preprocessing": "none"}, "preprocessing must be"),
        ({"images": np.zeros((2, 8, 8, 1))}, "images must be an array"),
    ):
        with pytest.raises(StemError, match=words):
            modify_stem(original, StemSpec(), **kwargs)
    with pytest.raises(StemError, match="must be a StemSpec"):
        modify_stem(original, {"channels": 1})
    with pytest.raises(StemError, match="reads 1 channel"):
        modify_stem(network(False, channels=1), StemSpec())


def test_a_network_with_its_top_and_a_fixed_size():
    original = network(False, include_top=True, input_shape=(64, 64, 3), classes=5, pooling=None)
    result = modify_stem(original, StemSpec(channels=1, small_images=True))
    assert result.report.claim == "exact"
    assert run(result.model, np.zeros((1, 32, 32, 1), "float32")).shape == (1, 5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_policies(policy):
    before = keras.config.dtype_policy()
    half = policy.removeprefix("mixed_")
    try:
        keras.layers.Conv2D(4, 3, dtype=half)(np.zeros((1, 8, 8, 3)))
    except Exception as error:  # from TensorFlow, with ONEDNN_MAX_CPU_ISA: it depends on the processor
        pytest.skip(f"Keras itself cannot convolve in {half} here: {str(error)[:200]}")
    keras.config.set_dtype_policy(policy)
    try:
        result = modify_stem(network(False), StemSpec(channels=1))
    finally:
        keras.config.set_dtype_policy(before)
    assert result.report.claim == "exact"
    # Preprocessing stays in 32 bits.
    assert result.model.get_layer("stem_rescale").compute_dtype == "float32"
    assert result.model.get_layer("conv1_conv").compute_dtype == half


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="other backends: test_backends.py")
@pytest.mark.parametrize("before", [True, False])
def test_the_probe_uses_full_float32_and_restores_the_setting(before):
    """On GPUs it would use TF32, in which a network differs from itself by more than the tolerance."""
    import tensorflow as tf

    config = tf.config.experimental
    seen = []

    class Recording(keras.Model):
        def call(self, *args, **kwargs):
            seen.append(config.tensor_float_32_execution_enabled())
            return super().call(*args, **kwargs)

    original = network(False)
    recording = Recording(original.inputs, original.outputs)
    default = config.tensor_float_32_execution_enabled()
    config.enable_tensor_float_32_execution(before)
    try:
        features(recording, np.zeros((1, 32, 32, 3)))
        assert seen[-1] is False
        assert config.tensor_float_32_execution_enabled() is before
    finally:
        config.enable_tensor_float_32_execution(default)

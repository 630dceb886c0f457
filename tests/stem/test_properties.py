"""Random specifications: each network is built, keeps its other weights, trains, and is saved and loaded exactly."""

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from restem.stem import StemSpec, modify_stem

from .networks import gradients, network, run

BANDS = ("red", "green", "blue", "nir", "swir", "depth")


@st.composite
def specifications(draw):
    """Any valid StemSpec."""
    fields = {
        "filters": draw(st.sampled_from([None, 24, 64, 70, 128])),
        "noise": draw(st.sampled_from([0.0, 0.25, 1.0])),
        "narrow": draw(st.sampled_from(["least_squares", "mean", "drop"])),
        "batch_norm": draw(st.booleans()),
        "extra_bands": draw(st.sampled_from(["zero", "mean"])),
        "value_range": draw(st.sampled_from([(0, 255), (0, 65535), (-1, 1)])),
    }
    if draw(st.booleans()):
        bands = draw(st.lists(st.sampled_from(BANDS), min_size=1, max_size=6, unique=True))
        fields["bands"] = tuple(bands) if set(bands) & set(BANDS[:3]) else ("grey", *bands)
    else:
        fields["channels"] = draw(st.integers(1, 9))
    form = draw(st.sampled_from(["plain", "small", "stride", "deep"]))
    if form == "deep":
        fields |= {"deep": True, "stride": draw(st.sampled_from([None, 1]))}
    else:
        fields["kernel"] = draw(st.sampled_from([None, 1, 3, 4, 5, 8, 9]))
        fields["shrink"] = draw(st.sampled_from(["least_squares", "pseudo_inverse", "bilinear", "crop"]))
        fields |= {"small": {"small_images": True}, "stride": {"stride": 1}, "plain": {}}[form]
    fields["pool"] = draw(st.booleans())
    return StemSpec(**fields)


@pytest.fixture(scope="module")
def originals():
    return {v2: network(v2, seed=2) for v2 in (False, True)}


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(spec=specifications(), v2=st.booleans(), inside=st.booleans())
def test_any_specification(spec, v2, inside, originals, tmp_path):
    original = originals[v2]
    result = modify_stem(original, spec, preprocessing="inside" if inside else "outside")
    model, report = result.model, result.report

    for layer in model.layers:
        if layer.weights and layer.name not in result.stem_layers:
            for new, old in zip(layer.get_weights(), original.get_layer(layer.name).get_weights(), strict=True):
                assert new.tobytes() == old.tobytes()

    rng = np.random.default_rng(0)
    low, high = spec.value_range
    given = report.input
    raw = rng.uniform(low, high, (4, 32, 32, given["channels"]))
    x = (raw if inside else raw * given["scale"] + given["offset"]).astype("float32")
    before = run(model, x)
    assert np.isfinite(before).all()

    gradient = gradients(model, x)
    for name in result.stem_layers:
        for weight in model.get_layer(name).trainable_weights:
            assert np.abs(gradient[f"{name}/{weight.name}"]).max() > 0, f"{name}/{weight.name} gets no gradient"

    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    assert np.array_equal(run(again, x), before)

    # Training comes last, because it changes the weights.
    model.compile(keras.optimizers.SGD(1e-6), "mse", jit_compile=False, run_eagerly=True)
    assert np.isfinite(model.train_on_batch(x, np.zeros_like(before)))
    assert all(np.isfinite(w).all() for w in model.get_weights())

"""Training in 16 bits: what computes in which type, and that the network itself stays float32."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from restem.errors import RestemError
from restem.images.config import ImageConfig
from restem.run_record import ModelInput, ModelRecord
from restem.trainer.config import PhaseConfig, TrainConfig
from restem.trainer.export import export
from restem.trainer.network import in_order
from restem.trainer.optimizer import KINDS, make_optimizer
from restem.trainer.phases import predict
from restem.trainer.precision import body, choose_precision, computing_in, scaled
from tests.trainer.conftest import CLASSES, tiny_network
from tests.trainer.test_training import VARIED, kill_and_continue

ONLY_ALL = {"head": {"epochs": 0}, "stem": {"epochs": 0}, "all": {"epochs": 8, "learning_rate": 0.01}}


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ([], "float32"),
        ([(9, 0)], "mixed_bfloat16"),
        ([(8, 0), (8, 9)], "mixed_bfloat16"),
        ([(7, 5)], "mixed_float16"),
        ([(8, 0), (7, 0)], "mixed_float16"),
        ([(6, 1)], "float32"),
        ([None], "float32"),
    ],
)
def test_auto_takes_what_the_slowest_gpu_computes_fast(monkeypatch, caplog, capabilities, expected):
    caplog.set_level("INFO", "restem")
    details = [{} if each is None else {"compute_capability": each} for each in capabilities]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(range(len(capabilities))))
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details[gpu])
    assert choose_precision("auto") == expected
    assert f"precision of the training: {expected} (auto)" in caplog.text
    assert choose_precision("float32") == "float32"


def test_float16_is_for_one_device(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["gpu"] * 2)
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": (7, 0)})
    assert [choose_precision("auto", devices) for devices in (1, 2)] == ["mixed_float16", "float32"]
    with pytest.raises(RestemError, match=r"train\.precision: mixed_float16 is for one device.*with 2 devices"):
        choose_precision("mixed_float16", 2)


def test_float16_on_a_processor_is_warned_of(caplog):
    assert choose_precision("mixed_float16") == "mixed_float16"
    assert "slow on processors" in caplog.text


@pytest.mark.parametrize(("precision", "half"), [("mixed_bfloat16", tf.bfloat16), ("mixed_float16", tf.float16)])
def test_the_body_computes_in_16_bits_and_stem_and_head_in_32(network, precision, half):
    inner = body(network.model, network.stem_layers)
    assert [layer.name for layer in inner] == ["body_conv", "body_bn"]

    def types():
        graph = tf.function(network.model).get_concrete_function(tf.TensorSpec((2, 8, 8, 1)))
        return [
            *(op.outputs[0].dtype for op in graph.graph.get_operations() if op.type in ("Conv2D", "MatMul")),
            graph.structured_outputs.dtype,
        ]

    with computing_in(precision, inner):
        assert types() == [tf.float32, half, tf.float32, tf.float32]
        with computing_in("float32", inner):
            assert types() == [tf.float32] * 4
        assert types()[1] == half
    assert types() == [tf.float32] * 4
    assert {weight.dtype for weight in network.model.weights} == {"float32"}


def test_layers_inside_nested_models_are_in_their_place():
    inner_input = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv1_conv")(inner_input)
    x = keras.layers.ReLU(name="relu")(keras.layers.BatchNormalization(name="norm")(x))
    left, right = keras.layers.Conv2D(4, 1, name="left")(x), keras.layers.Conv2D(4, 1, name="right")(x)
    x = keras.layers.Add(name="sum")([left, right])
    backbone = keras.Model(inner_input, keras.layers.GlobalAveragePooling2D(name="pool")(x))
    pixels = keras.Input((8, 8, 1))
    adapter = keras.Sequential([pixels, keras.layers.Conv2D(3, 1, name="to_rgb")])
    model = keras.Model(pixels, keras.layers.Dense(2, name="head")(backbone(adapter(pixels))))
    names = [layer.name for layer in in_order(model)]
    assert names.index("to_rgb") < names.index("conv1_conv") < names.index("left") < names.index("sum")
    assert names[-2:] == ["pool", "head"]
    assert {layer.name for layer in body(model, ["conv1_conv"])} == {"relu", "left", "right", "sum"}


def test_what_is_trained_in_16_bits_is_a_float32_model_that_learned_the_same(train, pictures, tmp_path):
    seen = []

    def traced():
        network = tiny_network()
        layer = network.model.get_layer("body_conv")
        original = layer.call
        layer.call = lambda inputs: seen.append(inputs.dtype) or original(inputs)
        return network

    exact = train(**ONLY_ALL, freeze_batch_norm=False).training.history[-1]
    for precision in ("mixed_bfloat16", "mixed_float16"):
        seen.clear()
        rough = train(make=traced, precision=precision, **ONLY_ALL, freeze_batch_norm=False)
        # Training is in 16 bits, validation in 32.
        assert {tf.as_dtype(each).name for each in seen} == {precision.removeprefix("mixed_"), "float32"}
        first, last = rough.training.history[0], rough.training.history[-1]
        assert last.loss == pytest.approx(exact.loss, abs=0.1)
        assert last.loss != exact.loss
        assert last.loss < 0.5 * first.loss
        # The figures of the last epoch are those of the float32 model.
        right = predict(rough.network.model, rough.val, 16).argmax(1) == pictures[1][:30]
        assert np.mean(right) == last.validation.accuracy

    image = ImageConfig(size=8, channels=1)
    record = ModelRecord("candidate", "ResNet50", "none", ModelInput(8, 8, 1, 1), 1, 90, precision=precision)
    export(rough.network.model, image, CLASSES, str(tmp_path), record, {})
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    pixels = pictures[0][:30]
    answers = served(image_bytes=tf.stack([tf.io.encode_png(each) for each in pixels]))["probabilities"]
    logits = network_in_float32(rough.network.model)(pixels.astype(np.float32))
    np.testing.assert_allclose(answers, tf.nn.softmax(logits), atol=1e-6)
    assert answers.dtype == tf.float32


def network_in_float32(model):
    """The same network, made anew in float32 with these weights."""
    again = tiny_network().model
    again.set_weights(model.get_weights())
    assert {layer.compute_dtype for layer in again.layers} == {"float32"}
    return again


@pytest.mark.parametrize(("precision", "after"), [("mixed_bfloat16", 3), ("mixed_float16", 8)])
def test_an_interrupted_training_in_16_bits_ends_with_the_same_weights(train, tmp_path, monkeypatch, precision, after):
    settings = {**VARIED, "precision": precision, "head": {"epochs": 0}, "stem": {"epochs": 0}}
    whole = train(**settings)
    again = kill_and_continue(train, tmp_path, monkeypatch, after, settings)
    for ours, theirs in zip(again.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [(e.loss, e.validation) for e in again.training.history] == [
        (e.loss, e.validation) for e in whole.training.history
    ]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_optimizer_takes_the_same_step_from_a_scaled_loss(name):
    config = TrainConfig(optimizer=name, clip_norm=1.0, precision="mixed_float16")
    phase = PhaseConfig(epochs=1, learning_rate=0.01, weight_decay=0.1, schedule="plateau")
    results = []
    for precision in ("float32", "mixed_float16"):
        kernel, bias = keras.Variable(np.ones((2, 2), np.float32)), keras.Variable(np.ones(2, np.float32))
        plain = make_optimizer(config, phase, 10, rates={kernel.path: 0.5}, no_decay=[bias])
        optimizer = scaled(plain, precision)
        optimizer.build([kernel, bias])
        factor = optimizer.scale_loss(tf.constant(1.0))
        gradients = [tf.constant([[1.0, -2.0], [3.0, 0.5]]), tf.constant([0.25, -1.0])]
        # Three, so that the second and third depend on the optimizer's state.
        for _ in range(3):
            optimizer.apply([each * factor for each in gradients], [kernel, bias])
        optimizer.learning_rate.assign(optimizer.learning_rate * 0.3)
        results.append((kernel.numpy(), bias.numpy(), float(plain.learning_rate), int(plain.iterations)))
    assert float(factor) == 2.0**15
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_step_whose_gradients_overflow_is_left_out():
    """The scale is halved, the weights stay."""
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0))
    weight = keras.Variable(np.ones(2, np.float32))
    optimizer.apply([tf.constant([np.inf, 1.0])], [weight])
    np.testing.assert_array_equal(weight, 1)
    assert float(optimizer.dynamic_scale) == 2.0**14


def test_checkpoints_of_another_precision_are_other_checkpoints(tmp_path, monkeypatch):
    from restem.trainer.module import find_checkpoints
    from restem.trainer.variables import CHECKPOINT_FOLDER

    monkeypatch.setenv(CHECKPOINT_FOLDER, str(tmp_path))
    fn_args = SimpleNamespace(
        custom_config={"role": "candidate", "train": {"precision": "auto"}, "config": {}},
        train_files=[f"{tmp_path}/Split-train/*"],
        eval_files=[],
        base_model=None,
    )
    folders = {find_checkpoints(fn_args, 0, each)._folder for each in ("float32", "mixed_bfloat16", "float32")}
    assert len(folders) == 2

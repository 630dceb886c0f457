"""Small networks for the tests, built by keras.applications, with random statistics that hide no error."""

import functools

import keras
import numpy as np
from keras.src.applications import resnet

# Blocks per stage of the six backbones.
DEPTHS = {"50": (3, 4, 6, 3), "101": (3, 4, 23, 3), "152": (3, 8, 36, 3)}


def network(v2: bool, blocks=None, width=4, channels=3, seed=0, name="tiny", **kwargs) -> keras.Model:
    """A ResNet with the stock stem (64 filters) and narrow stages, in the current precision."""
    # The minimum: V2's builder makes at least two.
    blocks = blocks or ((2,) if v2 else (1,))
    stack = resnet.stack_residual_blocks_v2 if v2 else resnet.stack_residual_blocks_v1

    def stages(x):
        for place, count in enumerate(blocks):
            last = place == len(blocks) - 1
            # V2 strides in a stage's last block, V1 in its first.
            stride = (1 if last else 2) if v2 else (1 if place == 0 else 2)
            x = stack(x, width * 2**place, count, stride1=stride, name=f"conv{place + 2}")
        return x

    options = {"include_top": False, "pooling": "avg", "input_shape": (None, None, channels)} | kwargs
    return randomise(resnet.ResNet(stages, v2, True, weights=None, name=name, **options), seed)


def randomise(model: keras.Model, seed: int) -> keras.Model:
    """Random BatchNorm statistics and biases, to detect a rule that forgets one of them."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = layer.gamma.shape[0]
            layer.set_weights(
                [rng.uniform(0.5, 1.5, n), rng.normal(0, 0.3, n), rng.normal(0, 0.3, n), rng.uniform(0.5, 1.5, n)]
            )
        elif isinstance(layer, keras.layers.Conv2D):
            kernel, *bias = layer.get_weights()
            spread = np.sqrt(2 / np.prod(kernel.shape[:3]))
            layer.set_weights([rng.normal(0, spread, kernel.shape), *(rng.normal(0, 0.1, b.shape) for b in bias)])
    return model


def as_stock(monkeypatch, blocks: dict[str, tuple[int, ...]], seed: int = 1) -> None:
    """Makes small networks the stock ones: for keras.applications, and for the layout that files are compared with."""
    from restem.stem.checkpoint import layout  # not for the tests of a copy of the library alone

    monkeypatch.setattr(layout, "WIDTH", 4)
    for name, counts in blocks.items():
        build = functools.partial(network, name.endswith("V2"), counts, seed=seed)

        def make(include_top=True, weights=None, input_shape=None, pooling=None, build=build, **_):
            return build(channels=input_shape[-1], pooling=pooling)

        monkeypatch.setattr(keras.applications, name, make)
        monkeypatch.setitem(layout.BLOCKS, name, counts)


def run(model: keras.Model, x: np.ndarray, training: bool = False) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(x), training=training))


def difference(old: np.ndarray, new: np.ndarray) -> float:
    """The largest difference, divided by the largest old value."""
    return float(np.abs(old - new).max() / np.abs(old).max())


def gradients(model: keras.Model, x: np.ndarray) -> dict[str, np.ndarray]:
    """Gradient of the mean squared output at inference, by `layer/weight`, on any backend."""
    names = [f"{layer.name}/{w.name}" for layer in model.layers for w in layer.trainable_weights]
    variables = [w for layer in model.layers for w in layer.trainable_weights]
    x = keras.ops.convert_to_tensor(x)
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = keras.ops.mean(keras.ops.square(model(x, training=False)))
        values = tape.gradient(loss, [v.value for v in variables])
    elif keras.config.backend() == "jax":
        import jax

        def loss_of(values):
            out, _ = model.stateless_call(values, [v.value for v in model.non_trainable_variables], x, training=False)
            return keras.ops.mean(keras.ops.square(out))

        values = jax.grad(loss_of)([v.value for v in model.trainable_variables])
        order = {id(v): g for v, g in zip(model.trainable_variables, values, strict=True)}
        values = [order[id(v)] for v in variables]
    else:
        model.zero_grad()
        keras.ops.mean(keras.ops.square(model(x, training=False))).backward()
        values = [v.value.grad for v in variables]
    return {n: np.asarray(keras.ops.convert_to_numpy(v)) for n, v in zip(names, values, strict=True)}

"""The phases of training: the head on cached features, the stem, the whole network."""

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from restem.trainer.augmented import Augmentation, Augmented
from restem.trainer.batches import Batches
from restem.trainer.config import NetworkPhase, TrainConfig
from restem.trainer.distribution import ONE, Distribution
from restem.trainer.features import features_of, mean_and_std, standardise
from restem.trainer.input import Split, arrays_as_split
from restem.trainer.network import Network, layers_of
from restem.trainer.optimizer import make_optimizer
from restem.trainer.precision import FLOAT32, body, computing_in, scaled
from restem.trainer.replicas import Replicated
from restem.trainer.temperature import logits_of, softmax
from restem.trainer.training import Phase, Training, to_arrays

# The steps that a BatchNormalization's moving statistics remember: a fiftieth of the phase, within these limits.
REMEMBERED_STEPS = (10, 100)
STAGE = re.compile(r"^conv(\d)_")


def set_seed(seed: int, *, deterministic: bool) -> None:
    """Seeds Python, NumPy and TensorFlow; with `deterministic`, operations give the same bits each time."""
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def compile_classifier(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, label_smoothing: float = 0.0, *, mixed: bool = False
) -> keras.Metric:
    """Compiles a model that outputs logits [N, classes] for labels int64 [N]; returns its metric "accuracy".

    With `mixed`, the loss also takes the classes' shares, float32 [N, classes].
    """
    # XLA is five times slower than oneDNN's kernels on CPUs; Keras turns it on by itself where there is a GPU.
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    # If given only a name, Keras would create the metric, and the optimizer's variables, inside the training step's
    # graph. TensorFlow then traces the step twice, which takes ten seconds for a ResNet50.
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    model.compile(
        optimizer=optimizer,
        loss=_CrossEntropy(label_smoothing)
        if label_smoothing or mixed
        else keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[accuracy],
        jit_compile="auto" if on_gpu else False,
    )
    model.optimizer.build(model.trainable_variables)
    return accuracy


class _CrossEntropy(keras.losses.Loss):
    """The cross-entropy of logits [N, classes] with labels int64 [N], or with the classes' shares float32 [N, classes].

    Both can be smoothed (Szegedy et al. 2015, arXiv 1512.00567).
    """

    def __init__(self, smoothing: float) -> None:
        super().__init__()
        self._smoothing = smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        classes = y_pred.shape[-1]
        if len(y_true.shape) == 2 and y_true.shape[-1] == classes:
            labels = y_true
        else:
            labels = keras.ops.one_hot(keras.ops.reshape(keras.ops.cast(y_true, "int32"), (-1,)), classes)
        labels = labels * (1 - self._smoothing) + self._smoothing / classes
        return keras.losses.categorical_crossentropy(labels, y_pred, from_logits=True)


def train_head(training: Training, network: Network, train: Split, val: Split | None, config: TrainConfig) -> None:
    """Trains the head alone on the backbone's features, which are computed once, on images that are not augmented.

    The features are standardised for the training and the standardisation is folded back into the head: on raw
    features (mean 13 for a ResNet50) Adam hardly moves. With W, b trained on (f - m) / s, the head becomes W / s and
    b - sum(m W / s). The head of a network that goes on from a pushed model starts with the inverse of that, so that
    it computes the same at the first step.
    """
    with ExitStack() as files:
        features = files.enter_context(features_of(network.features, train, config.batch_size))
        mean, std = mean_and_std(features)
        standardise(features, mean, std)
        validation = None
        if val is not None:
            validation = files.enter_context(features_of(network.features, val, config.batch_size))
            standardise(validation, mean, std)
        seen = arrays_as_split(features, train.labels, train.paths, train.weights)
        _train_head(training, network, seen, validation, mean, std, config)


def _train_head(
    training: Training,
    network: Network,
    seen: Split,
    validation: np.ndarray | None,
    mean: np.ndarray,
    std: np.ndarray,
    config: TrainConfig,
) -> None:
    phase = config.head
    head = keras.Sequential(
        [
            keras.Input(mean.shape),
            *([keras.layers.Dropout(phase.dropout, seed=config.seed)] if phase.dropout else []),
            keras.layers.Dense(network.head.units),
        ]
    )
    if network.continued:
        kernel, bias = network.head.get_weights()
        head.layers[-1].set_weights([kernel * std[:, None], bias + mean @ kernel])
    batches = Batches(seen, config)
    optimizer = make_optimizer(config, phase, phase.epochs * batches.steps)
    accuracy = compile_classifier(head, optimizer, config.label_smoothing)

    def fold() -> Sequence[np.ndarray]:
        kernel, bias = head.get_weights()[:2]
        network.head.set_weights([kernel / std[:, None], bias - (mean / std) @ kernel])
        return to_arrays(network.model.variables)

    training.run(
        Phase(
            name="head",
            model=head,
            accuracy=accuracy,
            settings=phase,
            batches=batches,
            predict=None if validation is None else lambda: softmax(head.predict(validation, verbose=0)),
            weights=fold,
        )
    )
    fold()


def train_network(
    training: Training,
    network: Network,
    train: Split,
    val: Split | None,
    name: str,
    phase: NetworkPhase,
    config: TrainConfig,
    *,
    white: float,
    freeze_batch_norm: bool,
    distribution: Distribution = ONE,
) -> None:
    """Trains the head and either the stem (`name` is "stem") or the whole network ("all").

    Args:
      white: the largest value of a pixel, for augmentation.
      freeze_batch_norm: BatchNormalization layers keep their statistics and scales, except those of the stem.
      distribution: the devices that train.
    """
    batches = Batches(train, config)
    steps = phase.epochs * batches.steps
    for layer in network.layers():
        if layer.name == "to_rgb":
            continue
        in_stem = layer.name in network.stem_layers
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        if name == "stem":
            layer.trainable = in_stem or layer is network.head
        else:
            layer.trainable = not (freeze_batch_norm and not in_stem and is_norm)
        if is_norm and layer.trainable:
            layer.momentum = min(layer.momentum, statistics_momentum(steps, config.ema))
    augment = None
    if config.augment.on:
        augment = Augmentation(config.augment, white, network.head.units, config.seed)
    replicated = Replicated(network.model, augment, distribution) if distribution.strategy else None
    model = replicated or (Augmented(network.model, augment) if augment else network.model)
    with distribution.scope():
        optimizer = make_optimizer(
            config,
            phase,
            steps,
            rates=stage_rates(network, phase.lower_layers),
            no_decay=[weight for weight in model.trainable_variables if len(weight.shape) < 2],
            statistics=moving_statistics(model),
        )
    optimizer = scaled(optimizer, config.precision)
    if replicated:
        replicated.prepare(optimizer)

    def trained() -> keras.Model:
        if replicated:
            replicated.write_back()
        return network.model

    accuracy = compile_classifier(model, optimizer, config.label_smoothing, mixed=config.augment.mixes)
    original = body(network.model, network.stem_layers)
    computing = body(replicated.replicas, network.stem_layers) if replicated else original

    def judge() -> np.ndarray:
        assert val is not None
        with computing_in(FLOAT32, original):
            return predict(trained(), val, config.batch_size)

    with computing_in(config.precision, computing):
        training.run(
            Phase(
                name=name,
                model=model,
                accuracy=accuracy,
                settings=phase,
                batches=batches,
                predict=None if val is None else lambda: distribution.from_chief(judge),
                weights=lambda: to_arrays(trained().variables),
            )
        )
    trained()


def predict(model: keras.Model, split: Split, batch_size: int, temperature: float | None = None) -> np.ndarray:
    """Probabilities, float32 [count, classes], in the split's order; `temperature` divides the logits."""
    return softmax(logits_of(model, split, batch_size), temperature)


def short_momentum(steps: int) -> float:
    """The momentum of moving statistics in a phase of so many steps.

    Keras's 0.99 remembers hundreds of steps. In a training of fewer, the statistics lag behind the weights, and the
    network that infers is not the one that was trained.
    """
    return 1 - 1 / min(max(steps / 50, REMEMBERED_STEPS[0]), REMEMBERED_STEPS[1])


def statistics_momentum(steps: int, ema: float | None) -> float:
    """The momentum of BatchNormalization's moving statistics in a phase of so many steps.

    With `train.ema` the average of the weights includes the statistics. If they also had a memory of their own, they
    would lag behind the averaged weights. An average over fewer than 10 steps is too short for that.
    """
    if ema is not None and 1 / (1 - ema) >= REMEMBERED_STEPS[0]:
        return 0.0
    return short_momentum(steps)


def moving_statistics(model: keras.Model) -> list[keras.Variable]:
    """The moving statistics that change in training: those of the BatchNormalization layers that are not frozen."""
    return [
        statistic
        for layer in layers_of(model)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        for statistic in (layer.moving_mean, layer.moving_variance)
    ]


def stage_rates(network: Network, factor: float) -> Mapping[str, float]:
    """Factors of the learning rate by a weight's path: 1 for the head, `factor` for the last stage, its square for the
    one before it, and so on down to the stem."""
    if factor == 1:
        return {}
    rates: dict[str, float] = {}
    for layer in network.layers():
        stage = STAGE.match(layer.name)
        if layer is network.head:
            depth = 0
        else:
            depth = 6 - int(stage[1]) if stage and layer.name not in network.stem_layers else 5
        rates.update((weight.path, factor**depth) for weight in layer.weights)
    return rates

"""The training phases: the head on cached features, the stem, the whole network."""

import keras
import numpy as np
import tensorflow as tf

from restem.run_record import Epoch
from restem.trainer.config import PhaseConfig, TrainConfig
from restem.trainer.input import Split
from restem.trainer.network import Network
from restem.trainer.optimizer import adam
from restem.trainer.progress import EpochHistory

SMALLEST_STD_SHARE = 0.3  # of the features' mean standard deviation


def set_seed(seed: int, *, deterministic: bool) -> None:
    """Seeds Python, NumPy and TensorFlow; `deterministic` makes operations bit-reproducible."""
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def compile_classifier(model: keras.Model, learning_rate: float, steps: int) -> None:
    """Compiles a model that outputs logits [N, classes] for labels int64 [N]."""
    # On CPUs, XLA is five times slower than oneDNN's kernels; on GPUs, Keras turns it on by itself.
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    model.compile(
        optimizer=adam(learning_rate, steps),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # If given only a name, Keras would create the metric, and the optimizer's variables, inside the training step's
        # graph. TensorFlow then traces the step twice, which takes ten seconds for a ResNet50.
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile="auto" if on_gpu else False,
    )
    model.optimizer.build(model.trainable_variables)


def train_head(network: Network, train: Split, phase: PhaseConfig, config: TrainConfig) -> list[Epoch]:
    """Trains only the head on the backbone's features, which are computed once.

    The features are standardised for training, because Adam makes little progress on raw features (mean 13 for a
    ResNet50). The standardisation is then folded into the head: with W, b trained on (f - m) / s, the head becomes
    W / s and b - sum(m W / s).

    Returns:
      The phase's epochs.
    """
    features = network.features.predict(train.pixels(config.batch_size), verbose=0)
    labels = train.labels()
    mean, std = features.mean(axis=0), features.std(axis=0)
    # A feature that hardly varies must not be scaled up: the head would rely on its noise, and the first steps that
    # train the backbone would distort the logits.
    std = np.maximum(std, SMALLEST_STD_SHARE * std.mean())
    head = keras.Sequential([keras.Input((features.shape[1],)), keras.layers.Dense(network.head.units)])
    steps = phase.epochs * -(-len(labels) // config.batch_size)
    compile_classifier(head, phase.learning_rate, steps)
    history = EpochHistory("head", phase.epochs, len(labels))
    head.fit(
        (features - mean) / std,
        labels,
        sample_weight=train.weights(),
        batch_size=config.batch_size,
        epochs=phase.epochs,
        shuffle=True,
        verbose=0,
        callbacks=[history],
    )
    kernel, bias = head.get_weights()
    network.head.set_weights([kernel / std[:, None], bias - (mean / std) @ kernel])
    return history.epochs


def train_network(
    network: Network,
    train: Split,
    name: str,
    phase: PhaseConfig,
    config: TrainConfig,
    *,
    freeze_batch_norm: bool,
) -> list[Epoch]:
    """Trains the head and either the stem (`name` is "stem") or the whole network ("all").

    Args:
      freeze_batch_norm: BatchNormalization layers outside the stem keep their statistics and scales.

    Returns:
      The phase's epochs.
    """
    for layer in network.layers():
        if layer.name == "to_rgb":
            continue
        in_stem = layer.name in network.stem_layers
        if name == "stem":
            layer.trainable = in_stem or layer is network.head
        else:
            layer.trainable = not (
                freeze_batch_norm and not in_stem and isinstance(layer, keras.layers.BatchNormalization)
            )
    steps_per_epoch = -(-train.count // config.batch_size)
    compile_classifier(network.model, phase.learning_rate, phase.epochs * steps_per_epoch)
    history = EpochHistory(name, phase.epochs, train.count)
    network.model.fit(
        train.batches(config.batch_size, shuffle_seed=config.seed),
        epochs=phase.epochs,
        verbose=0,
        callbacks=[history],
    )
    return history.epochs

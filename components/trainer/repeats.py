"""Training again with other seeds (`train.repeats`): how much a result depends on the seed."""

import logging
from collections.abc import Callable, Iterable, Mapping

import keras

from restem.run_record import Epoch, Repeat, Scores
from restem.trainer.config import TrainConfig
from restem.trainer.network import Network
from restem.trainer.training import Training

log = logging.getLogger("restem")


def repeat_training(
    config: TrainConfig,
    scores: Mapping[str, Scores],
    history: Iterable[Epoch],
    fit: Callable[[TrainConfig], tuple[Network, Training]],
    judge: Callable[[Network], dict[str, Scores]],
) -> tuple[Repeat, ...]:
    """Trains the network with the further seeds, one after the other; the networks are not kept.

    Each seed has its own checkpoints: after an interruption, seeds that are finished are only scored again.

    Args:
      config: the section, with the first seed.
      scores, history: of the training with the first seed.
      fit: builds and trains a network with the seed of a section.
      judge: a trained network's scores by split.

    Returns:
      All trainings, the first seed's too.
    """
    done = [Repeat(config.seed, dict(scores), _seconds(history))]
    for further in range(1, config.repeats):
        seed = config.seed + further
        log.info("seed %d: training %d of %d (train.repeats)", seed, further + 1, config.repeats)
        network, training = fit(config.model_copy(update={"seed": seed}))
        repeat = Repeat(seed, judge(network), _seconds(training.history))
        log.info("seed %d: accuracy on the test images: %.4f", seed, repeat.scores["test"].accuracy)
        done.append(repeat)
        del network, training
        keras.backend.clear_session()
    return tuple(done)


def _seconds(history: Iterable[Epoch]) -> float:
    return sum(epoch.seconds for epoch in history)

"""Help for classes with few images: they count more, or are seen more often."""

import numpy as np

from restem.trainer.config import TrainConfig


def balanced_weights(labels: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Weights with which every class counts the same in a pass: float32 [N], their mean that of the given weights.

    Args:
      labels: int64 [N].
      weights: the examples' own, float32 [N]; none: 1 each.
    """
    own = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
    totals = np.bincount(labels, weights=own)
    present = totals > 0
    factors = np.divide(own.sum() / present.sum(), totals, out=np.zeros_like(totals), where=present)
    return (own * factors[labels]).astype(np.float32)


def balanced_repeats(labels: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """How often each image is seen in an epoch in which every class is seen equally often: int64 [N].

    An epoch is as long as without: of a large class some images are left out, others in each epoch; those of a small
    class are seen several times.
    """
    random = np.random.default_rng((seed, epoch, 1))
    classes, counts = np.unique(labels, return_counts=True)
    wanted = max(1, len(labels) // len(classes))
    repeats = np.zeros(len(labels), np.int64)
    for label, count in zip(classes, counts, strict=True):
        members = np.flatnonzero(labels == label)
        repeats[members] = wanted // count
        repeats[random.permutation(members)[: wanted % count]] += 1
    return repeats


def epoch_length(labels: np.ndarray, config: TrainConfig) -> int:
    """How many images an epoch has."""
    if config.balance != "sampling":
        return len(labels)
    classes = len(np.unique(labels))
    return classes * max(1, len(labels) // classes)

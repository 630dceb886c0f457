"""What the workers of a distributed training must agree on: where they continue, and which epoch is the best.

The chief alone reads and writes the checkpoints, and alone trains what needs no second machine. The others get the
result from it. So they need no common folder, and rounding on another kind of processor cannot part them.
"""

import io
from collections.abc import Callable

import keras
import numpy as np

from restem.trainer.checkpoint import Arrays, Checkpoints, Position, Saved
from restem.trainer.distribution import Distribution
from restem.trainer.training import Training, to_arrays


class SharedCheckpoints(Checkpoints):
    """The chief's checkpoints, for all workers."""

    def __init__(self, chiefs: Checkpoints, distribution: Distribution) -> None:
        self._chiefs, self._distribution = chiefs, distribution

    @property
    def due(self) -> bool:
        """Whether it is time for the next checkpoint; the other workers write none."""
        return self._distribution.is_chief and self._chiefs.due

    def save(self, position: Position, values: Arrays, best: Arrays | None = None) -> None:
        """Writes a checkpoint, if this is the chief."""
        if self._distribution.is_chief:
            self._chiefs.save(position, values, best)

    def load(self) -> Saved | None:
        """The chief's newest checkpoint, on every worker."""
        return saved_from_chief(self._distribution, self._chiefs.load)


def shared(checkpoints: Checkpoints, distribution: Distribution) -> Checkpoints:
    """The checkpoints as all workers use them."""
    return checkpoints if distribution.workers == 1 else SharedCheckpoints(checkpoints, distribution)


def saved_from_chief(distribution: Distribution, make: Callable[[], Saved | None]) -> Saved | None:
    """What `make` gives on the chief, on every worker."""
    return _loads(distribution.bytes_from_chief(_dumps(make()) if distribution.is_chief else b""))


def agree_on_weights(distribution: Distribution, model: keras.Model) -> None:
    """Gives every worker the chief's weights: what was fitted to images may round differently on another processor."""
    if distribution.workers > 1:
        _assign(model, saved_from_chief(distribution, lambda: Saved(Position(""), to_arrays(model.variables), None)))


def on_the_chief(distribution: Distribution, training: Training, model: keras.Model, train: Callable[[], None]) -> None:
    """Lets the chief train something, and gives every worker the weights, the history and the best epoch."""
    if distribution.workers == 1:
        train()
        return
    if distribution.is_chief:
        train()
    saved = saved_from_chief(distribution, lambda: training.snapshot(to_arrays(model.variables)))
    _assign(model, saved)
    assert saved is not None
    training.take(saved)


def _assign(model: keras.Model, saved: Saved | None) -> None:
    assert saved is not None
    for variable, value in zip(model.variables, saved.values, strict=True):
        variable.assign(value)


def _dumps(saved: Saved | None) -> bytes:
    """As one block; empty: there is none."""
    if saved is None:
        return b""
    arrays = {f"v{i}": value for i, value in enumerate(saved.values)}
    arrays |= {f"b{i}": value for i, value in enumerate(saved.best or ())}
    position = np.frombuffer(saved.position.to_json().encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, position=position, has_best=np.array(saved.best is not None), **arrays)
    return buffer.getvalue()


def _loads(content: bytes) -> Saved | None:
    if not content:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        found = dict(arrays)
    values, best = ([found[f"{kind}{i}"] for i in range(sum(name[0] == kind for name in found))] for kind in "vb")
    return Saved(Position.from_json(found["position"].tobytes()), values, best if found["has_best"] else None)

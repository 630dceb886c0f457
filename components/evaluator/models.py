"""The exported models, loaded once for both TFMA's predictions and the measurement of what serving costs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import tensorflow as tf
import tensorflow_model_analysis as tfma

# TFMA loads models in threads of Beam's, which a ContextVar does not reach; in other processes nothing is kept.
_lock = threading.Lock()
_kept: dict[str, Any] | None = None


@contextlib.contextmanager
def loaded_once() -> Iterator[None]:
    """Within this context `load` keeps what it loads, by folder."""
    global _kept
    _kept = {}
    try:
        yield
    finally:
        _kept = None


def load(folder: str) -> Any:
    """The SavedModel of a folder."""
    with _lock:
        if _kept is None:
            return tf.saved_model.load(folder)
        if folder not in _kept:
            _kept[folder] = tf.saved_model.load(folder)
        return _kept[folder]


def shared_model(
    eval_saved_model_path: str, model_name: str, eval_config: tfma.EvalConfig, add_metrics_callbacks: None
) -> tfma.EvalSharedModel:
    """What TFMA evaluates: as its own default, but loaded by `load`. TFX's Evaluator gives these arguments."""
    shared = tfma.default_eval_shared_model(
        eval_saved_model_path=eval_saved_model_path,
        model_name=model_name,
        eval_config=eval_config,
        add_metrics_callbacks=add_metrics_callbacks,
    )
    loader = tfma.ModelLoader(partial(load, eval_saved_model_path), shared.model_loader.tags)
    return shared._replace(model_loader=loader)

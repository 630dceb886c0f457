"""Temperature scaling: one number, fitted on the validation images, makes probabilities as sure as they are right.

Guo et al. 2017, On Calibration of Modern Neural Networks (arXiv:1706.04599), section 4.2: the probabilities are
softmax(logits / T). T > 1 makes them less sure, T < 1 more. The order of the classes stays, and so the predicted class.
"""

import logging
import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from restem.trainer.input import Split

KEY = "calibrate"  # of the `custom_config` of `run_fn`: evaluate.calibrate, if it is not `none`
LOWEST, HIGHEST = 0.1, 20.0  # a minimum at one of them is none
PRECISION = 1e-6  # of log T

log = logging.getLogger("restem")


def asked(custom: Mapping[str, Any]) -> bool:
    """Whether the `custom_config` of `run_fn` asks for it."""
    return custom.get(KEY) == "temperature"


def logits_of(model: keras.Model, split: Split, batch_size: int) -> np.ndarray:
    """The network's logits, float32 [count, classes], in the split's order."""
    return np.asarray(model.predict(split.pixels(batch_size), verbose=0), np.float32)


def softmax(logits: np.ndarray, temperature: float | None = None) -> np.ndarray:
    """softmax(logits / temperature), float32 [N, classes], computed as the exported model does; None: 1."""
    return keras.ops.convert_to_numpy(keras.ops.softmax(logits.astype(np.float32) / np.float32(temperature or 1.0)))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the smallest log loss, between `LOWEST` and `HIGHEST`.

    The loss is convex in 1/T, so it has at most one minimum. It has none where every answer is right (a smaller T is
    always better on these images) or where the answers are worse than chance (a larger one is): that says nothing about
    the right one. Then, and if there is no image, the result is 1, which changes nothing.

    Args:
      logits: float32 [N, classes].
      labels: int64 [N], the true classes.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    wide = np.asarray(logits, np.float64)
    if not np.isfinite(wide).all():
        return 1.0  # such answers are refused when they are scored
    true = np.take_along_axis(wide, np.asarray(labels)[:, None], axis=1)[:, 0] if len(wide) else np.zeros(0)
    if not np.any(wide.max(axis=1, initial=-np.inf) > true):
        log.warning("calibration: all %d answers on the validation images are right: no temperature fits", len(wide))
        return 1.0

    def loss(log_t: float) -> float:
        scale = math.exp(-log_t)
        return float(np.mean(logsumexp(wide * scale, axis=1) - true * scale))

    found = minimize_scalar(
        loss, bounds=(math.log(LOWEST), math.log(HIGHEST)), method="bounded", options={"xatol": PRECISION}
    )
    temperature = math.exp(float(found.x))
    if min(temperature / LOWEST, HIGHEST / temperature) < 1 + 1e-3:
        log.warning("calibration: no temperature from %g to %g fits %d validation images", LOWEST, HIGHEST, len(wide))
        return 1.0
    log.info(
        "calibration: temperature %.4f; the loss on %d validation images falls from %.4f to %.4f",
        temperature,
        len(wide),
        loss(0.0),
        float(found.fun),
    )
    return temperature

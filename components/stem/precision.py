"""All bits of float32, whatever the backend takes for enough on this device."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import keras


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Turns TF32 off: on GPUs, convolutions otherwise keep 10 bits of float32's mantissa (NVIDIA, since Ampere).

    A probe in TF32 tells neither that a function is kept nor that it is not: on an H100 a ResNet50 differs from itself
    by 1e-3 of its largest feature.
    """
    name = keras.config.backend()
    backend: Any = sys.modules.get(name)  # Keras has loaded it; this library imports none.
    if name == "tensorflow":
        config = backend.config.experimental
        before = config.tensor_float_32_execution_enabled()
        config.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            config.enable_tensor_float_32_execution(before)
    elif name == "jax":
        with backend.default_matmul_precision("highest"):
            yield
    elif name == "torch":
        cudnn = backend.backends.cudnn
        kept = {option: getattr(cudnn, option) for option in ("enabled", "benchmark", "deterministic")}
        with cudnn.flags(**kept, allow_tf32=False):
            yield
    else:
        yield

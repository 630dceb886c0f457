"""Full float32 precision, even on devices where the backend uses less by default."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import keras


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Turns off TF32. With TF32, convolutions on GPUs keep only 10 mantissa bits of float32 (NVIDIA, since Ampere).

    A probe in TF32 can neither confirm nor refute that a function is kept: on an H100, a ResNet50 differs from itself
    by 1e-3 of its largest feature.
    """
    name = keras.config.backend()
    backend: Any = sys.modules.get(name)  # Keras has imported it; this library imports no backend.
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

import contextlib

import keras
import pytest


@contextlib.contextmanager
def precision(floatx):
    """Sets Keras to `floatx`, for arrays and for layers (the policy for layers is a separate setting)."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)
    yield floatx
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


@pytest.fixture
def float64():
    """Keras in 64 bits for one test."""
    with precision("float64"):
        yield


@pytest.fixture
def floats(floatx):
    """Keras in the precision of the test's `floatx` parameter."""
    with precision(floatx):
        yield floatx

"""What the tests of the learners share."""

import keras
import pytest


@pytest.fixture
def float64():
    """Keras computes in float64 within a test, and in float32 again after it."""
    set_precision("float64")
    yield
    set_precision("float32")


def set_precision(dtype):
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)

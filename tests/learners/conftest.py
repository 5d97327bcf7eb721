"""What the tests of the learners share."""

import keras
import pytest


@pytest.fixture
def float64():
    """Keras computes in float64 within a test, and in float32 again after it."""
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx("float32")

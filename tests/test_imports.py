"""Keras finds tfmeta's classes in a saved model, though tfmeta was imported first."""

import subprocess
import sys

import pytest

import tfmeta

LOAD = """
import sys
import tfmeta
assert "tensorflow" not in sys.modules
import keras
print(type(keras.models.load_model(sys.argv[1])).__name__)
"""


@pytest.fixture
def run():
    return lambda *arguments: subprocess.run(
        [sys.executable, "-c", LOAD, *arguments], capture_output=True, text=True, timeout=120
    )


def test_a_saved_learner_loads(run, tmp_path):
    tfmeta.ANIL(tfmeta.models.mlp((2,), 1, seed=0)).save(tmp_path / "learner.keras")
    finished = run(str(tmp_path / "learner.keras"))
    assert finished.stdout.split() == ["ANIL"], finished.stderr

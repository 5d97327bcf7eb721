"""Checkpoints: what they hold can be loaded by a program that has not imported it."""

import importlib
import sys

import keras

import tfmeta
from tfmeta.registry import LEARNERS
from tfmeta.training import checkpoints

MODULE = """
import keras
from tfmeta.learners.maml import MAML

@keras.saving.register_keras_serializable("made")
class Made(MAML):
    pass
"""


def test_a_row_of_the_registry_is_enough_to_load_a_learner(tmp_path, monkeypatch):
    (tmp_path / "made_up_learner.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(LEARNERS.rows, "made", "made_up_learner:Made")
    learner = LEARNERS["made"](tfmeta.models.mlp((1,), 1, seed=0))
    learner.compile("sgd", loss="mse")
    learner.save(tmp_path / "learner.keras")
    # As in another program: nothing has imported the module.
    del sys.modules["made_up_learner"]
    importlib.invalidate_caches()
    keras.saving.get_custom_objects().pop("made>Made")
    loaded = checkpoints.load(tmp_path / "learner.keras")
    assert type(loaded).__name__ == "Made"

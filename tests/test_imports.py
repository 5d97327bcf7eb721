"""Keras finds tfmeta's classes in a saved model, though tfmeta or a part of it came first."""

import subprocess
import sys
from pathlib import Path

import pytest

import tfmeta

FIRST = """
import sys
import tfmeta
assert "tensorflow" not in sys.modules
import keras
"""
# Keras comes in while a part of tfmeta is being imported.
PART_FIRST = """
import sys
from tfmeta.learners.maml import MAML
import keras
"""
LOAD = """
print(type(keras.models.load_model(sys.argv[1])).__name__)
print(*(name for name in sys.argv[2:] if name not in sys.modules))
"""

ROOT = Path(__file__).parents[1]
# Modules with a class that Keras may find in a saved model.
REGISTERING = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "tfmeta").rglob("*.py"))
    if 'register_keras_serializable("tfmeta")' in path.read_text(encoding="utf-8")
]


@pytest.fixture
def run():
    return lambda imports, *arguments: subprocess.run(
        [sys.executable, "-c", imports + LOAD, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("imports", [FIRST, PART_FIRST], ids=["tfmeta", "a part"])
def test_a_saved_learner_loads_as_would_any_other_class(run, tmp_path, imports):
    tfmeta.ANIL(tfmeta.models.mlp((2,), 1, seed=0)).save(tmp_path / "learner.keras")
    assert len(REGISTERING) > 10
    finished = run(imports, str(tmp_path / "learner.keras"), *REGISTERING)
    assert finished.stdout.split() == ["ANIL"], finished.stderr

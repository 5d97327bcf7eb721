"""Learned update rules as the inner loop of the few-shot learner, from end to end."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / "tools"
RULES = {
    "meta_sgd": "MetaSGD",
    "layer_rates": "LayerRates",
    "gauss_newton": "GaussNewton",
    "lstm": "CoordinatewiseLSTM",
    "hierarchical_rnn": "HierarchicalRNN",
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if n == "meta_sgd" else ()) for n in RULES],
)
def test_a_run_with_a_learned_rule(forked, small_regression, name, tmp_path):
    """It trains, and its best checkpoint loads and evaluates to the same."""
    folder = tmp_path / "run"
    flags = [f"--update_rule={name}", "--steps=2", "--validate_every=2", "--meta_batch=2"]
    trained = forked(TOOLS / "train.py", *small_regression, *flags, f"--output_dir={folder}")
    assert trained.returncode == 0, trained.stderr
    results = json.loads(trained.stdout.splitlines()[-1])
    assert np.isfinite(results["loss"])

    learner = keras.models.load_model(folder / "checkpoints" / "best.keras")
    assert type(learner.update_rule).__name__ == RULES[name]
    first = type(learner.update_rule).from_config(learner.update_rule.get_config())
    first.build([variable.shape for variable in learner.model.trainable_variables])
    pairs = zip(learner.update_rule.trainable_variables, first.trainable_variables, strict=True)
    # Not all of them: one inner step asks nothing of what is above the coordinates.
    assert any((np.array(now) != np.array(start)).any() for now, start in pairs)

    evaluated = forked(TOOLS / "evaluate.py", f"--output_dir={folder}")
    assert evaluated.returncode == 0, evaluated.stderr
    evaluated = json.loads(evaluated.stdout.splitlines()[-1])
    assert evaluated["mse_by_step"] == results["mse_by_step"]
    assert evaluated["loss"] == pytest.approx(results["loss"], rel=1e-6)

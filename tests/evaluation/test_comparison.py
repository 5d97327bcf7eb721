"""What a comparison reports, of runs made by hand."""

import json

import numpy as np
import pytest

from tfmeta.evaluation.comparison import Comparison
from tfmeta.evaluation.loss_curves import Curves
from tfmeta.evaluation.tuning import Found

FOUND = Found({"learning_rate": 0.1}, -1.0, ["learning_rate"])


def run(*final):
    losses = np.stack([np.full(len(final), 10.0), final], axis=1)
    return Curves(np.array([0, 5]), losses, 2 * losses, np.full(losses.shape, 0.25))


def comparison(learned, metric=None):
    runs = {"learned": learned, "adam": run(1.0, 1.0), "momentum": run(0.1, 1.0)}
    return Comparison("bowl", metric, runs, {"adam": FOUND, "momentum": FOUND})


def test_means_intervals_and_paired_difference():
    results = comparison(run(1e-3, 1e-1)).results()
    assert list(results) == ["learned", "adam", "momentum"]
    # The interval of two values is 1.96 times half their difference.
    assert results["learned"] == pytest.approx(
        {
            "final_loss": 0.0505,
            "ci95": 1.96 * 0.0495,
            "median": 0.0505,
            "mean_log10": -2.0,
            "mean_log10_ci95": 1.96,
            "diverged": 0,
            "best_hand_made": "momentum",
            "paired_log10": -1.5,
            "paired_ci95": 1.96 * 0.5,
        }
    )
    assert results["adam"]["final_loss"] == 1.0
    assert results["adam"]["numbers"] == {"learning_rate": 0.1}
    assert results["adam"]["at_end"] == ["learning_rate"]


def test_held_out_data_where_there_are_any():
    learned = comparison(run(1.0, 2.0), "accuracy").results()["learned"]
    assert learned["held_out_loss"] == 3.0 and learned["accuracy"] == 25.0
    assert learned["accuracy_ci95"] == 0.0
    assert "accuracy" not in comparison(run(1.0, 2.0)).results()["learned"]


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_divergence_leaves_no_mean(bad):
    diverged = comparison(run(1e-3, bad))
    learned = diverged.results()["learned"]
    assert learned["diverged"] == 1
    for name in ("final_loss", "ci95", "median", "mean_log10", "paired_log10", "paired_ci95"):
        assert learned[name] is None
    json.dumps(diverged.results(), allow_nan=False)
    assert "diverged on 1" in diverged.sentence()

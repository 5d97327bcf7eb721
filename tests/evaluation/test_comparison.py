"""What a comparison reports, of runs made by hand."""

import json

import numpy as np
import pytest

from tfmeta.evaluation.comparison import (
    Comparison,
    compare,
    of_types,
    paired,
    sentences_of_types,
)
from tfmeta.evaluation.loss_curves import Curves
from tfmeta.evaluation.tuning import Found
from tfmeta.problems.bowl import Bowls
from tfmeta.updates import GradientDescent

# The 97.5 % quantile of Student's distribution of one degree of freedom, tan(0.475 pi).
T_OF_TWO = np.tan(0.475 * np.pi)
ADAM = Found({"learning_rate": 0.1}, -1.0, ["learning_rate"])
MOMENTUM = Found({"learning_rate": 0.2}, -2.0, [])


def run(*final):
    losses = np.stack([np.full(len(final), 10.0), final], axis=1)
    return Curves(np.array([0, 5]), losses, 2 * losses, np.full(losses.shape, 0.25))


def comparison(learned, metric=None, momentum=(0.1, 1.0), kind="Bowls"):
    runs = {"learned": learned, "adam": run(0.01, 0.01), "momentum": run(*momentum)}
    return Comparison("bowl", kind, metric, runs, {"adam": ADAM, "momentum": MOMENTUM})


def test_means_intervals_and_paired_difference():
    """To the optimizer that was best in tuning, although another does better here."""
    results = comparison(run(1e-3, 1e-1)).results()
    assert list(results) == ["learned", "adam", "momentum"]
    # The interval of two values is 12.7 times half their difference.
    assert results["learned"] == pytest.approx(
        {
            "final_loss": 0.0505,
            "ci95": T_OF_TWO * 0.0495,
            "median": 0.0505,
            "mean_log10": -2.0,
            "mean_log10_ci95": T_OF_TWO,
            "diverged": 0,
            "best_hand_made": "momentum",
            "paired_log10": -1.5,
            "paired_ci95": T_OF_TWO * 0.5,
            "paired_problems": 2,
            "verdict": "neither",
        }
    )
    assert results["adam"]["final_loss"] == 0.01
    assert results["adam"]["numbers"] == {"learning_rate": 0.1}
    assert results["adam"]["at_end"] == ["learning_rate"]
    assert results["adam"]["tuning_log10"] == -1.0


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
    assert learned["verdict"] == "loss" and learned["paired_problems"] == 2
    json.dumps(diverged.results(), allow_nan=False)
    assert "loss, the learned rule diverged on 1" in diverged.sentence()


def test_problems_on_which_the_rival_diverged_are_left_out():
    """To its favor; a divergence of both is one of the rival."""
    found = comparison(run(1e-3, 1e-1, 1e-2), momentum=(1.0, np.nan, 1e-2))
    np.testing.assert_allclose(found.differences(), [-3.0, 0.0])
    results = found.results()
    assert results["learned"]["paired_problems"] == 2
    assert results["momentum"]["diverged"] == 1 and results["momentum"]["mean_log10"] is None
    nothing = comparison(run(np.inf), momentum=(np.inf,)).results()["learned"]
    assert nothing["paired_log10"] is None and nothing["verdict"] == "neither"


def test_one_problem_has_no_interval():
    one = comparison(run(1e-3, 1e-1), momentum=(1.0, np.nan))
    learned = one.results()["learned"]
    assert learned["paired_log10"] == pytest.approx(-3.0) and learned["paired_ci95"] is None
    assert learned["verdict"] == "neither"
    json.dumps(one.results(), allow_nan=False)
    assert one.sentence().endswith("the other diverged on all problems but 1 against momentum")


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([-1.0, -1.1, -0.9], "win"),
        ([1.0, 1.1, 0.9], "loss"),
        ([-1.0, 1.1, 0.0], "neither"),
        ([0.0, 0.0, 0.0], "neither"),
        ([-9.0, -9.0, np.inf], "loss"),
    ],
)
def test_a_win_is_an_interval_below_zero(differences, verdict):
    assert paired(np.array(differences))["verdict"] == verdict


def test_a_type_has_the_problems_of_all_its_families():
    compared = [
        comparison(run(1e-3, 1e-1)),
        comparison(run(1e-2, 1e-1), momentum=(1.0, np.inf)),
        comparison(run(1.0, 1.0), kind="Quadratics"),
    ]
    types = of_types(compared)
    assert list(types) == ["Bowls", "Quadratics"]
    assert types["Bowls"] == paired(np.array([-2.0, -1.0, -2.0]))
    assert types["Quadratics"]["paired_log10"] == pytest.approx(0.5)
    bowls, quadratics = sentences_of_types(compared)
    assert bowls.startswith("all Bowls: win, -1.667 +- ") and "neither" in quadratics


def test_the_rule_and_its_rivals_minimize_the_same_problems():
    """Compared with itself a rule is neither better nor worse."""
    bowls = Bowls(5.0, dtype="float64", seed=3)
    tuned = {
        "gradient_descent": Found({"learning_rate": 0.1}, -1.0, []),
        "gradient_descent_cosine": Found({"learning_rate": 0.1}, -0.5, []),
    }
    found = compare(GradientDescent(0.1), bowls, 4, 3, tuned)
    assert list(found.runs) == ["learned", *tuned]
    np.testing.assert_allclose(found.differences(), 0, atol=1e-12)
    ours, theirs, cosine = found.runs.values()
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-12)
    np.testing.assert_allclose(ours.held_out, theirs.held_out, rtol=1e-12)
    assert (cosine.losses[:, -1] > theirs.losses[:, -1]).all()
    assert (found.family, found.type, found.metric) == ("bowl_5", "Bowls", None)

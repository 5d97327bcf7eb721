"""The search of numbers on functions with a known optimum, and for problems solved by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.evaluation.hand_designed import HAND_DESIGNED, Rivals, nines, powers
from tfmeta.evaluation.loss_curves import LossCurves
from tfmeta.evaluation.tuning import LEAST_LOSS, Search, log10_loss, tune
from tfmeta.problems.base import ProblemFamily
from tfmeta.problems.bowl import Bowls
from tfmeta.updates import RMSprop

RANGES = {"rate": powers(-5, 1), "decay": nines(3)}


def valley(rate, decay):
    """Narrow and askew, as the rate and the momentum of gradient descent have it."""
    many = -np.log10(1 - decay)
    along, across = np.log10(rate) - many + 4.25, np.log10(rate) + many + 1.75
    return along**2 + 30 * across**2


def searched(function, ranges, seed=0, spreads=(None, None, 0.1, 0.03)):
    search = Search(ranges, seed)
    for spread in spreads:
        search.learn(function(**search.draw(25, spread)))
    return search.found()


@pytest.mark.parametrize("seed", range(5))
def test_comes_close_to_the_optimum(seed):
    """At rate 10**-3 and decay 1 - 10**-1.25, and closer than the same trials made anywhere do."""
    found = searched(valley, RANGES, seed)
    assert math.log10(found.numbers["rate"]) == pytest.approx(-3, abs=0.3)
    assert math.log10(1 - found.numbers["decay"]) == pytest.approx(-1.25, abs=0.3)
    assert found.score == valley(**found.numbers) and found.at_end == []
    assert found.score < searched(valley, RANGES, seed, [None] * 4).score


def test_draws_cover_their_range_evenly_in_places():
    numbers = Search(RANGES, 0).draw(1000)
    for places, (low, high) in (
        (np.log10(numbers["rate"]), (-5, 1)),
        (-np.log10(1 - numbers["decay"]), (0, 3)),
    ):
        assert low <= places.min() and places.max() <= high
        counts, _ = np.histogram(places, bins=4, range=(low, high))
        assert counts.min() > 200


@pytest.mark.parametrize(("sign", "end"), [(1, 0.0), (-1, 0.999)])
def test_says_when_the_best_is_at_the_end_of_its_range(sign, end):
    found = searched(lambda decay, rate: sign * decay, {"decay": nines(3), "rate": powers(0, 9)})
    assert found.numbers["decay"] == pytest.approx(end, abs=1e-2)
    assert found.at_end[0] == "decay"


def test_where_all_numbers_are_useless_lower_ones_are_tried():
    """Those that are of use lie in a hundredth of the range, at its low end."""
    found = searched(lambda rate: np.where(rate > 10**-4.94, np.inf, rate), {"rate": powers(-5, 1)})
    assert found.score < math.inf and found.at_end == ["rate"]


class Parabolas(ProblemFamily):
    """f(x) = 0.5 * curvature * x^2, from x = 1."""

    name = "parabola"

    def __init__(self, curvature, dtype="float64"):
        super().__init__()
        self.curvature, self.dtype = curvature, dtype

    def tasks(self, seeds):
        ones = tf.ones_like(seeds[:, :1])
        return {"weights": [tf.cast(ones, self.dtype)], "data": ()}

    def loss(self, weights, data, seed):
        return 0.5 * self.curvature * tf.reduce_sum(tf.square(weights[0]))


@pytest.mark.parametrize(("rate", "dtype"), [(2.0, "float64"), (1e-4, "float32")])
def test_gradient_descent_on_a_parabola(rate, dtype):
    """The best rate is 1 / curvature; with the lower one most rates diverge in float32."""
    found = tune(Parabolas(1 / rate, dtype), 4, 2, names=["gradient_descent"])
    assert list(found) == ["gradient_descent"]
    assert found["gradient_descent"].numbers["learning_rate"] == pytest.approx(rate, rel=0.2)
    assert found["gradient_descent"].score < log10_loss(np.array([0.5 / rate])) - 6


def test_momentum_in_a_bowl():
    """Of curvatures 100 and 1, where the best rate in the limit is 4 / (10 + 1)^2.

    The best momentum is ((10 - 1) / (10 + 1))^2 (Polyak 1964), and the best plain rate
    2 / (100 + 1). For a few steps somewhat less does better.
    """
    names = ["gradient_descent", "momentum"]
    plain, momentum = tune(Bowls(100.0), 100, 20, names=names).values()
    assert 0.016 < momentum.numbers["learning_rate"] < 0.05
    assert 0.45 < momentum.numbers["momentum"] < 0.8
    assert plain.numbers["learning_rate"] == pytest.approx(2 / 101, rel=0.1)
    assert momentum.score < plain.score - 5


def test_the_score_is_what_the_rule_reaches_and_the_search_can_be_made_again():
    bowls = Bowls(5.0, dtype="float64")
    names = ["rmsprop", "rmsprop_cosine"]
    found = tune(bowls, 3, 4, trials=5, names=names)
    assert list(found) == names
    rmsprop = found["rmsprop"]
    assert rmsprop.numbers.keys() == HAND_DESIGNED["rmsprop"].ranges.keys()
    losses = LossCurves(RMSprop(**rmsprop.numbers), bowls, 3)(4).losses[:, -1]
    assert log10_loss(losses).mean() == pytest.approx(rmsprop.score, abs=1e-10)
    again = tune(bowls, 3, 4, trials=5, names=names[:1])["rmsprop"]
    assert again.numbers == rmsprop.numbers


def test_rivals_run_what_their_names_say():
    """Gradient descent has no momentum, and a cosine leads to smaller steps."""
    bowls = Bowls(5.0, dtype="float64")
    ran = Rivals(bowls, 4, 3, every=2)(
        {
            "momentum_cosine": {"learning_rate": np.array([0.1]), "momentum": np.array([0.0])},
            "gradient_descent": {"learning_rate": np.array([0.1, 0.2])},
        }
    )
    assert list(ran) == ["momentum_cosine", "gradient_descent"]
    assert ran["gradient_descent"].shape == (2, 3, 3, 3)
    for trial, rate in enumerate((0.1, 0.2)):
        x = (1 - rate * np.array([5.0, 1.0])) ** 4 * bowls.batch(0, 0, 3)["weights"][0]
        expected = np.sum(0.5 * np.array([5.0, 1.0]) * x**2, -1)
        np.testing.assert_allclose(ran["gradient_descent"][trial, :, -1, 0], expected, rtol=1e-10)
    assert (ran["momentum_cosine"][0, :, -1, 0] > ran["gradient_descent"][0, :, -1, 0]).all()


def test_bad_arguments():
    with pytest.raises(ArgumentError, match="trials=0"):
        tune(Bowls(), 3, 4, trials=0)
    with pytest.raises(ArgumentError, match="count=0"):
        tune(Bowls(), 3, 0)


def test_logarithms_of_losses():
    losses = np.array([100.0, 0.0, 1e-30, np.inf, np.nan])
    expected = [2.0, math.log10(LEAST_LOSS), math.log10(LEAST_LOSS), np.inf, np.inf]
    np.testing.assert_allclose(log10_loss(losses), expected)

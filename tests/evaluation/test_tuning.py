"""The search of numbers on functions with a known optimum, and for problems solved by hand."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from tfmeta.evaluation import tuning
from tfmeta.evaluation.loss_curves import LossCurves
from tfmeta.evaluation.tuning import LEAST_LOSS, decays, log10_loss, rates, search, tune
from tfmeta.problems.base import ProblemFamily
from tfmeta.problems.bowl import Bowls


class Recorded:
    """A function of numbers that keeps what it was asked."""

    def __init__(self, function):
        self.function, self.asked = function, []

    def __call__(self, numbers):
        self.asked.append(tuple(numbers.values()))
        return self.function(**numbers)


def valley(rate, decay):
    """Narrow and askew, as the rate and the momentum of gradient descent have it."""
    nines = -math.log10(1 - decay)
    along, across = math.log10(rate) - nines + 4.25, math.log10(rate) + nines + 1.75
    return along**2 + 30 * across**2


@pytest.mark.parametrize("first", [-8, -3, 2])
def test_finds_the_optimum_wherever_the_first_grid_lies(first):
    """At rate 10**-3 and decay 1 - 10**-1.25; all points around it were tried."""
    score = Recorded(valley)
    found = search(score, {"rate": rates(first, first + 1), "decay": decays(0, 1)})
    assert found.numbers == {"rate": 1e-3, "decay": pytest.approx(1 - 10**-1.25, abs=1e-6)}
    assert found.score == pytest.approx(0, abs=1e-9) and found.at_end == []
    steps = [10**0.25, 1.0, 10**-0.25]
    tried = {(round(math.log10(r), 2), round(math.log10(1 - d), 2)) for r, d in score.asked}
    for a, b in itertools.product(np.log10(steps), repeat=2):
        assert (round(-3 + a, 2), round(-1.25 + b, 2)) in tried
    assert len(tried) == len(score.asked), "a point was scored twice"


@pytest.mark.parametrize(("sign", "end"), [(1, 0.0), (-1, 0.9999)])
def test_says_where_there_is_nothing_beyond(sign, end):
    found = search(Recorded(lambda decay: sign * decay), {"decay": decays(1, 2)})
    assert found.numbers == {"decay": end}
    assert found.at_end == ["decay"]


def test_where_all_numbers_are_useless_lower_ones_are_tried():
    score = Recorded(lambda rate: math.inf if rate > 1e-6 else -rate)
    found = search(score, {"rate": rates(-3, 0)})
    assert found.numbers == {"rate": 1e-6}
    found = search(Recorded(lambda rate: math.inf), {"rate": rates(-3, 0)})
    assert found.at_end == ["rate"] and found.score == math.inf


def test_of_equal_numbers_the_first_that_was_tried_stays():
    score = Recorded(lambda rate: 0.0 if 1e-3 <= rate <= 1e-1 else 1.0)
    found = search(score, {"rate": rates(-4, 0)})
    assert found.numbers == {"rate": 1e-3}


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


@pytest.mark.parametrize(("place", "dtype"), [(5, "float64"), (-6, "float32"), (-30, "float32")])
def test_gradient_descent_on_a_parabola(place, dtype):
    """The best rate is 1 / curvature; of 10**7.5 all rates of the first grid diverge in float32."""
    found = tune("gradient_descent", Parabolas(10 ** (-place / 4), dtype), 12, 2)
    assert found.numbers["learning_rate"] == pytest.approx(10 ** (place / 4), rel=1e-3)
    assert found.at_end == []
    assert found.score < -9


def test_momentum_in_a_bowl():
    """Of curvatures 100 and 1, where the best rate in the limit is 4 / (10 + 1)^2.

    The best momentum is ((10 - 1) / (10 + 1))^2 (Polyak 1964), for which the number nearest in the
    grid is 0.684. For a few steps somewhat less of both does better.
    """
    found = tune("momentum", Bowls(100.0), 100, 20)
    assert found.numbers["learning_rate"] in (0.01778, 0.03162, 0.05623)
    assert found.numbers["momentum"] in (0.437659, 0.683772, 0.822172)
    plain = tune("gradient_descent", Bowls(100.0), 100, 20)
    assert plain.numbers["learning_rate"] in (0.01, 0.01778)
    assert found.score < plain.score - 5


def test_the_score_is_what_the_rule_reaches():
    kind, axes = tuning.HAND_DESIGNED["adam"]
    bowls = Bowls(5.0, dtype="float64")
    found = tune("adam", bowls, 3, 4)
    assert found.numbers.keys() == axes.keys()
    losses = LossCurves(kind(**found.numbers), bowls, 3)(4).losses[:, -1]
    assert log10_loss(losses).mean() == pytest.approx(found.score, abs=1e-4)


def test_logarithms_of_losses():
    losses = np.array([100.0, 0.0, 1e-30, np.inf, np.nan])
    expected = [2.0, math.log10(LEAST_LOSS), math.log10(LEAST_LOSS), np.inf, np.inf]
    np.testing.assert_allclose(log10_loss(losses), expected)

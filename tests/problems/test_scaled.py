import numpy as np
import pytest
import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.errors import ArgumentError
from tfmeta.problems.quadratic import Quadratics
from tfmeta.problems.scaled import ScaledCoordinates
from tfmeta.problems.softmax_regression import SoftmaxRegressions


def test_derivatives(check_derivatives):
    check_derivatives(ScaledCoordinates(Quadratics(4, start=1.0, dtype="float64"), 1.0))


def test_losses_and_score_do_not_change_with_the_spread():
    def measured(spread):
        scaled = ScaledCoordinates(SoftmaxRegressions(5, dtype="float64"), spread)
        tasks = scaled.batch(0, 0, 4)

        def of_one(task):
            arguments = task["weights"], task["data"]
            return (
                scaled.loss(*arguments, task["seed"]),
                scaled.full_loss(*arguments),
                scaled.held_out_loss(*arguments),
                scaled.score(*arguments),
            )

        return tf.vectorized_map(of_one, tasks), tasks["weights"]

    (plain, weights), (spread, scaled_weights) = measured(0.0), measured(3.0)
    for value, expected in zip(spread, plain, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-12)
    factors = weights[0] / scaled_weights[0]
    assert 1 < np.log(factors).max() < 3 and -3 < np.log(factors).min() < -1


def test_gradients_are_scaled_coordinate_by_coordinate():
    family = Quadratics(3, dtype="float64")
    scaled = ScaledCoordinates(family, 2.0)
    task = tf.nest.map_structure(lambda tensor: tensor[0], scaled.batch(0, 0, 1))
    [theta], [factors] = task["weights"], task["data"]["factors"]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(theta)
        loss = scaled.full_loss([theta], task["data"])
        x = factors * theta
        plain = family.full_loss([x], task["data"]["data"])
    np.testing.assert_allclose(tape.gradient(loss, theta), factors * tape.gradient(plain, x))


def test_factors_are_spread_evenly_in_logarithm():
    seeds = random_numbers.fold_in(tf.zeros([2], tf.int32), tf.range(300))
    [factors] = ScaledCoordinates(Quadratics(10), 3.0).tasks(seeds)["data"]["factors"]
    counts, _ = np.histogram(np.log(factors), bins=6, range=(-3, 3))
    np.testing.assert_allclose(counts, 500, rtol=0.2)


def test_what_reports_need():
    scaled = ScaledCoordinates(SoftmaxRegressions(5), 1.0)
    assert (scaled.name, scaled.metric) == ("scaled_softmax_regression_5", "accuracy")


@pytest.mark.parametrize("spread", [-1.0, float("nan"), float("inf")])
def test_the_spread_is_at_least_0(spread):
    with pytest.raises(ArgumentError, match="^spread=.*give a finite number of at least 0"):
        ScaledCoordinates(Quadratics(), spread)

"""Loss curves of an update rule against a plain loop in float64, one problem after the other."""

import numpy as np
import pytest
import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.evaluation.loss_curves import LossCurves
from tfmeta.problems import Bowls, FullyConnectedNetworks
from tfmeta.updates import GradientDescent, MetaSGD, Momentum

STEPS, PROBLEMS = 4, 5


def test_gradient_descent_in_a_bowl():
    """It shrinks each axis by (1 - rate * curvature) a step."""
    bowls = Bowls(5.0, dtype="float64")
    minimized = LossCurves(GradientDescent(0.1), bowls, STEPS)(PROBLEMS)
    curvature = np.array([5.0, 1.0])
    first = bowls.batch(0, 0, PROBLEMS)["weights"][0].numpy()
    x = np.stack([(1 - 0.1 * curvature) ** step * first for step in range(STEPS + 1)], axis=1)
    np.testing.assert_array_equal(minimized.steps, range(STEPS + 1))
    np.testing.assert_allclose(minimized.losses, np.sum(0.5 * curvature * x**2, -1), rtol=1e-12)
    np.testing.assert_array_equal(minimized.held_out, minimized.losses)
    np.testing.assert_array_equal(minimized.scores, np.zeros([PROBLEMS, STEPS + 1]))


@pytest.fixture(scope="module")
def networks():
    return FullyConnectedNetworks(3, (4,), batch_size=10, dtype="float64")


@pytest.fixture(scope="module")
def minimize(networks):
    """With a rule that remembers, so that its state counts."""
    return LossCurves(Momentum(0.5), networks, STEPS)


def test_curves_are_those_of_a_plain_loop(networks, minimize):
    """Every step on a batch of its own; measured on all data."""
    minimized = minimize(2, step=3)
    tasks = networks.batch(3, 0, 2)
    for index in range(2):
        task = tf.nest.map_structure(lambda tensor, index=index: tensor[index], tasks)
        weights, data = task["weights"], task["data"]
        velocities = [np.zeros(weight.shape) for weight in weights]
        for step in range(STEPS + 1):
            for curve, measure in (
                (minimized.losses, networks.full_loss),
                (minimized.held_out, networks.held_out_loss),
                (minimized.scores, networks.score),
            ):
                np.testing.assert_allclose(curve[index, step], measure(weights, data), rtol=1e-12)
            with tf.GradientTape() as tape:
                tape.watch(weights)
                seed = random_numbers.fold_in(task["seed"], step + 1)
                loss = networks.loss(weights, data, seed)
            gradients = tape.gradient(loss, weights)
            velocities = [0.9 * v - 0.5 * g for v, g in zip(velocities, gradients, strict=True)]
            weights = [w + v for w, v in zip(weights, velocities, strict=True)]


def test_problems_do_not_depend_on_how_many_are_held_at_once(minimize):
    whole, parts = minimize(PROBLEMS), minimize(PROBLEMS, at_once=2)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert len(set(whole.losses[:, 0])) == PROBLEMS


@pytest.mark.parametrize(("every", "times"), [(3, [0, 3, 4]), (9, [0, 4])])
def test_measured_now_and_then(every, times):
    minimized = LossCurves(GradientDescent(0.25), Bowls(), STEPS, every)(2)
    np.testing.assert_array_equal(minimized.steps, times)
    expected = LossCurves(GradientDescent(0.25), Bowls(), STEPS)(2)
    np.testing.assert_allclose(minimized.losses, expected.losses[:, times], rtol=1e-6)


def test_the_rule_is_built_for_the_weights_and_used_as_it_is_now():
    rule = MetaSGD(0.25)
    minimize = LossCurves(rule, Bowls(), STEPS)
    expected = LossCurves(GradientDescent(0.25), Bowls(), STEPS)(2)
    np.testing.assert_allclose(minimize(2).losses, expected.losses, rtol=1e-6)
    for variable in rule.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    losses = minimize(2).losses
    np.testing.assert_array_equal(losses, np.repeat(losses[:, :1], STEPS + 1, axis=1))


class OneByOne(Bowls):
    """Bowls that say of themselves that they cannot run at once."""

    vectorizable = False


@pytest.mark.parametrize("rule", [GradientDescent(0.1), Momentum(0.1)], ids=["no state", "state"])
def test_problems_that_cannot_run_at_once_run_one_by_one(rule):
    expected = LossCurves(rule, Bowls(5.0, dtype="float64"), STEPS)(PROBLEMS)
    minimized = LossCurves(rule, OneByOne(5.0, dtype="float64"), STEPS)(PROBLEMS)
    np.testing.assert_allclose(minimized.losses, expected.losses, rtol=1e-12)


@pytest.mark.parametrize("family", [Bowls, pytest.param(OneByOne, marks=pytest.mark.slow)])
def test_compiled_it_minimizes_alike(family):
    bowls = family(5.0, dtype="float64")
    expected = LossCurves(Momentum(0.1), bowls, STEPS)(PROBLEMS)
    minimize = LossCurves(Momentum(0.1), bowls, STEPS, xla=True)
    np.testing.assert_allclose(minimize(PROBLEMS).losses, expected.losses, rtol=1e-12)
    two = minimize(2)
    np.testing.assert_allclose(two.losses, expected.losses[:2], rtol=1e-12)

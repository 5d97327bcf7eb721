"""Loss curves of an update rule against a plain loop in float64, one problem after the other."""

import numpy as np
import pytest
import tensorflow as tf

from tfmeta.minimisation import Minimiser
from tfmeta.problems import Bowls, FullyConnectedNetworks
from tfmeta.tasks import random_numbers
from tfmeta.updates import GradientDescent, MetaSGD, Momentum

STEPS, PROBLEMS = 4, 5


def test_gradient_descent_in_a_bowl():
    """It shrinks each axis by (1 - rate * curvature) a step."""
    bowls = Bowls(5.0, dtype="float64")
    minimised = Minimiser(GradientDescent(0.1), bowls, STEPS)(PROBLEMS)
    curvature = np.array([5.0, 1.0])
    first = bowls.batch(0, 0, PROBLEMS)["weights"][0].numpy()
    x = np.stack([(1 - 0.1 * curvature) ** step * first for step in range(STEPS + 1)], axis=1)
    np.testing.assert_array_equal(minimised.steps, range(STEPS + 1))
    np.testing.assert_allclose(minimised.losses, np.sum(0.5 * curvature * x**2, -1), rtol=1e-12)
    np.testing.assert_array_equal(minimised.held_out, minimised.losses)
    np.testing.assert_array_equal(minimised.scores, np.zeros([PROBLEMS, STEPS + 1]))


@pytest.fixture(scope="module")
def networks():
    return FullyConnectedNetworks(3, (4,), batch_size=10, dtype="float64")


@pytest.fixture(scope="module")
def minimise(networks):
    """With a rule that remembers, so that its state counts."""
    return Minimiser(Momentum(0.5), networks, STEPS)


def test_curves_are_those_of_a_plain_loop(networks, minimise):
    """Every step on a batch of its own; measured on all data."""
    minimised = minimise(2, step=3)
    tasks = networks.batch(3, 0, 2)
    for index in range(2):
        task = tf.nest.map_structure(lambda tensor, index=index: tensor[index], tasks)
        weights, data = task["weights"], task["data"]
        velocities = [np.zeros(weight.shape) for weight in weights]
        for step in range(STEPS + 1):
            for curve, measure in (
                (minimised.losses, networks.full_loss),
                (minimised.held_out, networks.held_out_loss),
                (minimised.scores, networks.score),
            ):
                np.testing.assert_allclose(curve[index, step], measure(weights, data), rtol=1e-12)
            with tf.GradientTape() as tape:
                tape.watch(weights)
                seed = random_numbers.fold_in(task["seed"], step + 1)
                loss = networks.loss(weights, data, seed)
            gradients = tape.gradient(loss, weights)
            velocities = [0.9 * v - 0.5 * g for v, g in zip(velocities, gradients, strict=True)]
            weights = [w + v for w, v in zip(weights, velocities, strict=True)]


def test_problems_do_not_depend_on_how_many_are_held_at_once(minimise):
    whole, parts = minimise(PROBLEMS), minimise(PROBLEMS, at_once=2)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert len(set(whole.losses[:, 0])) == PROBLEMS


@pytest.mark.parametrize(("every", "times"), [(3, [0, 3, 4]), (4, [0, 4]), (9, [0, 4])])
def test_measured_now_and_then(every, times):
    minimised = Minimiser(GradientDescent(0.25), Bowls(), STEPS, every)(2)
    np.testing.assert_array_equal(minimised.steps, times)
    expected = Minimiser(GradientDescent(0.25), Bowls(), STEPS)(2)
    np.testing.assert_allclose(minimised.losses, expected.losses[:, times], rtol=1e-6)


def test_the_rule_is_built_for_the_weights_and_used_as_it_is_now():
    rule = MetaSGD(0.25)
    minimise = Minimiser(rule, Bowls(), STEPS)
    expected = Minimiser(GradientDescent(0.25), Bowls(), STEPS)(2)
    np.testing.assert_allclose(minimise(2).losses, expected.losses, rtol=1e-6)
    for variable in rule.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    losses = minimise(2).losses
    np.testing.assert_array_equal(losses, np.repeat(losses[:, :1], STEPS + 1, axis=1))


@pytest.mark.parametrize("rule", [GradientDescent(0.1), Momentum(0.1)], ids=["no state", "state"])
def test_problems_that_cannot_be_stacked_run_one_by_one(rule):
    bowls = Bowls(5.0, dtype="float64")
    expected = Minimiser(rule, bowls, STEPS)(PROBLEMS)
    bowls.stackable = False
    minimised = Minimiser(rule, bowls, STEPS)(PROBLEMS)
    np.testing.assert_allclose(minimised.losses, expected.losses, rtol=1e-12)


@pytest.mark.parametrize("stackable", [True, False])
def test_compiled_it_minimises_alike(stackable):
    bowls = Bowls(5.0, dtype="float64")
    bowls.stackable = stackable
    expected = Minimiser(Momentum(0.1), bowls, STEPS)(PROBLEMS)
    minimise = Minimiser(Momentum(0.1), bowls, STEPS, xla=True)
    np.testing.assert_allclose(minimise(PROBLEMS).losses, expected.losses, rtol=1e-12)
    two = minimise(2)
    np.testing.assert_allclose(two.losses, expected.losses[:2], rtol=1e-12)

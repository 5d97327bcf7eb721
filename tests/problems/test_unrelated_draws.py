"""What is drawn in a problem's training is unrelated to what the problem was made of."""

import numpy as np
import pytest
import tensorflow as tf

from tfmeta.problems import (
    Bowls,
    NoisyGradients,
    SoftmaxRegressions,
    TwoDimensionalFunctions,
)
from tfmeta.updates import HierarchicalRNN

PROBLEMS = 400


def correlation(x, y):
    return np.corrcoef(np.ravel(x), np.ravel(y))[0, 1]


@pytest.mark.parametrize(
    "family", [TwoDimensionalFunctions("rosenbrock"), Bowls()], ids=lambda family: family.name
)
def test_first_rates_do_not_tell_where_a_problem_starts(family):
    """The rule sees by how much the rates of x and y differ, and could tell from it how far off
    the minimum is."""
    rule = HierarchicalRNN()
    rule.build([(2,)])
    tasks = family.batch(0, 0, PROBLEMS)

    def log_rate(task):
        return family.first_state(rule, rule.parameters(), task).log_rate

    rates = tf.map_fn(log_rate, tasks, fn_output_signature=tf.float32)
    x, y = np.moveaxis(tasks["weights"][0].numpy(), -1, 0)
    of_x, of_y = np.moveaxis(rates.numpy()[..., 0], -1, 0)
    assert abs(correlation(of_x - of_y, x - y)) < 0.15
    assert abs(correlation(of_x - of_y, abs(x) - abs(y))) < 0.15


def test_first_noise_is_not_that_of_the_first_weights():
    plain = SoftmaxRegressions(features=256)
    noisy = NoisyGradients(plain, 1.0)
    task = tf.nest.map_structure(lambda tensor: tensor[0], noisy.batch(0, 0, 1))
    gradients = []
    for family in (plain, noisy):
        with tf.GradientTape() as tape:
            tape.watch(task["weights"])
            loss = family.objective(task, 0).loss(task["weights"])[0]
        gradients.append(tape.gradient(loss, task["weights"][0]))
    noise = gradients[1] - gradients[0]
    assert abs(correlation(noise, task["weights"][0])) < 0.2

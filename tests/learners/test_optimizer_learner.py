"""The meta-gradients of an update rule, and the state that it carries.

The reference is the algorithm of the paper written as a plain loop, one problem after the other,
in float64 (`by_hand`). Derivatives of it are taken as central differences.
"""

import numpy as np
import pytest
import tensorflow as tf
from quartics import (
    PROBLEMS,
    STEPS,
    Quartics,
    assert_equal,
    beginning,
    of_a_learner,
    some_rule,
    unroll_function,
)

from tfmeta import random_numbers
from tfmeta.learners.meta_losses import LastLogRatio, LogRatio, SumOfLosses
from tfmeta.learners.optimizer import OptimizerLearner
from tfmeta.problems import Bowls
from tfmeta.updates import MetaSGD

slow = pytest.mark.slow


def taken_apart(nest, index):
    return tf.nest.map_structure(lambda tensor: tensor[index], nest)


def by_hand(learner, problems, parameters, tasks, carried, first_step, gradients=None):
    """The meta-loss summed over the problems, where each ends, and the gradients on the way.

    Args:
        gradients: of each problem and step, to take instead of those of the loss.
    """
    total, ends, seen = 0.0, [], []
    for index in range(PROBLEMS):
        task, (weights, state, first_loss) = taken_apart((tasks, carried), index)
        if first_step == 0:  # what is learned of the first state counts too
            state = problems.first_state(learner.rule, parameters, task)
        seeds = [
            random_numbers.fold_in(task["seed"], first_step + step + 1) for step in range(STEPS + 1)
        ]
        batch_losses, full_losses = [], []
        for step in range(STEPS):
            with tf.GradientTape() as tape:
                tape.watch(weights)
                loss = problems.loss(weights, task["data"], seeds[step])
            seen.append(tape.gradient(loss, weights))
            gradient = gradients[index * STEPS + step] if gradients else seen[-1]
            weights, state = learner.rule.update(parameters, weights, gradient, state)
            batch_losses.append(loss)
            full_losses.append(problems.full_loss(weights, task["data"]))
        batch_losses.append(problems.loss(weights, task["data"], seeds[STEPS]))
        ratios = np.log(np.array(full_losses) / (first_loss + 1e-6) + 1e-6)
        total += {
            SumOfLosses: np.sum(batch_losses),
            LogRatio: np.mean(ratios),
            LastLogRatio: ratios[-1],
        }[type(learner.meta_loss)]
        ends.append((weights, state))
    return total, ends, seen


def assert_is_gradient(gradients, loss_at, parameters):
    """Along one direction: uphill, since one across would compare rounding errors."""
    random = np.random.default_rng(2)
    direction = [np.abs(random.normal(size=g.shape)) * np.sign(g) for g in gradients]
    length = np.sqrt(sum(np.sum(part**2) for part in direction))
    direction = [part / length for part in direction]
    step = 1e-6
    above, below = (
        loss_at([p + distance * part for p, part in zip(parameters, direction, strict=True)])
        for distance in (step, -step)
    )
    projection = sum(np.sum(g * part) for g, part in zip(gradients, direction, strict=True))
    assert projection == pytest.approx((above - below) / (2 * step), rel=1e-6)


@pytest.mark.parametrize(
    ("rule", "meta_loss", "first_order"),
    [
        ("lstm", "sum", True),
        ("lstm", "log_ratio", False),
        ("lstm", "last_log_ratio", False),
        ("hierarchical gru", "log_ratio", False),
        pytest.param("lstm", "sum", False, marks=slow),
        pytest.param("lstm", "log_ratio", True, marks=slow),
        pytest.param("hierarchical gru", "sum", True, marks=slow),
        pytest.param("hierarchical gru", "sum", False, marks=slow),
        pytest.param("hierarchical gru", "log_ratio", True, marks=slow),
        pytest.param("hierarchical lstm", "sum", True, marks=slow),
        pytest.param("hierarchical lstm", "sum", False, marks=slow),
        pytest.param("hierarchical lstm", "log_ratio", True, marks=slow),
        pytest.param("hierarchical lstm", "log_ratio", False, marks=slow),
    ],
)
def test_meta_gradient_is_the_central_difference(rule, meta_loss, first_order):
    """Of a first and of a second unroll; first order means that gradients are constants."""
    problems = Quartics()
    learner = OptimizerLearner(some_rule(rule), meta_loss, first_order)
    parameters = learner.rule.parameters()
    tasks, carried = beginning(learner, problems)
    run = unroll_function(learner, problems, STEPS)
    for first_step in (0, STEPS):
        before, (gradients, unroll) = carried, run(tasks, carried, tf.constant(first_step))
        carried = unroll.carried
        loss, ends, seen = by_hand(learner, problems, parameters, tasks, before, first_step)
        np.testing.assert_allclose(tf.reduce_sum(unroll.losses), loss, rtol=1e-12)
        for index, (weights, state) in enumerate(ends):
            assert_equal(taken_apart(carried.weights, index), weights)
            assert_equal(taken_apart(carried.rule_state, index), state)

        def loss_at(parameters, before=before, first_step=first_step, seen=seen):
            constants = seen if first_order else None
            return by_hand(learner, problems, parameters, tasks, before, first_step, constants)[0]

        assert_is_gradient(gradients, loss_at, parameters)


@pytest.mark.parametrize("first_order", [True, False], ids=["first_order", "second_order"])
def test_meta_gradient_is_that_worked_out_by_hand(first_order):
    """Learned rates a on a bowl of curvature c: x_t = (1 - a c)^t x_0 along each axis.

    The sum of the losses c x_t^2 / 2 has in a the derivative sum c x_t dx_t/da, where dx_t/da is
    -t c (1 - a c)^(t-1) x_0; with constant gradients, -(c x_0 + ... + c x_(t-1)).
    """
    problems = Bowls(5.0, dtype="float64")
    rule = MetaSGD(0.125, dtype="float64")
    rule.build([(2,)])
    learner = OptimizerLearner(rule, "sum", first_order)
    tasks, start = beginning(learner, problems)
    [gradient], unroll = unroll_function(learner, problems, STEPS)(tasks, start, tf.constant(0))

    c, first = np.array([5.0, 1.0]), tasks["weights"][0].numpy()
    shrunk = 1 - 0.125 * c
    x = [shrunk**t * first for t in range(STEPS + 1)]
    np.testing.assert_allclose(unroll.carried.weights[0], x[-1], rtol=1e-12)
    np.testing.assert_allclose(
        tf.reduce_sum(unroll.losses), sum(np.sum(0.5 * c * x**2) for x in x), rtol=1e-12
    )
    expected = 0.0
    for t in range(1, STEPS + 1):
        slope = -sum(c * x[s] for s in range(t)) if first_order else -t * c * x[t - 1]
        expected += np.sum(c * x[t] * slope, axis=0)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


def test_two_unrolls_end_where_one_of_twice_the_length_does():
    """And one over the whole training has the gradient of all of it."""
    problems = Quartics()
    learner = OptimizerLearner(some_rule("lstm"), "sum", first_order=False)
    tasks, start = beginning(learner, problems)
    half, whole = (unroll_function(learner, problems, steps) for steps in (STEPS, 2 * STEPS))
    first_gradient, first = half(tasks, start, tf.constant(0))
    second_gradient, second = half(tasks, first.carried, tf.constant(STEPS))
    gradient, unroll = whole(tasks, start, tf.constant(0))
    assert_equal(second.carried, unroll.carried)
    # Truncated, the gradient lacks what the first half does to the second.
    truncated = [a + b for a, b in zip(first_gradient, second_gradient, strict=True)]
    differences = [np.abs(a - b).max() for a, b in zip(truncated, gradient, strict=True)]
    assert max(differences) > 1e-2 * max(np.abs(part).max() for part in gradient)


@pytest.mark.parametrize("meta_loss", [pytest.param("sum", marks=slow), "log_ratio"])
def test_steps_built_into_the_graph_are_those_of_a_loop_of_any_length(meta_loss):
    built = of_a_learner(Quartics(), meta_loss=meta_loss, in_graph=True)
    assert_equal(built, of_a_learner(Quartics(), tf.constant(STEPS), meta_loss=meta_loss))


@pytest.mark.parametrize("rule", ["lstm", pytest.param("hierarchical lstm", marks=slow)])
def test_problems_run_at_once_are_those_run_one_by_one(rule):
    problems = Quartics()
    at_once = of_a_learner(problems, rule=rule, first_order=False)
    one_by_one = of_a_learner(problems, rule=rule, first_order=False, vectorized=False)
    assert_equal(at_once, one_by_one)


@pytest.mark.parametrize(
    ("rule", "in_graph"),
    [
        pytest.param("lstm", False, marks=slow),
        pytest.param("lstm", True, marks=slow),
        pytest.param("hierarchical gru", False, marks=slow),
        pytest.param("hierarchical lstm", False, marks=slow),
    ],
)
def test_xla_computes_what_the_graph_does(rule, in_graph):
    arguments = {"rule": rule, "meta_loss": "log_ratio", "first_order": False}
    compiled = of_a_learner(Quartics(), in_graph=in_graph, xla=True, **arguments)
    assert_equal(compiled, of_a_learner(Quartics(), **arguments), 1e-10)

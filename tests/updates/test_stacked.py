"""Every update rule, with many problems run as one."""

import numpy as np
import pytest
import tensorflow as tf

from tfmeta import engine, updates
from tfmeta.inner.loop import inner_step

COUNT = 3

RULES = {
    "momentum": updates.Momentum(0.1),
    "rmsprop": updates.RMSprop(0.1),
    "adam": updates.Adam(0.1),
    "meta_sgd": updates.MetaSGD(0.1, dtype="float64"),
    "layer_rates": updates.LayerRates(0.1, 2, dtype="float64"),
    "lstm": updates.CoordinatewiseLSTM(units=3, dtype="float64"),
    "hierarchical_gru": updates.HierarchicalRNN("gru", (3, 4, 5), dtype="float64"),
    "hierarchical_lstm": updates.HierarchicalRNN("lstm", (3, 4, 5), dtype="float64"),
}
every_rule = pytest.mark.parametrize("name", RULES)


def meta_loss(rule, parameters, start, centers, seed, first_order):
    """Two steps on a function of two tensors."""

    def loss(weights):
        distance = weights[0] * weights[1] - centers
        return tf.reduce_sum(tf.square(distance) + 0.1 * tf.square(weights[0])), None

    weights, state = start, rule.initial_state(parameters, start, seed)
    for _ in range(2):
        _, _, weights, state = inner_step(loss, rule, parameters, weights, state, first_order)
    return loss(weights)[0]


def some_problems():
    random = np.random.default_rng(0)
    return (
        [tf.constant(random.normal(size=(COUNT, 4))), tf.constant(random.normal(size=(COUNT, 1)))],
        tf.constant(random.normal(size=(COUNT, 4))),
        tf.constant(random.integers(0, 1000, (COUNT, 2), np.int32)),
    )


def with_gradients(rule, problems, first_order, run):
    """The meta-losses of the problems, and their sum's gradient in all that they come from."""
    parameters = rule.parameters()
    start, centers, _ = problems
    with tf.GradientTape() as tape:
        tape.watch([parameters, start, centers])
        losses = run(lambda problem: meta_loss(rule, parameters, *problem, first_order), problems)
    return losses, engine.gradients_of(tape, losses, [*parameters, *start, centers])


def one_by_one(function, problems):
    each = [tf.nest.map_structure(lambda x, i=i: x[i], problems) for i in range(COUNT)]
    return tf.stack([function(problem) for problem in each])


def assert_stacking_is_equal(name, first_order, compiled):
    rule = RULES[name]
    if not rule.built:
        rule.build([(4,), (1,)])
    problems = some_problems()
    compute = tf.function(
        lambda: with_gradients(rule, problems, first_order, engine.stack),
        autograph=False,
        jit_compile=compiled,
    )
    tf.nest.map_structure(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-12),
        compute(),
        with_gradients(rule, problems, first_order, one_by_one),
    )


@every_rule
def test_many_problems_run_as_one(name):
    assert_stacking_is_equal(name, first_order=False, compiled=False)


@every_rule
@pytest.mark.slow
def test_many_problems_run_as_one_in_first_order(name):
    assert_stacking_is_equal(name, first_order=True, compiled=False)


@every_rule
@pytest.mark.parametrize("first_order", [False, True], ids=["second", "first"])
@pytest.mark.slow
def test_many_problems_run_as_one_compiled(name, first_order):
    assert_stacking_is_equal(name, first_order, compiled=True)

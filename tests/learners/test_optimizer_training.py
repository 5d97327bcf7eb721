"""The training of an update rule: its graphs, what it does to the rule, and that it is kept."""

import math
import time

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf
from quartics import (
    PROBLEMS,
    STEPS,
    Quartics,
    assert_equal,
    compiled,
    of_a_learner,
    some_rule,
    training,
)

from tfmeta.errors import ArgumentError
from tfmeta.learners.optimizer import OptimizerLearner
from tfmeta.problems import ProblemFamily, Quadratics
from tfmeta.scheduling.truncation import Lengths
from tfmeta.updates import CoordinatewiseLSTM, GradientDescent, MetaSGD

slow = pytest.mark.slow


def test_a_meta_iteration_moves_the_rule_along_the_mean_gradient():
    problems, lengths = Quartics(), Lengths([STEPS], True)
    learner = compiled(some_rule("lstm"), keras.optimizers.SGD(0.5))
    gradients, unroll = of_a_learner(problems)
    before = learner.rule.get_weights()
    loss = training(learner, problems)(0, lengths)
    assert loss == pytest.approx(float(tf.reduce_mean(unroll.losses)), rel=1e-12)
    moved = [
        old - 0.5 * gradient / PROBLEMS for old, gradient in zip(before, gradients, strict=True)
    ]
    assert_equal(learner.rule.get_weights(), moved)


class Valley(ProblemFamily):
    """sum x^2 / 2, where the squares of the second coordinate are too large for a float64."""

    name = "valley"

    def tasks(self, seeds):
        start = tf.constant([[1.0, 1e200]], tf.float64)
        return {"weights": [tf.tile(start, [tf.shape(seeds)[0], 1])], "data": ()}

    def loss(self, weights, data, seed):
        return 0.5 * tf.reduce_sum(tf.square(weights[0]))


def test_elements_of_the_gradient_that_are_not_finite_count_as_zero():
    rule = MetaSGD(0.125, dtype="float64")
    rule.build([(2,)])
    learner = compiled(rule, keras.optimizers.SGD(1.0))
    loss = training(learner, Valley())(0, Lengths([1], True))
    assert math.isnan(loss)
    # x_1 = (1 - a) x_0, so that the loss x_1^2 / 2 has the derivative -(1 - a) x_0^2 in a.
    np.testing.assert_allclose(rule.get_weights()[0], [0.125 + 0.875, 0.125], rtol=1e-12)


class Traced(Quartics):
    """Counts how often its loss is built into a graph."""

    traces = 0

    def loss(self, weights, data, seed):
        self.traces += 1
        return super().loss(weights, data, seed)


@pytest.mark.parametrize(
    "lengths",
    [
        [Lengths([2, 2], True)] * 4,
        [Lengths(steps, False) for steps in ([2, 1], [3], [1, 4, 2], [2])],
    ],
    ids=["fixed", "random"],
)
def test_graphs_are_built_once_for_a_family(lengths):
    problems = Traced()
    train = training(compiled(some_rule("lstm"), keras.optimizers.Adam(1e-3)), problems)
    losses = [train(0, lengths[0])]
    traces = problems.traces
    assert traces > 0
    losses += [train(step, lengths[step]) for step in range(1, 4)]
    assert problems.traces == traces
    assert len(set(losses)) == 4, "the problems are the same every time"


@slow
def test_memory_does_not_grow_with_the_length_of_training():
    families = [Quadratics(5), Quartics(dtype="float32")]
    learner = compiled(some_rule("lstm", "float32"), keras.optimizers.Adam(1e-3))
    trainings = [training(learner, family, 8) for family in families]

    def train(first, last):
        for step in range(first, last):
            steps = np.random.default_rng(step).integers(1, 6, 3)
            lengths = Lengths([int(count) for count in steps], False)
            trainings[step % 2](step, lengths)
        return psutil.Process().memory_info().rss

    before = train(0, 100)
    assert train(100, 600) - before < 10e6


def test_a_saved_learner_goes_on_where_it_was(tmp_path):
    problems, lengths = Quadratics(3), Lengths([2, 2], True)
    learner = compiled(
        CoordinatewiseLSTM(units=3, layers=1), keras.optimizers.Adam(0.01), meta_loss="log_ratio"
    )
    training(learner, problems, 3)(0, lengths)
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert loaded.meta_loss.floor == 1e-6 and loaded.rule.units == 3
    for one in (learner, loaded):
        training(one, problems, 3)(1, lengths)
    for expected, result in zip(learner.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(result, expected)


def test_bad_arguments():
    with pytest.raises(ArgumentError, match="^meta_loss=last: "):
        OptimizerLearner(CoordinatewiseLSTM(), meta_loss="last")
    with pytest.raises(ArgumentError, match="^rule=GradientDescent: .*learned"):
        OptimizerLearner(GradientDescent(0.1))


@slow
@pytest.mark.parametrize("vectorized", [True, False])
def test_xla_compiles_once_however_the_rule_moves(vectorized):
    lengths = Lengths([STEPS], True)
    rule = some_rule("hierarchical gru")
    train = training(
        compiled(
            rule,
            keras.optimizers.SGD(0.1),
            meta_loss="log_ratio",
            vectorized=vectorized,
            xla=True,
        ),
        Quartics(),
    )
    seconds = []
    for step in range(3):
        started = time.perf_counter()
        train(step, lengths)
        seconds.append(time.perf_counter() - started)
    assert max(seconds[1:]) < 0.1 * seconds[0]

"""Problems with quartic losses, and rules of random size, for tests of optimizer learners."""

import numpy as np
import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.learners.optimizer import OptimizerLearner
from tfmeta.learners.truncated_training import TruncatedTraining
from tfmeta.problems import ProblemFamily
from tfmeta.scheduling.even import EvenSchedule
from tfmeta.updates import CoordinatewiseLSTM, HierarchicalRNN

PROBLEMS, STEPS = 2, 3

RULES = {
    "lstm": lambda dtype: CoordinatewiseLSTM(units=4, layers=1, dtype=dtype),
    "hierarchical gru": lambda dtype: HierarchicalRNN("gru", (3, 4, 5), dtype=dtype),
    "hierarchical lstm": lambda dtype: HierarchicalRNN("lstm", (3, 4, 5), dtype=dtype),
}


def some_rule(name, dtype="float64"):
    """A rule whose parameters are of random size, so that every one of them counts."""
    rule = RULES[name](dtype)
    rule.build([])
    random = np.random.default_rng(0)
    for variable in rule.trainable_variables:
        variable.assign_add(0.3 * random.normal(size=variable.shape))
        if variable.name == "rate_offset":
            variable.assign(4.0)  # at first rates are too small for differences to show
    return rule


class Quartics(ProblemFamily):
    """sum (x_i^2 - a_i)^2 + y^2 x_1^2, times a draw of each step; weights x [2] and y []."""

    name = "quartic"

    def __init__(self, seed=0, dtype="float64"):
        super().__init__(seed)
        self.dtype = dtype

    def tasks(self, seeds):
        def draw(number, *shape):
            draws = random_numbers.normal(random_numbers.fold_in(seeds, number), shape)
            return tf.cast(draws, self.dtype)

        return {"weights": [draw(0, 2), draw(1)], "data": draw(2, 2)}

    def loss(self, weights, data, seed):
        draw = random_numbers.uniform(seed, (), 0.5, 1.5)
        return tf.cast(draw, self.dtype) * self.full_loss(weights, data)

    def full_loss(self, weights, data):
        x, y = weights
        return tf.reduce_sum(tf.square(x * x - data)) + tf.square(x[0] * y)


def assert_equal(one, other, tolerance=1e-12):
    tf.nest.assert_same_structure(one, other)
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        scale = np.abs(b).max() + 1e-300
        np.testing.assert_allclose(a / scale, b / scale, rtol=0, atol=tolerance)


def beginning(learner, problems):
    """Problems, and where they stand before the first step."""

    @tf.function(autograph=False)
    def beginning():
        tasks = problems.batch(0, 0, PROBLEMS)
        return tasks, learner.start(problems, tasks)

    return beginning()


def unroll_function(learner, problems, steps):
    """`learner.meta_gradient` as a graph, of problems, where they stand, and the first step."""

    @tf.function(autograph=False)
    def unroll(tasks, carried, first_step):
        return learner.meta_gradient(problems, tasks, carried, first_step, steps)

    return unroll


def of_a_learner(problems, steps=STEPS, rule="lstm", **arguments):
    learner = OptimizerLearner(some_rule(rule, problems.dtype), **arguments)
    tasks, start = beginning(learner, problems)
    return unroll_function(learner, problems, steps)(tasks, start, tf.constant(0))


def compiled(rule, outer_optimizer, **arguments):
    learner = OptimizerLearner(rule, **arguments)
    learner.compile(outer_optimizer)
    learner.optimizer.build(learner.trainable_variables)
    return learner


def training(learner, problems, count=PROBLEMS):
    """Plain training of a compiled learner."""
    return TruncatedTraining(learner, [problems], EvenSchedule(count))

"""What an update rule has learned of its first state is reached by the meta-gradient."""

import numpy as np
import tensorflow as tf

from tfmeta.learners import OptimizerLearner
from tfmeta.problems import Bowls
from tfmeta.updates import HierarchicalRNN


def test_the_first_unroll_alone_has_a_gradient_in_the_first_state():
    problems = Bowls()
    learner = OptimizerLearner(HierarchicalRNN(), "log_ratio", first_order=False)
    names = [variable.name for variable in learner.rule.trainable_variables]

    @tf.function(autograph=False)
    def gradients(first_step):
        tasks = problems.batch(0, 0, 2)
        carried = learner.start(problems, tasks)
        return learner.meta_gradient(problems, tasks, carried, first_step, 2)[0]

    for first_step, reached in ((0, True), (2, False)):
        found = dict(zip(names, gradients(tf.constant(first_step)), strict=True))
        for level in ("coordinate", "tensor", "problem"):
            assert np.any(found[f"{level}_start_0"]) == reached, level

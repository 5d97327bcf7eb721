"""How an update rule minimizes problems: loss curves, without any meta-gradient."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfmeta import distributed, engine
from tfmeta.distributed import chunks, share
from tfmeta.errors import ArgumentError
from tfmeta.inner.loop import repeat
from tfmeta.problems.base import ProblemFamily
from tfmeta.updates import UpdateRule
from tfmeta.updates.objective import Weights


class Curves(NamedTuple):
    """What the training of many problems gave; float64.

    Attributes:
        steps: after how many steps it was measured, from none to all [times].
        losses: the loss on all training data at these times [problems, times].
        held_out: the loss on held-out data, likewise.
        scores: the metric on held-out data, likewise; zeros where the problems have none.
    """

    steps: np.ndarray
    losses: np.ndarray
    held_out: np.ndarray
    scores: np.ndarray


class LossCurves:
    """Trains problems with an update rule as it is; traced once, used often.

    Args:
        rule: the update rule.
        problems: the family.
        steps: how many steps.
        every: how many lie between two measurements, which can take longer than a step does.
        xla: compile the training with XLA, for each number of problems; it pays where few problems
            are trained many times.
    """

    def __init__(
        self,
        rule: UpdateRule,
        problems: ProblemFamily,
        steps: int,
        every: int = 1,
        xla: bool = False,
    ):
        self.steps = np.array([*range(0, steps, every), steps])
        if not rule.built:
            batch = tf.function(problems.batch, autograph=False).get_concrete_function(0, 0, 1)
            shapes = batch.structured_outputs["weights"]
            rule.build([tensor.shape[1:] for tensor in shapes])

        at_once = problems.vectorizable

        def measure(problem):
            return measured(problems, *problem)

        def train(parameters, tasks):
            times = tf.constant(self.steps, tf.int32)

            def start(task):
                return task["weights"], problems.first_state(rule, parameters, task)

            def to_next_time(parameters, number, done, weights, rule_state, curves):
                def step(parameters, number, weights, rule_state):
                    def of_one(problem):
                        task, weights, rule_state = problem
                        objective = problems.objective(task, done + number)
                        taken = rule.step(
                            parameters, objective, weights, rule_state, first_order=True
                        )
                        return taken.weights, taken.state

                    return engine.for_each(of_one, (tasks, weights, rule_state), at_once)

                weights, rule_state = repeat(
                    step, parameters, (weights, rule_state), times[number] - done
                )
                curves = curves.write(number, engine.for_each(measure, (tasks, weights), at_once))
                return times[number], weights, rule_state, curves

            curves = tf.TensorArray(tf.float64, len(self.steps), element_shape=[None, 3])
            weights, rule_state = engine.for_each(start, tasks, at_once)
            *_, curves = repeat(
                to_next_time, parameters, (0, weights, rule_state, curves), len(self.steps)
            )
            return tf.transpose(curves.stack(), [1, 0, 2])

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([], tf.int32)] * 3)
        def run(step, first, last):
            arguments = (rule.parameters(), problems.batch(step, first, last))
            if xla:
                return engine.compiled(train, arguments, at_once)
            return train(*arguments)

        self._run = run.get_concrete_function()

    def __call__(self, count: int, step: int = 0, at_once: int = 100) -> Curves:
        """Trains the first `count` problems of an address; every rank gets the whole result.

        Args:
            count: how many problems, of all ranks together.
            step: their address.
            at_once: how many a rank holds in memory.

        Raises:
            ArgumentError: fewer problems than ranks, or not as many as on the other ranks.
            RanksError: another rank does something else.
        """
        if count < distributed.size():
            raise ArgumentError(
                "count", count, f"each of {distributed.size()} ranks needs a problem; raise it."
            )
        distributed.agree("loss curves", {"count": str(count)})
        mine = share(count, distributed.rank(), distributed.size())
        parts = [
            self._run(tf.constant(step), tf.constant(first), tf.constant(last))
            for first, last in chunks(mine, at_once)
        ]
        [measures] = distributed.gather([tf.concat(parts, axis=0)])
        losses, held_out, scores = np.moveaxis(measures.numpy(), -1, 0)
        return Curves(self.steps, losses, held_out, scores)


def measured(problems: ProblemFamily, task: engine.Tasks, weights: Weights) -> tf.Tensor:
    """What is measured of one problem, float64 `[3]`.

    Args:
        problems: the family.
        task: the problem.
        weights: where it stands.

    Returns:
        The loss on all training data, that on held-out data, and the metric on these, zero where
        the problems have none.
    """
    data = task["data"]
    measures = [
        problems.full_loss(weights, data),
        problems.held_out_loss(weights, data),
        problems.score(weights, data) if problems.metric else 0.0,
    ]
    return tf.stack([tf.cast(number, tf.float64) for number in measures])

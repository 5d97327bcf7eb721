"""How an update rule minimises problems: loss curves, without any meta-gradient."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfmeta import distributed, engine
from tfmeta.errors import ArgumentError
from tfmeta.inner_loop import inner_step
from tfmeta.problems.problems import Problems
from tfmeta.tasks import random_numbers
from tfmeta.tasks.task_source import share
from tfmeta.updates import UpdateRule


class Minimised(NamedTuple):
    """What the training of many problems gave; float64.

    Attributes:
        losses: the loss on all training data, before the first step and after each
            [problems, steps + 1].
        held_out: the loss on held-out data, likewise.
        scores: the metric on held-out data, likewise; zeros where the problems have none.
    """

    losses: np.ndarray
    held_out: np.ndarray
    scores: np.ndarray


class Minimiser:
    """Trains problems with an update rule as it is; traced once, used often.

    Args:
        rule: the update rule.
        problems: the family.
        steps: how many steps.
    """

    def __init__(self, rule: UpdateRule, problems: Problems, steps: int):
        if not rule.built:
            shapes = tf.function(problems.batch).get_concrete_function(0, 0, 1).structured_outputs
            rule.build([tensor.shape[1:] for tensor in shapes["weights"]])

        def measured(weights, data):
            loss = problems.full_loss(weights, data)
            score = problems.score(weights, data) if problems.metric else 0.0
            return tf.stack(
                [loss, problems.held_out_loss(weights, data), tf.cast(score, loss.dtype)]
            )

        @tf.function(autograph=False, reduce_retracing=True)
        def run(step, first, last):
            tasks = problems.batch(step, first, last)
            parameters = rule.parameters()

            def start(task):
                state = rule.initial_state(parameters, task["weights"], task["seed"])
                return measured(task["weights"], task["data"]), state

            def one_step(problem, index):
                task, weights, rule_state = problem
                seed = random_numbers.fold_in(task["seed"], index + 1)
                taken = inner_step(
                    lambda weights: (problems.loss(weights, task["data"], seed), None),
                    rule,
                    parameters,
                    weights,
                    rule_state,
                    first_order=True,
                )
                return measured(taken.weights, task["data"]), taken.weights, taken.rule_state

            def body(index, weights, rule_state, curves):
                measures, weights, rule_state = engine.for_each(
                    lambda problem: one_step(problem, index),
                    (tasks, weights, rule_state),
                    problems.stackable,
                )
                return index + 1, weights, rule_state, curves.write(index + 1, measures)

            measures, rule_state = engine.for_each(start, tasks, problems.stackable)
            curves = tf.TensorArray(measures.dtype, steps + 1, element_shape=measures.shape)
            *_, curves = tf.while_loop(
                lambda index, *_: index < steps,
                body,
                (0, tasks["weights"], rule_state, curves.write(0, measures)),
            )
            return tf.transpose(curves.stack(), [1, 0, 2])

        self._run = run

    def __call__(self, count: int, step: int = 0, at_once: int = 100) -> Minimised:
        """Trains the first `count` problems of an address; every rank gets the whole result.

        Args:
            count: how many problems, of all ranks together.
            step: their address.
            at_once: how many a rank holds in memory.

        Raises:
            ArgumentError: fewer problems than ranks.
        """
        if count < distributed.size():
            raise ArgumentError(
                "count", count, f"each of {distributed.size()} ranks needs a problem; raise it."
            )
        mine = share(count, distributed.rank(), distributed.size())
        parts = [
            self._run(tf.constant(step), tf.constant(first), tf.constant(last))
            for first, last in _chunks(mine, at_once)
        ]
        [measures] = distributed.gather([tf.concat(parts, axis=0)])
        losses, held_out, scores = np.moveaxis(measures.numpy().astype(np.float64), -1, 0)
        return Minimised(losses, held_out, scores)


def _chunks(mine: Sequence[int], size: int) -> list[tuple[int, int]]:
    stop = mine[-1] + 1
    return [(first, min(first + size, stop)) for first in range(mine[0], stop, size)]

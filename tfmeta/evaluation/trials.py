"""The same problems minimized many times at once, each time with other numbers of a rule."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfmeta import engine
from tfmeta.evaluation.loss_curves import measured
from tfmeta.inner.loop import repeat
from tfmeta.problems.base import ProblemFamily
from tfmeta.updates import GradientRule

# To compile takes about as long as so many steps of single trials of single problems do.
_WORTH_COMPILING = 250_000
# A number of every trial: 0 for a constant rate, 1 for one that falls along a cosine.
COSINE = "cosine"
_BYTES = 2**27  # what trials that run at once take in memory, about


class Trials:
    """Trains problems with a hand-designed rule, once for each of many choices of its numbers.

    All trials of a problem see the same batches, and share its data. One graph serves all numbers.
    Where problems can run at once and there is much to do XLA compiles it.

    Where the number `cosine` of a trial is 1, its rate falls to zero over the steps: it is
    multiplied by (1 + cos(pi step / steps)) / 2.

    Args:
        kind: of the rule; it has a `learning_rate`.
        arguments: the names of the numbers that it is made with.
        problems: the family.
        steps: how many steps a problem is given.
        every: how many lie between two measurements.
    """

    def __init__(
        self,
        kind: type[GradientRule],
        arguments: Sequence[str],
        problems: ProblemFamily,
        steps: int,
        every: int,
    ):
        self.kind, self.names, self.problems = kind, (*arguments, COSINE), problems
        self.steps = np.array([*range(0, steps, every), steps])
        self._graph = tf.function(self._train, autograph=False)
        self._compiled_graph = tf.function(
            lambda *arguments: engine.compiled(self._train, arguments, vectorized=True),
            autograph=False,
        )

    def __call__(self, numbers: Mapping[str, np.ndarray], tasks: engine.Tasks) -> np.ndarray:
        """Trains each problem with the numbers of each trial.

        Args:
            numbers: `[trials]` for each argument and for `cosine`.
            tasks: problems of the family, as `ProblemFamily.batch` makes them.

        Returns:
            float64 `[trials, problems, times, 3]`: the loss on all training data, that on held-out
            data, and the metric on these (zero without one), after the numbers of steps in `steps`.
        """
        table = np.stack([numbers[name] for name in self.names], axis=1)
        trials, count = len(table), int(engine.count_of(tasks))
        much = trials * count * int(self.steps[-1]) >= _WORTH_COMPILING
        run = self._compiled_graph if much and self.problems.vectorizable else self._graph
        # All trials of few problems, rather than few trials of all: what they share is made once.
        fitting = max(1, _BYTES // self._bytes(tasks))
        wide, deep = min(trials, fitting), min(count, max(1, fitting // trials))
        measures = np.empty((trials, count, len(self.steps), 3))
        for row in range(0, trials, wide):
            chosen = np.arange(row, row + wide).clip(max=trials - 1)
            for first in range(0, count, deep):
                # The last part is filled up, for a graph of one size.
                rows = np.arange(first, first + deep).clip(max=count - 1)
                part = tf.nest.map_structure(lambda x, rows=rows: tf.gather(x, rows), tasks)
                ran = run(tf.constant(table[chosen]), engine.of_count(part, deep))
                measures[chosen[:, None], rows] = ran.numpy()
        return measures

    def _bytes(self, tasks: engine.Tasks) -> int:
        """What one trial of one problem takes in memory, at most: all that a measurement makes."""
        specs = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), tasks)
        measure = tf.function(
            lambda task: measured(self.problems, task, task["weights"]), autograph=False
        )
        made = [
            tensor
            for operation in measure.get_concrete_function(specs).graph.get_operations()
            for tensor in operation.outputs
            if operation.type not in ("Placeholder", "Const")
        ]
        return sum(tensor.dtype.size * (tensor.shape.num_elements() or 1) for tensor in made)

    def _train(self, table, tasks):
        at_once = self.problems.vectorizable
        times = tf.constant(self.steps, tf.int32)

        def for_each_trial(function, trials, *of_problems):
            """Of the trials, a task and tensors with axes of problems and trials."""

            def of_problem(problem):
                task, *carried = problem
                return engine.for_each(
                    lambda trial: function(task, *trial), (trials, *carried), at_once
                )

            return engine.for_each(of_problem, (tasks, *of_problems), at_once)

        def start(task, trial):
            rule = self._rule(trial, 0, task["weights"])
            return task["weights"], self.problems.first_state(rule, [], task)

        def to_next_time(table, place, done, weights, rule_state, curves):
            def step(table, number, weights, rule_state):
                def of_trial(task, trial, weights, rule_state):
                    rule = self._rule(trial, done + number, weights)
                    objective = self.problems.objective(task, done + number)
                    taken = rule.step([], objective, weights, rule_state, first_order=True)
                    return taken.weights, taken.state

                return for_each_trial(of_trial, table, weights, rule_state)

            weights, rule_state = repeat(step, table, (weights, rule_state), times[place] - done)
            curves = curves.write(
                place,
                for_each_trial(
                    lambda task, _, weights: measured(self.problems, task, weights), table, weights
                ),
            )
            return times[place], weights, rule_state, curves

        curves = tf.TensorArray(tf.float64, len(self.steps), element_shape=[None, None, 3])
        weights, rule_state = for_each_trial(start, table)
        *_, curves = repeat(to_next_time, table, (0, weights, rule_state, curves), len(self.steps))
        return tf.transpose(curves.stack(), [2, 1, 0, 3])

    def _rule(self, trial: tf.Tensor, step: Any, weights: Sequence[tf.Tensor]) -> GradientRule:
        numbers = dict(zip(self.names, tf.unstack(trial), strict=True))
        along = tf.cast(step, trial.dtype) / float(self.steps[-1])
        factor = 0.5 * (1.0 + tf.cos(math.pi * along))
        numbers["learning_rate"] *= 1.0 - numbers.pop(COSINE) * (1.0 - factor)
        return self.kind(**{name: tf.cast(n, weights[0].dtype) for name, n in numbers.items()})

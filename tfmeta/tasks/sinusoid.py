"""Regression tasks: a sine wave of unknown amplitude and phase."""

import math

import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.tasks.regression import Regression
from tfmeta.tasks.spec import TaskSpec


class Sinusoids(Regression):
    """The sine waves of MAML (Finn et al. 2017, section 5.1).

    A task is y = amplitude * sin(x - phase) with amplitude from [0.1, 5], phase from [0, pi], and
    points x from [-5, 5], all uniform. Inputs and targets are float32, `[tasks, shots, 1]` in the
    support set and `[tasks, queries, 1]` in the query set.

    Args:
        shots: number of support points.
        queries: number of query points.
        seed: seed of the tasks.

    Raises:
        ArgumentError: `shots` or `queries` is not a whole number of at least 1.
    """

    spec = TaskSpec(tf.TensorSpec([1]), tf.TensorSpec([1]), outputs=1, kind="regression")

    def tasks(self, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        numbers = random_numbers.uniform(seeds, (2 + self.shots + self.queries, 1))
        amplitude = 0.1 + 4.9 * numbers[:, :1]
        phase = math.pi * numbers[:, 1:2]
        x = -5.0 + 10.0 * numbers[:, 2:]
        y = amplitude * tf.sin(x - phase)
        return self.support_and_query(x, y)

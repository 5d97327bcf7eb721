"""Regression tasks: a sine wave of unknown amplitude and phase."""

import math

import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.tasks.regression import Regression


class Sinusoids(Regression):
    """The sine waves of MAML (Finn et al. 2017, section 5.1).

    A task is y = amplitude * sin(x - phase) with amplitude from [0.1, 5], phase from [0, pi], and
    points x from [-5, 5], all uniform. Inputs and targets are float32
    `[tasks, shots, 1]` (support) and `[tasks, queries, 1]` (query).

    Args:
        shots: support points.
        queries: query points.
        seed: seed of the tasks.

    Raises:
        ArgumentError: if `shots` or `queries` is not a whole number of at least 1.
    """

    def tasks(self, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        numbers = random_numbers.uniform(seeds, (2 + self.shots + self.queries, 1))
        amplitude = 0.1 + 4.9 * numbers[:, :1]
        phase = math.pi * numbers[:, 1:2]
        x = -5.0 + 10.0 * numbers[:, 2:]
        y = amplitude * tf.sin(x - phase)
        return self.shared_out(x, y)

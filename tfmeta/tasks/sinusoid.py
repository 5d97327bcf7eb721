"""Regression tasks: a sine wave of unknown amplitude and phase."""

import math

import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.tasks import random_numbers
from tfmeta.tasks.task_source import TaskSource


class Sinusoids(TaskSource):
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

    def __init__(self, shots: int, queries: int, seed: int = 0):
        super().__init__(seed)
        for name, value in (("shots", shots), ("queries", queries)):
            if type(value) is not int or value < 1:
                raise ArgumentError(name, value, "give a whole number of at least 1")
        self.shots, self.queries = shots, queries

    def tasks(self, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        numbers = random_numbers.uniform(seeds, (2 + self.shots + self.queries, 1))
        amplitude = 0.1 + 4.9 * numbers[:, :1]
        phase = math.pi * numbers[:, 1:2]
        x = -5.0 + 10.0 * numbers[:, 2:]
        y = amplitude * tf.sin(x - phase)
        x, y = tf.cast(x, tf.float32), tf.cast(y, tf.float32)
        return {
            "support_x": x[:, : self.shots],
            "support_y": y[:, : self.shots],
            "query_x": x[:, self.shots :],
            "query_y": y[:, self.shots :],
        }

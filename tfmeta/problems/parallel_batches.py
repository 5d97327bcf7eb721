"""Problems whose steps take the mean gradient of several batches."""

import tensorflow as tf

from tfmeta import engine, random_numbers
from tfmeta.errors import ArgumentError
from tfmeta.problems.altered import Altered
from tfmeta.problems.base import Problems


class ParallelBatches(Altered):
    """A family whose every step sees several batches at once (Pimpalkhute et al. 2021).

    Its loss is the mean of the losses on them, and so its gradient is the mean of theirs, with one
    update for all: the paper's parallel task loop.

    Args:
        problems: the family.
        batches: of a step.

    Raises:
        ArgumentError: `batches` is not a whole number of at least 1.
    """

    def __init__(self, problems: Problems, batches: int):
        super().__init__(problems, problems.name)
        if type(batches) is not int or batches < 1:
            raise ArgumentError("batches", batches, "give a whole number of at least 1.")
        self.in_parallel = batches

    def loss(self, weights, data, seed):
        seeds = random_numbers.fold_in(seed, tf.range(self.in_parallel))
        losses = engine.for_each(
            lambda seed: self.problems.loss(weights, data, seed), seeds, self.stackable
        )
        return tf.reduce_mean(losses)

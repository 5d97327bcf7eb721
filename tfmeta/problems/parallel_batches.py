"""Problems whose steps take the mean gradient of several batches."""

import tensorflow as tf

from tfmeta import engine, random_numbers
from tfmeta.checks import check_count
from tfmeta.problems.altered import Altered
from tfmeta.problems.base import ProblemFamily


class ParallelBatches(Altered):
    """A family whose every step sees several batches at once (Pimpalkhute et al. 2021).

    Its loss is the mean of the losses on them, and so its gradient is the mean of theirs, with one
    update for all: the paper's parallel task loop.

    Args:
        problems: the family.
        batches: of a step.
        vectorized: compute the losses on all batches at once, where the family can; else one by
            one.

    Raises:
        ArgumentError: `batches` is not a whole number of at least 1.
    """

    def __init__(self, problems: ProblemFamily, batches: int, vectorized: bool = True):
        super().__init__(problems, problems.name)
        self.in_parallel = check_count("batches", batches)
        self.vectorized = vectorized and problems.vectorizable

    def loss(self, weights, data, seed):
        seeds = random_numbers.fold_in(seed, tf.range(self.in_parallel))
        losses = engine.for_each(
            lambda seed: self.problems.loss(weights, data, seed), seeds, self.vectorized
        )
        return tf.reduce_mean(losses)

"""Problems whose gradients are noisy."""

import math

import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.problems.problems import Problems
from tfmeta.tasks import random_numbers


class NoisyGradients(Problems):
    """A family with N(0, deviation^2) added to each element of the gradient of its loss.

    The seed of the step draws the noise. The values stay as they are, and so do the second
    derivatives; `full_loss`, `held_out_loss` and `score` have no noise (Wichrowska et al. 2017).

    Args:
        problems: the family.
        deviation: the standard deviation of the noise.

    Raises:
        ArgumentError: the deviation is not a number of at least 0.
    """

    def __init__(self, problems: Problems, deviation: float):
        super().__init__(problems.seed)
        if not 0 <= deviation < math.inf:
            raise ArgumentError("deviation", deviation, "give a number of at least 0.")
        self.problems, self.deviation = problems, deviation
        self.name = f"noisy_{problems.name}"
        self.metric, self.stackable = problems.metric, problems.stackable

    def tasks(self, seeds):
        return self.problems.tasks(seeds)

    def loss(self, weights, data, seed):
        loss = self.problems.loss(weights, data, seed)
        for number, tensor in enumerate(weights):
            draws = random_numbers.normal(random_numbers.fold_in(seed, number), tensor.shape)
            noise = tf.cast(self.deviation * draws, tensor.dtype)
            # Nothing in value, and the noise in slope.
            loss += tf.reduce_sum(noise * (tensor - tf.stop_gradient(tensor)))
        return loss

    def full_loss(self, weights, data):
        return self.problems.full_loss(weights, data)

    def held_out_loss(self, weights, data):
        return self.problems.held_out_loss(weights, data)

    def score(self, weights, data):
        return self.problems.score(weights, data)

"""Problems whose gradients are noisy."""

import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.checks import check_at_least_zero
from tfmeta.problems.altered import Altered
from tfmeta.problems.base import ProblemFamily


class NoisyGradients(Altered):
    """A family with N(0, deviation^2) added to each element of the gradient of its loss.

    The seed of the step draws the noise. The values stay as they are, and so do the second
    derivatives; `full_loss`, `held_out_loss` and `score` have no noise (Wichrowska et al. 2017).

    Args:
        problems: the family.
        deviation: the standard deviation of the noise.

    Raises:
        ArgumentError: the deviation is not a number of at least 0.
    """

    def __init__(self, problems: ProblemFamily, deviation: float):
        super().__init__(problems, f"noisy_{problems.name}")
        self.deviation = check_at_least_zero("deviation", deviation)

    def loss(self, weights, data, seed):
        loss = self.problems.loss(weights, data, seed)
        for number, tensor in enumerate(weights):
            draws = random_numbers.normal(random_numbers.fold_in(seed, number), tensor.shape)
            noise = tf.cast(self.deviation * draws, tensor.dtype)
            # Nothing in value, and the noise in slope.
            loss += tf.reduce_sum(noise * (tensor - tf.stop_gradient(tensor)))
        return loss

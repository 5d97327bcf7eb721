"""Problems whose coordinates are scaled at random."""

import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.checks import check_at_least_zero
from tfmeta.problems.altered import Altered
from tfmeta.problems.base import ProblemFamily


class ScaledCoordinates(Altered):
    """g(theta) = f(c theta) with a random factor c for each coordinate (Lv et al. 2017).

    log c is spread evenly over [-spread, spread], and theta starts at w / c, where f starts at w:
    the losses are the same, while a rule that was trained so cannot rely on the scale of
    gradients. The public code has a spread of 3.

    Args:
        problems: the family f.
        spread: the largest absolute value of log c.

    Raises:
        ArgumentError: the spread is not a number of at least 0.
    """

    def __init__(self, problems: ProblemFamily, spread: float):
        super().__init__(problems, f"scaled_{problems.name}")
        self.spread = check_at_least_zero("spread", spread)

    def tasks(self, seeds):
        tasks = self.problems.tasks(random_numbers.fold_in(seeds, 0))
        factors = []
        for number, tensor in enumerate(tasks["weights"]):
            own = random_numbers.fold_in(seeds, 1 + number)
            logs = random_numbers.uniform(own, tensor.shape[1:], -self.spread, self.spread)
            factors.append(tf.cast(tf.exp(logs), tensor.dtype))
        return {
            "weights": [w / c for w, c in zip(tasks["weights"], factors, strict=True)],
            "data": {"data": tasks["data"], "factors": factors},
        }

    def loss(self, weights, data, seed):
        return self.problems.loss(_scaled(weights, data), data["data"], seed)

    def full_loss(self, weights, data):
        return self.problems.full_loss(_scaled(weights, data), data["data"])

    def held_out_loss(self, weights, data):
        return self.problems.held_out_loss(_scaled(weights, data), data["data"])

    def score(self, weights, data):
        return self.problems.score(_scaled(weights, data), data["data"])


def _scaled(weights, data):
    return [c * w for c, w in zip(data["factors"], weights, strict=True)]

"""Quadratic bowls in two dimensions."""

import math

import numpy as np
import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.checks import check_positive
from tfmeta.problems.base import ProblemFamily


class Bowls(ProblemFamily):
    """f(x) = 0.5 * |A x|^2 with A = diag(sqrt(condition number), 1) R (Wichrowska et al. 2017).

    R turns the plane by `angle`. The problems of a family differ in where they start, x from
    N(0, 1) `[2]`. Published are condition numbers 0.1, 1 and 5, and 5 turned by 45 degrees.

    Args:
        condition_number: how much steeper the bowl is along one axis than along the other.
        angle: of R, in degrees.
        seed: seed of the problems.
        dtype: of everything.

    Raises:
        ArgumentError: an argument is out of range.
    """

    def __init__(
        self,
        condition_number: float = 5.0,
        angle: float = 0.0,
        seed: int = 0,
        dtype: str = "float32",
    ):
        super().__init__(seed)
        check_positive("condition_number", condition_number)
        self.name = f"bowl_{condition_number:g}" + (f"_turned_{angle:g}" if angle else "")
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        rotation = np.array([[cosine, -sine], [sine, cosine]])
        self.matrix = np.diag([math.sqrt(condition_number), 1.0]) @ rotation
        self.dtype = dtype

    def tasks(self, seeds):
        start = random_numbers.normal(random_numbers.fold_in(seeds, 0), (2,))
        return {"weights": [tf.cast(start, self.dtype)], "data": ()}

    def loss(self, weights, data, seed):
        stretched = tf.linalg.matvec(tf.constant(self.matrix, self.dtype), weights[0])
        return 0.5 * tf.reduce_sum(tf.square(stretched))

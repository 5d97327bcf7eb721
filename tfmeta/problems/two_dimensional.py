"""Test functions of two variables."""

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.errors import ArgumentError
from tfmeta.problems.base import ProblemFamily


def ackley(x, y):
    """20 + e - 20 exp(-sqrt((x^2 + y^2) / 2) / 5) - exp((cos 2 pi x + cos 2 pi y) / 2).

    Minimum 0 at (0, 0), a cusp, among many other minima.
    """
    square = 0.5 * (x * x + y * y)
    # The root has no derivative at 0; one of 0 does no harm there.
    distance = tf.where(square > 0, tf.sqrt(tf.where(square > 0, square, 1.0)), 0.0)
    # expm1 of what is never above 0, so that rounding cannot make a term negative.
    waves = -tf.square(tf.sin(math.pi * x)) - tf.square(tf.sin(math.pi * y))
    return -20.0 * tf.math.expm1(-0.2 * distance) - math.e * tf.math.expm1(waves)


def beale(x, y):
    """(1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2; minimum 0 at (3, 0.5)."""
    return (
        tf.square(1.5 - x + x * y)
        + tf.square(2.25 - x + x * y * y)
        + tf.square(2.625 - x + x * y * y * y)
    )


def booth(x, y):
    """(x + 2 y - 7)^2 + (2 x + y - 5)^2; minimum 0 at (1, 3)."""
    return tf.square(x + 2.0 * y - 7.0) + tf.square(2.0 * x + y - 5.0)


def branin(x, y):
    """(y - 5.1 / (4 pi^2) x^2 + 5 / pi x - 6)^2 + 10 (1 - 1 / (8 pi)) cos x + 10.

    Minimum 10 / (8 pi) = 0.398 at (-pi, 12.275), (pi, 2.275) and (3 pi, 2.475).
    """
    valley = y - 5.1 / (4.0 * math.pi**2) * x * x + 5.0 / math.pi * x - 6.0
    return tf.square(valley) + 10.0 * (1.0 - 1.0 / (8.0 * math.pi)) * tf.cos(x) + 10.0


def log_sum_exp(x, y):
    """log(exp(x + 3 y - 0.1) + exp(x - 3 y - 0.1) + exp(-x - 0.1) + 1).

    Minimum log(1 + sqrt 8 exp(-0.1)) = 1.270 at (-log(2) / 2, 0).
    """
    terms = [x + 3.0 * y - 0.1, x - 3.0 * y - 0.1, -x - 0.1, tf.zeros_like(x)]
    return tf.reduce_logsumexp(tf.stack(terms, axis=-1), axis=-1)


def matyas(x, y):
    """0.26 (x^2 + y^2) - 0.48 x y; minimum 0 at (0, 0)."""
    # Two squares, so that rounding cannot make it negative.
    return 0.24 * tf.square(x - y) + 0.02 * (x * x + y * y)


def michalewicz(x, y):
    """2 - sin(x) sin(x^2 / pi)^10 - sin(y) sin(2 y^2 / pi)^10.

    Between 0 and pi the minimum is 0.193 at (2.185, pi / 2), where two steep valleys cross.
    """
    first = tf.sin(x) * tf.pow(tf.square(tf.sin(x * x / math.pi)), 5)
    second = tf.sin(y) * tf.pow(tf.square(tf.sin(2.0 * y * y / math.pi)), 5)
    return 2.0 - first - second


def rosenbrock(x, y):
    """(1 - x)^2 + 100 (y - x^2)^2; minimum 0 at (1, 1)."""
    return tf.square(1.0 - x) + 100.0 * tf.square(y - x * x)


def styblinski_tang(x, y):
    """(x^4 - 16 x^2 + 5 x + y^4 - 16 y^2 + 5 y) / 2 + 80.

    Minimum 1.668 at (-2.9035, -2.9035).
    """

    def quartic(x):
        return x**4 - 16.0 * x * x + 5.0 * x

    return 0.5 * (quartic(x) + quartic(y)) + 80.0


class Function(NamedTuple):
    """A test function.

    Attributes:
        formula: of x and y.
        ranges: where x and where y starts, evenly; None for a start from N(0, 1).
    """

    formula: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    ranges: tuple[tuple[float, float], tuple[float, float]] | None


FUNCTIONS = {
    "ackley": Function(ackley, ((-32.768, 32.768),) * 2),
    "beale": Function(beale, ((-4.5, 4.5),) * 2),
    "booth": Function(booth, ((-10.0, 10.0),) * 2),
    "branin": Function(branin, ((-5.0, 10.0), (0.0, 15.0))),
    "log_sum_exp": Function(log_sum_exp, None),
    "matyas": Function(matyas, ((-10.0, 10.0),) * 2),
    "michalewicz": Function(michalewicz, ((0.0, math.pi),) * 2),
    "rosenbrock": Function(rosenbrock, ((-5.0, 10.0),) * 2),
    "styblinski_tang": Function(styblinski_tang, ((-5.0, 5.0),) * 2),
}


class TwoDimensionalFunctions(ProblemFamily):
    """A test function of x and y, one tensor `[2]` (Wichrowska et al. 2017).

    Formulas, constants and starts are those of the public code, which adds 2 to Michalewicz's
    function and 80 to Styblinski and Tang's, so that no loss is negative. The problems of a family
    differ in where they start.

    Args:
        function: one of `FUNCTIONS`.
        seed: seed of the problems.
        dtype: of everything.

    Raises:
        ArgumentError: there is no such function.
    """

    def __init__(self, function: str, seed: int = 0, dtype: str = "float32"):
        super().__init__(seed)
        if function not in FUNCTIONS:
            raise ArgumentError("function", function, f"choose one of {', '.join(FUNCTIONS)}.")
        self.name, self.dtype = function, dtype
        self._formula, self._ranges = FUNCTIONS[function]

    def tasks(self, seeds):
        seeds = random_numbers.fold_in(seeds, 0)
        if self._ranges is None:
            start = random_numbers.normal(seeds, (2,))
        else:
            low, high = tf.unstack(tf.constant(self._ranges, tf.float64), axis=-1)
            start = low + (high - low) * random_numbers.uniform(seeds, (2,))
        return {"weights": [tf.cast(start, self.dtype)], "data": ()}

    def loss(self, weights, data, seed):
        return self._formula(*tf.unstack(weights[0]))

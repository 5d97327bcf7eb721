"""Arithmetic and checks that several update rules share."""

import math
from collections.abc import Sequence

import tensorflow as tf

from tfmeta.checks import check_positive, is_finite
from tfmeta.errors import ArgumentError


def moved_average(
    decay: float, averages: Sequence[tf.Tensor], values: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    """Exponential moving averages, one of each value: decay * average + (1 - decay) * value."""
    return [
        decay * average + (1.0 - decay) * value
        for average, value in zip(averages, values, strict=True)
    ]


def at_step(step: tf.Tensor, logarithms: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The learned positive numbers of an inner step, a scalar of each tensor of logarithms [steps].

    Steps beyond the last one that was learned take its numbers.
    """
    steps = logarithms[0].shape[0]
    # A product, since the derivative of an indexed tensor would be a sparse one.
    now = tf.one_hot(tf.minimum(step, steps - 1), steps, dtype=logarithms[0].dtype)
    return [tf.exp(tf.tensordot(logs, now, 1)) for logs in logarithms]


def fan_in_share(shape: Sequence[int], width: int) -> float:
    """The share of a rate that suits a kernel of many inputs: width / inputs, at most 1.

    What a unit puts out moves by the rate times the number of its inputs, as its weights move
    together at first (Yang et al. 2021, Tensor Programs V, table 3).

    Args:
        shape: of the weight, whose inputs are counted as by Keras's initializers: 1 of a vector.
        width: inputs up to which a kernel takes the whole rate.
    """
    return width / max(width, math.prod(shape[:-1]))


def check_rate(argument: str, rate: float) -> float:
    """A rate as a float; a tensor as it is, for its value is known only when the graph runs.

    Raises:
        ArgumentError: it is not a positive finite number.
    """
    if tf.is_tensor(rate):
        return rate
    return check_positive(argument, rate)


def check_decay(argument: str, decay: float) -> float:
    """The decay of a moving average as a float; a tensor as it is.

    Raises:
        ArgumentError: it is below 0, or not below 1.
    """
    if tf.is_tensor(decay):
        return decay
    if not (is_finite(decay) and 0 <= decay < 1):
        raise ArgumentError(argument, decay, "give a number of at least 0 and below 1.")
    return float(decay)

"""The closed form of standardisation against automatic and numerical derivatives, in float64."""

import numpy as np
import pytest
import tensorflow as tf

from tfmeta.layers.standardise import standardise

EPSILON = 1e-3


def tensors(count, seed=0):
    return [tf.constant(part) for part in np.random.default_rng(seed).normal(size=[count, 5, 4, 3])]


def from_moments(x, axes, epsilon):
    """The same, for TensorFlow to differentiate."""
    centred = x - tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axes, keepdims=True)
    return centred / tf.sqrt(variance + epsilon)


def derivatives(function, axes, x, weights, *directions):
    """sum(weights sin(function(x))), its gradient, and the gradient of each <last, direction>."""
    if not directions:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(weights * tf.sin(function(x, axes, EPSILON)))
        return [value, tape.gradient(value, x)]
    with tf.GradientTape() as tape:
        tape.watch(x)
        lower = derivatives(function, axes, x, weights, *directions[:-1])
        projection = tf.reduce_sum(lower[-1] * directions[-1])
    return [*lower, tape.gradient(projection, x)]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("axes", [[0], [1, 2], [0, 1, 2]])
def test_three_derivatives_are_those_of_the_moments(axes, compiled):
    def both(*arguments):
        return [derivatives(f, axes, *arguments) for f in (standardise, from_moments)]

    closed, automatic = (tf.function(both) if compiled else both)(*tensors(4))
    for order, (one, other) in enumerate(zip(closed, automatic, strict=True)):
        np.testing.assert_allclose(
            one, other, rtol=0, atol=1e-12 * np.abs(other).max(), err_msg=order
        )


def test_third_derivative_is_the_central_difference_of_the_second():
    x, weights, first, second = tensors(4)
    second /= tf.norm(second)
    step = 1e-6

    def hessian_times_first(x):
        return derivatives(standardise, [0], x, weights, first)[-1]

    third = derivatives(standardise, [0], x, weights, first, second)[-1]
    ahead = hessian_times_first(x + step * second)
    behind = hessian_times_first(x - step * second)
    expected = (ahead - behind) / (2 * step)
    np.testing.assert_allclose(third, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
